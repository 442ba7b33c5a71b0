"""The jobs of floors.py, for a worker of any tree: only what gresque has always had."""

from __future__ import annotations

import sys
import time

import gresque
from benchmarks.peers import body

DEPTH_WORD = 1 + body.PROCESSES
"""Of the tally: how deep in calls a waiting job is."""

for _name in ("sleep", "fetch", "fetch_pooled", "start"):
    gresque.job(queue="floors", name=_name)(getattr(body, _name))


@gresque.job(queue="floors", name="noop")
def noop(number: int) -> None:
    """Nothing, and no count: Redis counts it."""


@gresque.job(queue="floors", name="half")
def half(number: int) -> None:
    if number % 2:
        raise ValueError("on purpose")


@gresque.job(queue="floors", name="wait")
def wait(seconds: float) -> None:
    """Longer than anybody looks."""
    if not body.tally.words[DEPTH_WORD]:  # to look costs memory: it makes an object of each frame
        body.tally.words[DEPTH_WORD] = depth()
    body.count()
    time.sleep(seconds)


def depth() -> int:
    """How many calls the caller is deep."""
    frame, found = sys._getframe(1), 0
    while frame is not None:
        found += 1
        frame = frame.f_back  # type: ignore[assignment]
    return found
