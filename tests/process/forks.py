"""Jobs that fork, and what their children do."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.lock
from gevent.monkey import get_original

import gresque
from gresque import forked
from tests.process.child_works import (
    IN_CHILD,
    LOCK,
    double_fork,
    exit_code,
    heard,
    left_open,
    read_pipe,
    run_process,
    square,
)
from tests.process.job_store import store


def _links(numbers: Iterable[int]) -> set[Path]:
    """What stands behind descriptors of this process."""
    found = set()
    for number in numbers:
        with suppress(OSError):
            found.add(Path(f"/proc/self/fd/{number}").readlink())
    return found


@gresque.job(queue="q", name="InChild")
def in_child(kind: str) -> None:
    """Do it in a child, whose return is its end."""
    store()
    worker = set(forked._descriptors)
    for owner, descriptors in forked._owners.items():
        worker.update(descriptors(owner))
    of_worker = _links(worker)
    if kind == "own handler":
        signal.signal(signal.SIGHUP, lambda number, frame: heard.append(number))
    a, b = socket.socketpair()
    with gevent.Timeout(60):
        pid = os.fork()
        if pid == 0:
            a.close()
            assert b.recv(1) == b"x"  # a socket of before the fork
            b.sendall(repr(IN_CHILD[kind][0]()).encode())
            kept = _links(range(3, 1000)) & of_worker
            store().hset("kept", kind, repr(kept))
            return
    b.close()
    a.send(b"x")
    result = b"".join(iter(lambda: a.recv(1000), b""))
    store().hset("child", kind, result)
    store().hset("status", kind, exit_code(pid))
    store().hset("worker has", kind, len(of_worker))


@gresque.job(queue="q", name="InWorker")
def in_worker(kind: str) -> None:
    """The same in the worker itself."""
    store().hset("worker", kind, repr(IN_CHILD[kind][0]()))


@gresque.job(queue="q", name="TakeLock")
def take_lock() -> None:
    """What waits for it in a parent must not get it from a child."""
    with LOCK:
        store().hincrby("runs", "lock", 1)


@gresque.job(queue="q", name="HoldLock")
def hold_lock(key: str) -> None:
    with LOCK:
        store().set("lock held", 1)
        while not store().exists(key):
            time.sleep(0.01)


ENDS: dict[str, Callable[[], Any]] = {
    "return": lambda: None,
    "raise": lambda: _fail(),
    "exit": lambda: sys.exit(3),
    "exit with a text": lambda: sys.exit("that is all"),
    "_exit": lambda: os._exit(4),
}
STATUSES = {"return": 0, "raise": 1, "exit": 3, "exit with a text": 1, "_exit": 4}


def _fail() -> None:
    raise ValueError("raised in a child")


def _fork(how: str) -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(0.01)  # gevent resumes the greenlets of the parent here
        ENDS[how]()
    return pid


def _in_thread(how: str) -> int:
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(_fork(how)))
    thread.start()
    thread.join()
    return done[0]


def _in_raw_greenlet(how: str) -> int:
    done = gevent.event.AsyncResult()
    gevent.spawn_raw(lambda: done.set(_fork(how)))
    return int(done.get())


def _in_native_thread(how: str) -> int:
    done: list[int] = []

    def run() -> None:
        done.append(_fork(how))

    get_original("_thread", "start_new_thread")(run, ())
    while not done:
        time.sleep(0.001)
    return done[0]


WHERE: dict[str, Callable[[str], int]] = {
    "job": _fork,
    "greenlet": lambda how: int(gevent.spawn(_fork, how).get()),
    "raw greenlet": _in_raw_greenlet,
    "thread": _in_thread,
    "executor": lambda how: concurrent.futures.ThreadPoolExecutor(1).submit(_fork, how).result(),
    "native pool": lambda how: int(gevent.get_hub().threadpool.apply(_fork, (how,))),
    "native thread": _in_native_thread,
}
HOOKS = ("before", "around", "around late", "after", "failure")


def _note(what: str, where: str, how: str) -> None:
    store().hincrby("noted", f"{what} {where} {how}", 1)


def _fork_in(where: str, how: str) -> bool:
    """True in the child."""
    if pid := WHERE.get(where, _fork)(how):
        store().hset("status", f"{where} {how}", exit_code(pid))
    return not pid


class Spawner(gresque.Job):
    """Forks where it is said; notes what runs."""

    queue = "q"
    name = "Forks"

    def before_perform(where: str, how: str) -> None:
        if where == "before":
            _fork_in(where, how)

    def around_perform(perform: Any, where: str, how: str) -> None:
        if where == "around" and _fork_in(where, how):
            return
        try:
            perform()
        finally:
            _note("around", where, how)
        if where == "around late":
            _fork_in(where, how)

    def after_perform(where: str, how: str) -> None:
        _note("after", where, how)
        if where == "after":
            _fork_in(where, how)

    def on_failure(error: BaseException, where: str, how: str) -> None:
        _note("failure", where, how)
        _fork_in(where, how)

    def perform(where: str, how: str) -> None:
        _note("perform", where, how)
        if where == "failure":
            raise ValueError("raised in a worker")
        if where in WHERE:
            _fork_in(where, how)


@gresque.job(queue="q", name="ForkAndYield")
def fork_and_yield() -> None:
    """Some library does this, and lets the loop turn in every child."""
    os.register_at_fork(after_in_child=lambda: time.sleep(0.01))
    codes: list[Any] = [
        subprocess.run(["true"], check=False).returncode,
        subprocess.run(["true"], check=False, preexec_fn=lambda: None).returncode,
        run_process("fork"),
        double_fork(),
        read_pipe(),
    ]
    store().set("codes", repr(codes))


@gresque.job(queue="q", name="ForkAndGo")
def fork_and_go(seconds: float) -> None:
    """The child outlives the job, and perhaps the worker."""
    if os.fork() == 0:
        store().set("child", os.getpid())
        time.sleep(seconds)
        store().set("ended", 1)
        return
    store().hincrby("runs", "parent", 1)


def _leave_processes() -> None:
    executor = concurrent.futures.ProcessPoolExecutor(2)
    list(executor.map(square, range(3)))
    manager = multiprocessing.Manager()
    pool = multiprocessing.Pool(2)
    daemon = multiprocessing.Process(target=time.sleep, args=(60,), daemon=True)
    daemon.start()
    left_open.extend([executor, manager, pool, daemon])
    found = [*multiprocessing.active_children()]
    store().sadd("left", *[process.pid for process in found])


@gresque.job(queue="q", name="LeaveProcesses")
def leave_processes() -> None:
    """Processes that outlive the job, and those of a child, which ends with the job."""
    queue: Any = multiprocessing.Queue()
    pid = os.fork()
    if pid == 0:
        _leave_processes()
        queue.put(b"x" * 1_000_000)  # by a thread of its own
        return
    _leave_processes()
    store().set("put", len(queue.get()))
    store().set("code", exit_code(pid))


@gresque.job(queue="q", name="StartAndTerminate")
def start_and_terminate() -> None:
    """A child that is terminated before it has run a single line."""
    for _ in range(30):
        process = multiprocessing.Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join()
        store().hincrby("terminated", str(process.exitcode), 1)


@gresque.job(queue="q", name="ForkAndWait")
def fork_and_wait() -> None:
    pid = os.fork()
    if pid == 0:
        store().set("child", os.getpid())
        time.sleep(60)
    os.waitpid(pid, 0)


MASTERS_FORKS = 3
"""How often the master's hooks fork: a child that became a master would do so again."""


def _fork_in_master(where: str) -> None:
    """A child that exits, one that returns, one that is terminated; and a program."""
    global MASTERS_FORKS
    path = os.environ.get("FORKS_OF_MASTER")
    if path is None or not MASTERS_FORKS:
        return
    MASTERS_FORKS -= 1
    found = []
    for end in (lambda: sys.exit(5), lambda: None, lambda: time.sleep(60)):
        pid = os.fork()
        if pid == 0:
            end()
            return
        if len(found) == 2:
            os.kill(pid, signal.SIGTERM)
        found.append(exit_code(pid))
    found.append(subprocess.run(["sh", "-c", "exit 3"], check=False).returncode)
    with Path(path).open("a") as notes:
        notes.write(f"{where} {found}\n")


_fork_in_master("import")


@gresque.before_first_fork
def _fork_before_the_first() -> None:
    _fork_in_master("before_first_fork")


@gresque.before_fork
def _fork_before_each() -> None:
    _fork_in_master("before_fork")
    if "SLOW_BEFORE_FORK" in os.environ:
        subprocess.run(["sleep", "0.1"], check=True)


@gresque.after_fork
def _fork_in_hook() -> None:
    _fork_of_process("after_fork")


@gresque.worker_exit
def _fork_at_exit() -> None:
    _fork_of_process("worker_exit")


def _fork_of_process(where: str) -> None:
    if store().hget("fork in", where) is None:
        return
    pid = os.fork()
    if pid == 0:
        time.sleep(0.01)
        sys.exit(5)
    store().hset("status", where, exit_code(pid))
