"""Tracked jobs of the process tests."""

from __future__ import annotations

import os
import threading
from typing import Any

import gevent

import gresque
from tests.process.job_store import store


@gresque.job(queue="q", name="TrackedAdd", result_ttl_seconds=60)
def add(one: int, other: int) -> Any:
    return {"sum": one + other}


@gresque.job(queue="q", name="TrackedBrief", result_ttl_seconds=1)
def brief(number: int) -> int:
    return number


@gresque.job(queue="q", name="TrackedWaits", result_ttl_seconds=60)
def waits() -> str:
    """Runs until it is let, and says how far it is."""
    done = 0
    while not store().exists("let"):
        gresque.progress(done, 10, note="so far")
        done = min(done + 1, 9)
        gevent.sleep(0.02)
    # In a native thread of the job, too.
    gevent.get_hub().threadpool.apply(gresque.progress, (10, 10))
    return "let"


@gresque.job(queue="q", name="TrackedFails", result_ttl_seconds=60, retries=1, backoff=0.05)
def fails() -> None:
    raise ValueError("no")


@gresque.job(queue="q", name="TrackedNoJson", result_ttl_seconds=60, retries=5, backoff=0)
def no_json() -> set[int]:
    store().incr("no_json")
    return {1}


@gresque.job(
    queue="q", name="TrackedDropped", result_ttl_seconds=60, expires_seconds=0.01, on_expire="drop"
)
def dropped() -> None: ...


@gresque.job(queue="q", name="TrackedForks", result_ttl_seconds=60)
def forks() -> int:
    """What `progress` returns in a process that the job forks."""
    pid = os.fork()
    if not pid:
        os._exit(2 + gresque.progress(99, 100))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@gresque.job(queue="q", name="TrackedAsks")
def asks(many: int) -> None:
    """Greenlets of a job wait for other jobs, over one connection."""
    ids = [str(add.enqueue(number, 1)) for number in range(many)]
    waiting = [gevent.spawn(gresque.result, each, 30) for each in ids]
    gevent.joinall(waiting, raise_error=True)
    found = [each.value["sum"] for each in waiting]
    assert found == list(range(1, many + 1))
    inside = threading.Thread(target=lambda: store().set("inside", gresque.result(ids[0])["sum"]))
    inside.start()
    inside.join()
    tracking = [each for each in store().client_list() if "t" in each["flags"]]
    mine = [each for each in tracking if each["cmd"] == "hmget"]
    store().set("asked", len(mine))
