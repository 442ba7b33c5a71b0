"""A job for each way in which one can end, all of them with retries."""

from __future__ import annotations

import os
import sys
from typing import Any

import gevent

import gresque
from gresque.errors import DontPerform, JobKilled
from tests.process.job_store import store


def raises(error: BaseException) -> Any:
    def fail(attempt: int) -> None:
        raise error

    return fail


def _until(attempts: int, act: Any) -> Any:
    """Does it in the first attempts; then the job succeeds."""
    return lambda attempt: act(attempt) if attempt <= attempts else None


def _die_once(attempt: int) -> None:
    job = gresque.current_job()
    assert job is not None
    if not job.recoveries and attempt == 1:
        os._exit(3)


def _snooze(attempt: int) -> None:
    if store().incr("snoozed") % 3:
        raise gresque.RetryLater(0.01)


ENDS: dict[str, Any] = {
    "done": lambda attempt: None,
    "skipped": lambda attempt: None,
    "fails": raises(ValueError()),
    "recovers": _until(2, raises(ValueError())),
    "exits": _until(1, lambda attempt: sys.exit(3)),
    "interrupts": _until(1, raises(KeyboardInterrupt())),
    "leaves": _until(1, raises(gevent.GreenletExit())),
    "times": _until(1, raises(gevent.Timeout(1))),
    "base": _until(1, raises(BaseException())),
    "killed": raises(JobKilled("by itself")),
    "gives up": raises(gresque.GiveUp()),
    "snoozes": _snooze,
    "slow": _until(1, lambda attempt: gevent.sleep(60)),
    "slow hook": _until(1, raises(ValueError())),
    "broken hook": _until(1, raises(ValueError())),
    "dies": _die_once,
    "unhurried": lambda attempt: gevent.sleep(0.2),
}


class Ending(gresque.Job):
    queue, name, retries, timeout_seconds = "q", "Ending", 3, 0.6

    def backoff(attempt: int) -> float:  # type: ignore[override]
        return (0.0, 0.01, 0.05)[attempt % 3]

    def before_perform(how: str, number: int) -> None:
        if how == "skipped":
            raise DontPerform

    def perform(how: str, number: int) -> None:
        job = gresque.current_job()
        assert job is not None
        ENDS[how](job.attempt)

    def on_retry(error: BaseException, how: str, number: int) -> None:
        if how == "broken hook":
            sys.exit(4)
        if how == "slow hook":
            gevent.sleep(60)
