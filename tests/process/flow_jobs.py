"""Jobs of queues with limits, and jobs of which there is one at a time."""

from __future__ import annotations

import time
from typing import Any

import gevent

import gresque
from tests.process.job_store import store


@gresque.job(queue="q", name="Nap")
def nap(seconds: float) -> None:
    """Waits, and sends nothing to Redis."""
    gevent.sleep(seconds)


@gresque.job(queue="q", name="Began")
def began(key: str) -> None:
    """Notes when it began."""
    store().rpush(f"began:{key}", time.time())


@gresque.job(queue="q", name="BeganNap")
def began_nap(key: str, seconds: float) -> None:
    """Notes when it began, and waits."""
    store().rpush(f"began:{key}", time.time())
    gevent.sleep(seconds)


def _note(name: str, value: int) -> None:
    """Note a run that has seen all triggers up to `value`, at its start and at its end."""
    job = gresque.current_job()
    assert job is not None
    store().sadd(f"begun:{name}", job.id)
    store().rpush(f"began:{name}", value)
    gevent.sleep(0.005)
    store().rpush(f"ran:{name}", value)


def _seen(name: str) -> int:
    """The count of the programs that enqueue: each of them counts, and then enqueues."""
    return int(store().get(f"counter:{name}") or 0)


@gresque.job(queue="sync", name="SyncQueued", unique="queued")
def sync_queued(name: str) -> None:
    _note(name, _seen(name))


@gresque.job(queue="sync", name="SyncBoth", unique="both")
def sync_both(name: str) -> None:
    _note(name, _seen(name))


@gresque.job(queue="sync", name="SyncAgain", unique="both", on_duplicate="again")
def sync_again(name: str) -> None:
    _note(name, _seen(name))


@gresque.job(
    queue="sync",
    name="SyncReplace",
    unique="queued",
    on_duplicate="replace",
    unique_key=lambda name, value: name,
)
def sync_replace(name: str, value: int) -> None:
    _note(name, value)


@gresque.job(
    queue="sync",
    name="SyncLatest",
    unique="both",
    on_duplicate="again",
    unique_key=lambda name, value: name,
)
def sync_latest(name: str, value: int) -> None:
    """A further run has the latest value."""
    _note(name, value)


@gresque.job(queue="sync", name="SyncRunning", unique="running")
def sync_running(name: str, seconds: float = 0.005) -> None:
    """Notes when two run at once, which must never happen."""
    if store().incr(f"inside:{name}") > 1:
        store().incr("two at once")
    try:
        gevent.sleep(seconds)
        store().hincrby("runs", name, 1)
    finally:
        store().decr(f"inside:{name}")


@gresque.job(queue="sync", name="SyncFlaky", unique="both", retries=3, backoff=0.3)
def sync_flaky(name: str) -> None:
    job = gresque.current_job()
    assert job is not None
    store().rpush(f"attempts:{name}", job.attempt)
    if job.attempt <= 3:
        raise ValueError("fails on purpose")


@gresque.job(queue="sync", name="SyncSlow", unique="both")
def sync_slow(name: str, seconds: float) -> None:
    store().rpush(f"began:{name}", time.time())
    gevent.sleep(seconds)
    store().hincrby("runs", name, 1)


@gresque.job(queue="sync", name="RunsAt")
def runs_at(name: str, value: Any) -> None:
    """Notes when it ran, with what."""
    store().rpush(f"at:{name}", f"{time.time()} {value}")
