"""A Ruby worker in the same namespace, on the same host."""

from __future__ import annotations

from tests.process.support import Bench
from tests.support.neighbours_soak import soak


def test_both_live_and_lose_nothing(bench: Bench) -> None:
    soak(bench, seconds=1, jobs_per_fork=30)
