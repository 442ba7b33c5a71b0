"""What the children of jobs do, and what comes of it."""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import gevent.lock
from gevent.monkey import get_original

import gresque
from tests.process import jobs
from tests.process.job_store import store

USER_LOG = logging.getLogger("user")
LOCK = gevent.lock.Semaphore(1)


def square(number: int) -> int:
    return number * number


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def double_fork() -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(0.05)
        another = os.fork()
        if another == 0:
            sys.exit(4)
        os._exit(exit_code(another))
    return exit_code(pid)


def _greenlet_of_a_child_forks() -> int:
    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            time.sleep(0.01)
        return pid

    greenlet = gevent.spawn(fork)
    return exit_code(greenlet.get())


def run_process(method: str) -> int | None:
    process = multiprocessing.get_context(method).Process(target=square, args=(3,))
    process.start()
    process.join()
    return process.exitcode


def _join_with_timeout(method: str) -> int | None:
    process = multiprocessing.get_context(method).Process(target=square, args=(3,))
    process.start()
    process.join(60)
    return process.exitcode


def twice(data: bytes) -> bytes:
    return data * 2


def _pool() -> list[int]:
    with multiprocessing.Pool(2) as pool:
        return pool.map(square, range(3))


def _pool_with_much_data() -> int:
    """More than pipes hold, both ways."""
    pool = multiprocessing.Pool(2)
    found = pool.map(twice, [b"x" * 300_000] * 6)
    pool.close()
    pool.join()
    return sum(map(len, found))


left_open: list[Any] = []


def _pool_that_outlives_its_job() -> list[int]:
    pool = multiprocessing.Pool(1)
    left_open.append(pool)
    return pool.map(square, range(3))


def _queue() -> Any:
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=lambda: (time.sleep(0.05), queue.put("put")))
    process.start()
    found = queue.get()
    process.join()
    return found


def _queue_of_several() -> list[int]:
    """Greenlets that wait for one lock of all processes, one of them while it reads."""
    queue = multiprocessing.SimpleQueue()
    put = lambda: (time.sleep(0.05), queue.put(b"x" * 100_000))  # noqa: E731
    processes = [multiprocessing.Process(target=put) for _ in range(2)]
    for process in processes:
        process.start()
    readers = [gevent.spawn(queue.get) for _ in processes]
    found = [len(reader.get()) for reader in readers]
    for process in processes:
        process.join()
    return found


def read_pipe() -> bytes:
    """Read until the last writer has closed its end; this process is one of them."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.write(writing, b"written")
        os._exit(0)
    os.close(writing)
    found = b"".join(iter(lambda: os.read(reading, 100), b""))
    os.close(reading)
    exit_code(pid)
    return found


def _event() -> bool:
    event = multiprocessing.Event()
    process = multiprocessing.Process(target=lambda: (time.sleep(0.05), event.set()))
    process.start()
    heard = event.wait(60)
    process.join()
    return heard


def _executor() -> list[int]:
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        return list(executor.map(square, range(3)))


def _threads() -> list[int]:
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        return list(executor.map(square, range(3)))


def _thread() -> list[int]:
    done: list[int] = []
    thread = threading.Thread(target=lambda: (time.sleep(0.01), done.append(1)))
    thread.start()
    thread.join()
    return done


def _signal_handler() -> list[int]:
    got: list[int] = []
    gevent.signal_handler(signal.SIGUSR2, got.append, 1)
    os.kill(os.getpid(), signal.SIGUSR2)
    while not got:
        time.sleep(0.01)
    return got


def _term() -> int:
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    return exit_code(pid)


def _socket() -> bytes:
    server = socket.create_server(("127.0.0.1", 0))
    greenlet = gevent.spawn(lambda: server.accept()[0].recv(10))
    with socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        return greenlet.get()


def _exit_handler() -> None:
    atexit.register(lambda: store().hset("child", "its exit handler ran", "True"))


def _log() -> None:
    USER_LOG.warning("said in a child")


def _release() -> str:
    """A neighbour waits for this lock, in the parent."""
    LOCK.release()
    time.sleep(0.05)
    return "released"


def _guarded() -> str:
    with gresque.uninterruptible():
        time.sleep(0.01)
    return "whole"


heard: list[int] = []


def _own_handler() -> list[int]:
    os.kill(os.getpid(), signal.SIGHUP)
    return heard


def _handlers() -> dict[str, Any]:
    """Those that are not the default."""
    get = get_original("signal", "getsignal")
    names = ["TERM", "INT", "QUIT", "USR1", "USR2", "CONT", "TTIN", "URG", "WINCH"]
    found = {name: get(signal.Signals[f"SIG{name}"]) for name in names}
    found["blocked"] = signal.SIG_DFL if not signal.pthread_sigmask(signal.SIG_BLOCK, []) else 1
    return {name: handler for name, handler in found.items() if handler != signal.SIG_DFL}


IN_CHILD: dict[str, tuple[Callable[[], Any], Any]] = {
    "sleep": (lambda: time.sleep(0.05), None),
    "greenlet": (lambda: gevent.spawn(square, 3).get(), 9),
    "run": (lambda: subprocess.run(["sh", "-c", "exit 3"], check=False).returncode, 3),
    "preexec": (lambda: subprocess.check_output(["echo"], preexec_fn=lambda: None), b"\n"),
    "double fork": (double_fork, 4),
    "greenlet of a child": (_greenlet_of_a_child_forks, 0),
    "fork": (lambda: run_process("fork"), 0),
    "spawn": (lambda: run_process("spawn"), 0),
    "forkserver": (lambda: run_process("forkserver"), 0),
    "executor": (_executor, [0, 1, 4]),
    "join spawn": (lambda: _join_with_timeout("spawn"), 0),
    "pool": (_pool, [0, 1, 4]),
    "much data": (_pool_with_much_data, 3_600_000),
    "pool left": (_pool_that_outlives_its_job, [0, 1, 4]),
    "queue": (_queue, "put"),
    "queue of several": (_queue_of_several, [100_000, 100_000]),
    "event": (_event, True),
    "pipe": (read_pipe, b"written"),
    "threads": (_threads, [0, 1, 4]),
    "thread": (_thread, [1]),
    "threadpool": (lambda: gevent.get_hub().threadpool.apply(square, (3,)), 9),
    "signal_handler": (_signal_handler, [1]),
    "term": (_term, -signal.SIGTERM),
    "getaddrinfo": (lambda: bool(socket.getaddrinfo("localhost", 80)), True),
    "socket": (_socket, b"x"),
    "exit handler": (_exit_handler, None),
    "log": (_log, None),
    "release": (_release, "released"),
    "enqueue": (lambda: bool(jobs.count.enqueue("of a child")), True),
    "guarded": (_guarded, "whole"),
    "handlers": (_handlers, {}),
    "own handler": (_own_handler, [signal.SIGHUP.value]),
}
"""What a child does, and what comes of it."""
