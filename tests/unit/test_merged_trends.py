"""The depths of queues on several shards, which do not know the same minutes."""

from gresque.inspector.merged_trends import merge_depths
from gresque.inspector.metrics import Depth


def test_each_queue_has_the_same_minutes() -> None:
    """A shard that was away, or is new, lacks minutes of the others, and a queue is not everywhere:
    what draws the sum of all queues takes them side by side."""
    old = {"mail": [Depth(60, 1), Depth(120, 2, 3.0), Depth(180, 0)]}
    new = {"mail": [Depth(185, 5, 1.0)], "web": [Depth(185, 7, 2.0)]}
    assert merge_depths([old, new]) == {
        "mail": [Depth(60, 1), Depth(120, 2, 3.0), Depth(185, 5, 1.0)],
        "web": [Depth(60, 0), Depth(120, 0), Depth(185, 7, 2.0)],
    }
