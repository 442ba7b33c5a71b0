"""A process that is forked while no Sentinel answers finds the server where it last was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.support import Bench, wait_for
from tests.support.fake_sentinel import FakeSentinel
from tests.support.nodes import Node, started


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = started(lambda port: Node(tmp_path / "node", port))
    yield node
    node.kill()


def test_processes_come_up_while_all_sentinels_are_away(node: Node, tmp_path: Path) -> None:
    sentinel = FakeSentinel(node)
    bench = Bench(f"redis+sentinel://{sentinel.address}/main", node.redis, tmp_path)
    bench.client.enqueue_to("q", "Count", "before")
    master = bench.start("-q", "q", "-j", "2", JOBS_REDIS_URL=node.url)
    wait_for(lambda: set(bench.runs()) == {"before"})
    sentinel.close()
    # Open connections go on, and so does what is opened from now on.
    bench.client.enqueue_many("Count", [(str(n),) for n in range(5)], queue="q")
    wait_for(lambda: len(bench.runs()) == 6)
    os.kill(master.children()[0].pid, signal.SIGKILL)
    bench.client.enqueue_to("q", "Count", "after")
    wait_for(lambda: "after" in bench.runs())
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert bench.held() == 0
    assert "no Sentinel answers" not in master.log
    bench.close()
