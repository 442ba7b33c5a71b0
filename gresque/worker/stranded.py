"""The jobs of a process that was declared dead, and its jobs recovered, while it lived."""

from __future__ import annotations

import time

from gevent import sleep

from gresque.worker.threads.pool import ThreadPool

STRANDED_SECONDS = 5.0
"""How long jobs that run elsewhere by now may take to end."""


def end_recovered_jobs(pool: ThreadPool) -> None:
    """Kill the running jobs, as others run them, too, or will. Their `finally` blocks run."""
    pool.kill_jobs("its process was declared dead, and the job recovered", requeue=True)
    until = time.monotonic() + STRANDED_SECONDS
    while any(thread.job for thread in pool.threads) and time.monotonic() < until:
        sleep(0.01)
