"""Unique jobs. Each one copies `value:<name>` to `seen:<name>` as it starts; `overlaps` has the
names of those of which two ran at once. They are for processes with one thread.

A worker process is killed once at each point that KILL_AT names. The directory KILLED_AT has an
entry for each of these kills."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent

import gresque
from gresque.backoff import Backoff
from gresque.worker.turns.session import Session
from gresque.worker.turns.starter import Starter
from tests.process.job_store import store

_MASTER = os.getpid()


def die_at(point: str) -> None:
    if point not in os.environ.get("KILL_AT", "").split(",") or os.getpid() == _MASTER:
        return
    with suppress(FileExistsError):
        (Path(os.environ["KILLED_AT"]) / point).mkdir()
        os.kill(os.getpid(), signal.SIGKILL)


def _around(point: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def called(owner: Any, *arguments: Any) -> Any:
        holds = isinstance(owner, Starter) or arguments[0].ended
        if holds:
            die_at(f"before {point}")
        result = call(owner, *arguments)
        if holds:
            die_at(f"after {point}")
        return result

    return called


if "KILL_AT" in os.environ:  # only in workers: the tests import this module, too, to enqueue
    Backoff.next_seconds = lambda self: 0.01  # type: ignore[method-assign]
    Starter.start = _around("start", Starter.start)  # type: ignore[method-assign]
    Session.run = _around("settle", Session.run)  # type: ignore[method-assign]


def note(name: str, fails: bool = False) -> None:
    redis = store()
    die_at("as it begins")
    redis.rpush(f"seen:{name}", redis.get(f"value:{name}") or 0)
    beside = redis.getset(f"now:{name}", os.getpid())
    if beside and int(beside) != os.getpid() and _is_alive(int(beside)):
        redis.rpush("overlaps", name)
    gevent.sleep(0.003)
    die_at("as it ends")
    redis.delete(f"now:{name}")
    if fails:
        raise ValueError("fails on purpose")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@gresque.job(queue="q", name="Queued", unique="queued")
def queued(name: str, fails: bool = False) -> None:
    note(name, fails)


@gresque.job(queue="q", name="Both", unique="both", retries=2, backoff=0.02)
def both(name: str, fails: bool = False) -> None:
    note(name, fails)


@gresque.job(queue="q", name="Again", unique="both", on_duplicate="again")
def again(name: str) -> None:
    note(name)


@gresque.job(
    queue="q",
    name="Replaced",
    unique="both",
    on_duplicate="replace",
    unique_key=lambda name, _: name,
)
def replaced(name: str, value: int) -> None:
    store().set(f"value:{name}", value)
    store().rpush(f"order:{name}", value)
    note(name)


@gresque.job(queue="q", name="Serial", unique="running", unique_key=lambda name, _: name)
def serial(name: str, number: int) -> None:
    store().rpush(f"order:{name}", number)
    note(name)


@gresque.job(queue="q", name="HangsUnique", unique="both")
def hangs(name: str) -> None:
    store().rpush("started", name)
    gevent.sleep(600)


@gresque.job(queue="q", name="HangsAlone", unique="running", unique_key=lambda name: "one")
def hangs_alone(name: str) -> None:
    store().rpush("started", name)
    gevent.sleep(600)
