"""Jobs that are tried again. Each start is noted: `attempts:<name>` has the attempt of each."""

from __future__ import annotations

from typing import Any

import gevent

import gresque
from tests.process.job_store import store


def note(name: str) -> int:
    job = gresque.current_job()
    assert job is not None
    store().rpush(f"attempts:{name}", job.attempt)
    return job.attempt


class Flaky(gresque.Job):
    """Fails so often, then succeeds; notes which of its hooks are called."""

    queue, name = "q", "Flaky"
    retries, backoff = 3, 0.02

    def perform(name: str, fails: int) -> None:
        if note(name) <= fails:
            raise ValueError(f"as told, {name}")

    def on_retry(error: BaseException, name: str, fails: int) -> None:
        store().rpush(f"hooks:{name}", "retry")

    def on_failure(error: BaseException, name: str, fails: int) -> None:
        store().rpush(f"hooks:{name}", "failure")

    def on_give_up(error: BaseException, name: str, fails: int) -> None:
        store().rpush(f"hooks:{name}", "give up")


@gresque.job(queue="q", name="Snoozing")
def snoozing(name: str, times: int) -> None:
    note(name)
    if store().llen(f"attempts:{name}") <= times:
        raise gresque.RetryLater(0)


@gresque.job(queue="q", name="HangsAtTwo", retries=5, backoff=0.02)
def hangs_at_two(name: str) -> None:
    attempt = note(name)
    if attempt == 1:
        raise ValueError
    if attempt == 2 and not store().exists("released"):
        gevent.sleep(600)


@gresque.job(queue="q", name="Gradual", retries=5, backoff=0.05)
def gradual(name: str, *args: Any) -> None:
    """Takes some time at each attempt, and fails three times."""
    attempt = note(name)
    gevent.sleep(0.01)
    if attempt <= 3:
        raise ValueError


class Hangs(gresque.Job):
    """Fails, and hangs in what is asked before it is put off: where the key `hangs` says."""

    queue, name, retries = "q", "Hangs", 3

    class Error(Exception):
        def __str__(self) -> str:
            return hang("message")

    def backoff(attempt: int) -> float:  # type: ignore[override]
        hang("backoff")
        return 30

    def perform() -> None:
        note("Hangs")
        raise Hangs.Error

    def on_retry(error: BaseException) -> None:
        store().rpush("hooks:Hangs", "retry")
        hang("on_retry")

    def on_failure(error: BaseException) -> None:
        store().rpush("hooks:Hangs", f"failure by {type(error).__name__}")


def hang(where: str) -> str:
    if store().get("hangs") == where.encode():
        store().rpush("hanging", where)
        gevent.sleep(600)
    return where
