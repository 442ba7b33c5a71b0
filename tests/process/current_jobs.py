"""Jobs that say which job they are, at every place where code of a job runs."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import gevent.threadpool

import gresque
from tests.process.job_store import store


def _which() -> list[Any] | None:
    job = gresque.current_job()
    if job is None:
        return None
    assert job is gresque.current_job()
    assert job.enqueued_at is not None
    assert abs(job.enqueued_at - time.time()) < 60
    return [job.id, job.name, job.queue, job.attempt, job.generation, job.recoveries]


def _tell(where: str) -> None:
    _note(where, _which())


def _note(where: str, found: list[Any] | None) -> None:
    store().hset("which", where, json.dumps(found))


class _Sent:
    """A filter, as an application has one."""

    def filter(self, record: logging.LogRecord) -> bool:
        _tell("filter")
        return True


def _in_fork() -> None:
    pid = os.fork()
    if not pid:
        _tell("fork")
        return
    os.waitpid(pid, 0)


def _in_process() -> None:
    process = multiprocessing.get_context("fork").Process(target=_tell, args=("process",))
    process.start()
    process.join()


def _by_log() -> None:
    log = logging.getLogger("tests.filtered")
    log.addFilter(_Sent())
    log.warning("look")


def _outlive() -> None:
    def tell() -> None:
        _tell("outlived")
        store().rpush("outlived", 1)

    gevent.spawn_later(0.02, tell)


def _inline() -> None:
    gresque.Client(inline=True).enqueue_to("inner", which, "inline")
    _tell("after inline")


PLACES = {
    "job": lambda: _tell("job"),
    "greenlet": lambda: gevent.spawn(gevent.spawn, _tell, "greenlet").get().join(),
    "thread": lambda: ThreadPoolExecutor(1).submit(_tell, "thread").result(),
    "patched thread": lambda: _joined(threading.Thread(target=_tell, args=("patched thread",))),
    "pool": lambda: _note("pool", gevent.get_hub().threadpool.apply(_which)),
    "native executor": lambda: _note(
        "native executor", gevent.threadpool.ThreadPoolExecutor(1).submit(_which).result()
    ),
    "fork": _in_fork,
    "process": _in_process,
    "filter": _by_log,
    "outlived": _outlive,
    "inline": _inline,
}


def _joined(thread: threading.Thread) -> None:
    thread.start()
    thread.join()


@gresque.job(name="Inner")
def which(where: str) -> None:
    _tell(where)


class Tell(gresque.Job):
    name = "Which"

    def before_perform(place: str) -> None:
        _tell("before_perform")

    def perform(place: str) -> None:
        if place == "fail":
            raise _Odd
        if place == "sleep":
            store().rpush("started", place)
            time.sleep(60)
        PLACES[place]()

    def on_failure(error: BaseException, place: str) -> None:
        _tell("on_failure")


class _Odd(Exception):
    def __str__(self) -> str:
        _tell("__str__")
        return "odd"


@gresque.after_fork
def _after_fork() -> None:
    _tell("after_fork")


@gresque.worker_exit
def _worker_exit() -> None:
    _tell("worker_exit")


@gresque.job(name="Outside")
def outside() -> None:
    """What runs beside the job, and not on its behalf."""
    found: Any = gevent.event.AsyncResult()
    gevent.get_hub().loop.run_callback(lambda: found.set(_which()))
    _note("callback", found.get())
