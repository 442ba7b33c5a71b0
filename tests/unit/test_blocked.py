"""What a turn found in the way."""

from __future__ import annotations

import time

from gresque.worker.turns.blocked import Blocked
from gresque.worker.turns.served_lists import Window


def test_it_gathers_what_several_turns_found() -> None:
    blocked = Blocked()
    blocked.note(Window((b"ka", b"kb"), ("a", "b"), (0, 0)), 0, [1], [0])
    assert blocked.until is None
    before = time.monotonic()
    blocked.note(Window((b"kc",), ("c",), (0,)), 5000, [], [0])
    blocked.note(Window((b"kd",), ("d",), (0,)), 900_000, [0], [])
    assert (blocked.paused, blocked.limited) == ({"b", "d"}, {b"ka", b"kc"})
    assert blocked.queues == {"a", "b", "c", "d"}
    assert blocked.until is not None
    assert before + 5 <= blocked.until <= time.monotonic() + 5
