"""The jobs of chaos.py. It imports this module too, from beside itself: what is unique is declared.

Each notes its start and its end in the file CHAOS_TALLY: Redis may be away.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import gresque


@gresque.job(queue="bench", name="Chaos")
def chaos(key: str, seconds: float) -> None:
    """Wait."""
    _note("start", key)
    time.sleep(seconds)
    _note("end", key)


@gresque.job(queue="bench", name="ChaosForks")
def chaos_forks(key: str, seconds: float) -> None:
    """As Chaos, with a child that lives as long as the wait and then ends in one of many ways."""
    _note("start", key)
    how = random.choice(["return", "raise", "exit", "os_exit", "process", "run", "greenlet"])
    if how == "run":
        subprocess.run(["sleep", str(seconds)], check=True, preexec_fn=_nothing)
    elif how == "process":
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(seconds,))
        process.start()
        process.join()
    elif how == "greenlet":
        import gevent  # in a worker it is there; a benchmark that only enqueues stays without

        _reap(gevent.spawn(_fork, how, seconds).get())
    elif pid := _fork(how, seconds):
        _reap(pid)
    else:
        return
    _note("end", key)


CHAOS_FAILURES, CHAOS_DELAY = 2, 0.3
"""How often a job of chaos that is tried again fails, and the seconds until its next attempt."""


@gresque.job(queue="bench", name="ChaosRetried", retries=CHAOS_FAILURES, backoff=CHAOS_DELAY)
def chaos_retried(key: str, seconds: float) -> None:
    """As Chaos, at the third attempt. Each attempt has a key of its own."""
    job = gresque.current_job()
    assert job is not None
    _note("start", f"{key}#{job.attempt}")
    time.sleep(seconds)
    if job.attempt <= CHAOS_FAILURES:
        _note("failed", f"{key}#{job.attempt}")
        raise ValueError("on purpose")
    _note("end", key)


@gresque.job(queue="bench", name="ChaosFails")
def chaos_fails(key: str, seconds: float) -> None:
    """As Chaos, and then it fails for good."""
    chaos(key, seconds)
    raise ValueError("on purpose")


@gresque.job(queue="bench", name="ChaosTick")
def chaos_tick(number: int) -> None:
    """Note which tick of which schedule entry has run."""
    job = gresque.current_job()
    assert job is not None and job.scheduled_for is not None
    key = f"tick-{number}@{job.scheduled_for.timestamp():.0f}"
    _note("start", key)
    _note("end", key)


def _nothing() -> None:
    """With it, Python runs in the child before the program does."""


def _fork(how: str, seconds: float) -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        if how == "raise":
            raise ValueError("in a child")
        if how == "exit":
            sys.exit(3)
        if how == "os_exit":
            os._exit(4)
    return pid


def _reap(pid: int) -> None:
    os.waitpid(pid, 0)


TRIGGERS = "CHAOS_TRIGGERS"
"""The directory with a file for each key of a unique job: how often it was triggered so far."""


@gresque.job(queue="bench", name="ChaosRunning", unique="running", unique_key=lambda *args: args[2])
def chaos_running(key: str, seconds: float, lock: str) -> None:
    """As Chaos. No two with the same lock run at once."""
    chaos(key, seconds)


@gresque.job(
    queue="bench", name="ChaosQueued", unique="queued", unique_key=lambda key, seconds: key
)
def chaos_queued(key: str, seconds: float) -> None:
    """Note which trigger this run has seen."""
    chaos(f"{key}@{triggers(Path(os.environ[TRIGGERS]), key)}", seconds)


@gresque.job(
    queue="bench", name="ChaosAgain", unique="both", on_duplicate="again",
    unique_key=lambda key, seconds: key,
)  # fmt: skip
def chaos_again(key: str, seconds: float) -> None:
    """As ChaosQueued, and never two at once."""
    chaos(f"{key}@{triggers(Path(os.environ[TRIGGERS]), key)}", seconds)


def trigger(directory: Path, key: str, number: int) -> None:
    """Written in one piece: a job may read it at any moment."""
    descriptor = os.open(directory / key, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(descriptor, f"{number:012}".encode(), 0)
    os.close(descriptor)


def triggers(directory: Path, key: str) -> int:
    return int((directory / key).read_bytes())


@cache
def _tally_of(pid: int) -> int:
    return os.open(os.environ["CHAOS_TALLY"], os.O_WRONLY | os.O_APPEND)


def _note(event: str, key: str) -> None:
    pid = os.getpid()
    os.write(_tally_of(pid), f"{event} {key} {pid} {time.monotonic():.4f}\n".encode())
