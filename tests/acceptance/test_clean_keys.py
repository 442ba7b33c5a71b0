"""What is left in Redis after the life of a thousand processes."""

from __future__ import annotations

from tests.process.support import Bench
from tests.process.test_clean_keys import live_for


def test_150_000_jobs_and_a_thousand_processes_leave_nothing_behind(bench: Bench) -> None:
    live_for(bench, 150_000)
