"""The jobs of the process tests: one that takes its behaviour as an argument, and Ruby's names."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import gevent
import gevent.event
import greenlet

import gresque
from gresque.jobs.payload import decode
from tests.process.job_store import store


@gresque.job(queue="q", name="Behave")
def behave(how: str, *args: Any) -> None:
    """Do what `how` says. Every start is noted in the list "started", every end in "ended"."""
    store().rpush("started", how)
    try:
        BEHAVIOURS[how](*args)
    finally:
        store().rpush("ended", how)


def _fail(message: str = "as told") -> None:
    raise ValueError(message)


def _spin() -> None:
    while True:
        pass


def _immortal(spinning: bool) -> None:
    while True:
        try:
            while spinning:
                pass
            time.sleep(60)
        except BaseException:
            continue


def _finally() -> None:
    try:
        time.sleep(60)
    finally:
        time.sleep(60)


def _enqueue_late(count: int) -> None:
    time.sleep(0.5)
    for _ in range(count):
        behave.enqueue("ok")


def _wait_on_socket() -> None:
    a, _b = socket.socketpair()
    a.recv(1)


def _wait_on_redis() -> None:
    store().blpop(["nothing"], 60)


def _swallow(seconds: float) -> None:
    try:
        time.sleep(seconds)
    except Exception:
        time.sleep(seconds)


def _catch() -> None:
    with suppress(BaseException):
        time.sleep(60)


def _die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


def _greenlet_fails() -> None:
    gevent.spawn(_fail, "two\n\x1b[31mlines").join()


def _thread_fails() -> None:
    thread = threading.Thread(target=_fail, args=("two\n\x1b[31mlines",))
    thread.start()
    thread.join()


def _hold_the_gil() -> None:
    """Within C, where no signal is handled."""
    sum(range(10**12))


BEHAVIOURS = {
    "greenlet fails": _greenlet_fails,
    "thread fails": _thread_fails,
    "ok": lambda *args: None,
    "fail": _fail,
    "sleep": time.sleep,
    "spin": _spin,
    "hold the GIL": _hold_the_gil,
    "swallow": _swallow,
    "immortal": _immortal,
    "finally": _finally,
    "socket": _wait_on_socket,
    "redis": _wait_on_redis,
    "catch": _catch,
    "die": _die,
    "exit": sys.exit,
    "os_exit": os._exit,
    "greenlet_exit": lambda: gevent.getcurrent().throw(gevent.GreenletExit),
    "enqueue": lambda: behave.enqueue("ok"),
    "enqueue_late": _enqueue_late,
}


@gresque.job(queue="q", name="Noop")
def noop(*args: Any) -> None:
    """Ruby's Noop: counts its run under the job's id, or its arguments where it has none."""
    raw = gevent.getcurrent().job[2]
    payload = decode(raw)
    store().hincrby("runs", str(payload.id or raw.decode()), 1)


@gresque.job(queue="q", name="Quiet")
def quiet(n: int) -> None:
    """Sends nothing to Redis, for a user without the rights of other jobs."""


@gresque.job(queue="q", name="Boom")
def boom(message: str) -> None:
    raise ValueError(message)


@gresque.job(queue="q", name="Count")
def count(key: str) -> None:
    store().hincrby("runs", key, 1)


@gresque.job(queue="q", name="When")
def when(due: float) -> None:
    """Notes when it was due and when it began."""
    store().rpush("when", f"{due} {time.time()}")


@gresque.job(queue="q", name="CountSlowly")
def count_slowly(key: str, seconds: float) -> None:
    store().hincrby("begun", key, 1)
    time.sleep(seconds)
    store().hincrby("runs", key, 1)


@gresque.job(queue="q", name="CountWhenLet")
def count_when_let(key: str) -> None:
    """Ends when the test lets it, by the key `let`: however long that one takes."""
    store().hincrby("begun", key, 1)
    _until("let")
    store().hincrby("runs", key, 1)


@gresque.job(queue="q", name="FailWhenCut", on_dirty_exit="fail")
def fail_when_cut(seconds: float) -> None:
    store().rpush("started", "FailWhenCut")
    time.sleep(seconds)


@gresque.job(queue="q", name="Timed", timeout_seconds=0.4)
def timed(how: str, *args: Any) -> None:
    behave(how, *args)


@gresque.job(queue="q", name="InTime", timeout_seconds=600)
def in_time() -> None:
    """Has a limit that no busy machine reaches."""


class Hooked(gresque.Job):
    """Notes its hooks in the order in which they are called."""

    queue = "q"
    name = "Hooked"

    def before_perform_b(*args: Any) -> None:
        store().rpush("hooks", "before_b")

    def before_perform_a(*args: Any) -> None:
        store().rpush("hooks", "before_a")
        if args == ("skip",):
            raise gresque.DontPerform

    def around_perform_x(perform: Any, *args: Any) -> None:
        store().rpush("hooks", "around_in")
        perform()
        store().rpush("hooks", "around_out")

    def perform(*args: Any) -> None:
        store().rpush("hooks", "perform")
        if args == ("fail",):
            raise ValueError("hooked")

    def after_perform_x(*args: Any) -> None:
        store().rpush("hooks", "after")

    def on_failure_x(error: BaseException, *args: Any) -> None:
        store().rpush("hooks", f"failure:{error}:{args}")


@gresque.job(queue="q", name="Poison")
def poison(spin_seconds: float = 0.0) -> None:
    """Takes its process along, after it has spun for a while."""
    until = time.monotonic() + spin_seconds
    while time.monotonic() < until:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(10)


@gresque.job(queue="q", name="Nothing")
def nothing(*args: Any) -> None:
    """Costs nothing but its way through gresque."""


@gresque.job(queue="q", name="Brief")
def brief(key: str) -> None:
    time.sleep(0.005)
    store().hincrby("runs", key, 1)


# Jobs that hold the GIL in C: no thread of their process runs meanwhile.


def _hold_gil_in_re() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def _hold_gil_in_c(seconds: float) -> None:
    _wait_deaf(ctypes.PyDLL(None), seconds)  # PyDLL, unlike CDLL, keeps the GIL


def _wait_deaf(library: ctypes.CDLL, seconds: float) -> None:
    # This wait, unlike sleep, no signal cuts short.
    mutex, condition = bytes(64), bytes(64)
    end = time.time() + seconds
    until = (ctypes.c_long * 2)(int(end), int(end % 1 * 1e9))
    library.pthread_mutex_lock(mutex)
    while library.pthread_cond_timedwait(condition, mutex, until) == 0:
        pass


def _wait_in_c(seconds: float) -> None:
    """Keeps the loop from turning, not the other native threads; goes on after a signal."""
    library, deadline = ctypes.CDLL(None), time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        library.usleep(min(int(left * 1_000_000), 50_000))


def _hold_gil_until_opened(path: str) -> None:
    """Until a process opens this FIFO to write; no signal ends that wait either."""
    ctypes.PyDLL(None).open(path.encode(), os.O_RDONLY)


def _until(key: str) -> None:
    while not store().exists(key):
        time.sleep(0.02)


BEHAVIOURS |= {"re": _hold_gil_in_re, "gil": _hold_gil_in_c, "c": _wait_in_c}
BEHAVIOURS |= {"fifo": _hold_gil_until_opened, "until": _until}
BEHAVIOURS["deaf"] = lambda seconds: _wait_deaf(ctypes.CDLL(None), seconds)


@gresque.job(queue="q", name="TimedInC", timeout_seconds=1)
def timed_in_c() -> None:
    store().rpush("started", "TimedInC")
    _hold_gil_in_re()


@gresque.job(queue="q", name="Guarded")
def guarded(how_long: float | str, how: str = "sleep") -> None:
    """A critical section, and something long after it."""
    store().rpush("started", "Guarded")
    with gresque.uninterruptible():
        with gresque.uninterruptible():
            BEHAVIOURS[how](how_long)
        store().rpush("sections", "whole")
    time.sleep(60)


class FailsSlowly(gresque.Job):
    """Fails at once; its hook takes long."""

    queue = "q"
    name = "FailsSlowly"
    timeout_seconds = 30

    def perform(*args: Any) -> None:
        raise ValueError("at once")

    def on_failure_wait(error: BaseException, *args: Any) -> None:
        store().rpush("started", "on_failure")
        time.sleep(60)


@gresque.job(queue="q", name="Environment")
def environment(*names: str) -> None:
    """What a program that a job starts finds in its environment."""
    print_them = f"import json, os; print(json.dumps([os.environ.get(n) for n in {names!r}]))"
    found = subprocess.run([sys.executable, "-c", print_them], check=True, capture_output=True)
    store().set("environment", found.stdout)


@gresque.job(queue="q", name="Print")
def print_it(key: str, seconds: float = 0, text: str = "") -> None:
    """Print before and after, as jobs do, and count the run."""
    print(f"before {key} {text}\n", end="", flush=True)  # in one piece, beside other processes
    time.sleep(seconds)
    print(f"after {key} {text}\n", end="", flush=True)
    store().hincrby("runs", key, 1)


_kept: list[bytes] = []


@gresque.job(queue="q", name="Allocate")
def allocate(megabytes: int, spin_seconds: float = 0) -> None:
    """Take memory for good, then block the loop for a while."""
    _kept.append(b"x" * (megabytes * 1_000_000))
    store().set("allocated", os.getpid())
    end = time.monotonic() + spin_seconds
    while time.monotonic() < end:
        pass
    store().hincrby("runs", "allocate", 1)


@gresque.job(queue="q", name="Until")
def until(key: str) -> None:
    """Wait until something is pushed to the list `key`, then count the run."""
    store().blpop([key], 60)
    store().hincrby("runs", key, 1)


@gresque.job(queue="q", name="WhoRuns")
def who_runs() -> None:
    """Note the pid of the process that runs this."""
    store().rpush("pids", os.getpid())


def _start(how: str, run: Callable[[], None]) -> Callable[[], Any]:
    """Have something of the job's own run this; returns what waits for its end."""
    if how == "greenlet":
        return gevent.spawn(run).join
    if how == "thread":
        thread = threading.Thread(target=run, name="of-a-job")
        thread.start()
        return thread.join
    if how == "pool":
        return ThreadPoolExecutor(1).submit(run).result
    if how == "raw":
        return greenlet.greenlet(run).switch
    if how == "nested":  # the one in between has ended when the innermost blocks
        gevent.spawn(lambda: gevent.spawn_later(0.1, run)).join()
        return gevent.event.Event().wait
    if how == "link":
        gevent.spawn(int).link(lambda spawned: run())
        return gevent.event.Event().wait
    assert how == "callback"
    gevent.get_hub().loop.run_callback(run)
    return gevent.event.Event().wait


@gresque.job(queue="q", name="Start")
def start(how: str, what: str, *args: Any, leave: bool = False) -> None:
    """Have something of its own behave like that, and wait for it, or leave it behind."""
    store().rpush("started", "Start")
    wait = _start(how, lambda: BEHAVIOURS[what](*args))
    if not leave:
        wait()


@gresque.job(queue="q", name="TimedStart", timeout_seconds=1)
def timed_start(how: str, what: str) -> None:
    start(how, what)


class TooLate(Exception):
    """What `signal.alarm` is to raise."""


def _raise_too_late(*args: Any) -> None:
    raise TooLate


def _exit(*args: Any) -> None:
    sys.exit(0)


@gresque.job(queue="q", name="Take")
def take(*names: str, until_taken_back: bool = False) -> None:
    """Set handlers for these signals, as libraries do that run a program's main loop."""
    for name in names:
        signal.signal(signal.Signals[name], _exit)
    while until_taken_back and signal.getsignal(signal.Signals[names[0]]) is _exit:
        time.sleep(0.01)
    store().rpush("started", "Take")


@gresque.job(queue="q", name="Borrow")
def borrow(*names: str) -> None:
    """Set handlers and put back what there was, as asyncio does."""
    for name in names:
        former = signal.signal(signal.Signals[name], _exit)
        signal.signal(signal.Signals[name], former)
    store().rpush("started", "Borrow")


@gresque.job(queue="q", name="Alarm")
def alarm(seconds: float) -> None:
    """Limit one's own time, as it is done in a program with one thing to do."""
    signal.signal(signal.SIGALRM, _raise_too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    time.sleep(3 * seconds)
    store().hincrby("runs", "alarm", 1)


@gresque.job(queue="q", name="ExitInGreenlet")
def exit_in_greenlet() -> None:
    gevent.spawn(sys.exit, 3).join()
    store().hincrby("runs", "exit", 1)
