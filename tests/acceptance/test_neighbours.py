"""A Ruby worker beside gresque for longer than any of them waits before it judges."""

from __future__ import annotations

from tests.process.support import Bench
from tests.support.neighbours_soak import soak


def test_both_live_and_lose_nothing_for_minutes(bench: Bench) -> None:
    """The maintenance process judges from its second minute on."""
    soak(bench, seconds=150, jobs_per_fork=100_000)
