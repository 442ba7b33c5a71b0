"""A module of jobs with a schedule, which a test gives by ENV."""

from __future__ import annotations

import os
import time

import gresque
from tests.process.job_store import store


@gresque.cron(os.environ["TEST_CRON"], name="tick", catch_up="all", args=[os.environ["TEST_CRON"]])
@gresque.job(queue="ticks", name="Tick")
def tick(line: str) -> None:
    job = gresque.current_job()
    assert job is not None and job.scheduled_for is not None and job.enqueued_at is not None
    store().rpush(
        "ticks", f"{job.scheduled_for.timestamp():.0f} {job.enqueued_at} {time.time()} {line}"
    )
