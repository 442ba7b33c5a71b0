"""The processes that the demo starts, each gone at the end of its `with` block.

They stand in process groups of their own: Ctrl-C reaches the demo alone, which then ends them in
order, instead of all of them at once.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gresque
from gresque.demo.jobs import FIRST_QUEUE, QUEUE
from gresque.errors import BootError, SettingsError
from gresque.settings import OPTIONS

WORKERS = 2
TERM_TIMEOUT_SECONDS = 5
_KILL_AFTER_SECONDS = TERM_TIMEOUT_SECONDS + 5
_QUIT_SECONDS = 20
_HOME = Path(gresque.__file__).parents[1]
"""They run where gresque is: some file in the user's directory may bear a module's name."""

_OTHER_FILES = 200


def raise_file_limit(thread_count: int) -> None:
    """Let the processes open as many files as there are connections. Raises SettingsError where
    the system does not allow it."""
    needed = WORKERS * thread_count + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        fits = max((hard - _OTHER_FILES) // WORKERS, 1)
        raise SettingsError(
            f"the demo opens {needed:,} files in one process, and this system allows {hard:,} "
            f"(ulimit -Hn); run it with --threads {fits}"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Log:
    """What the processes write to stderr, the workers' records as JSON. It has no name: nothing is
    left of it when its last writer has ended."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - the end of this process closes it

    def close(self) -> None:
        self.file.close()

    def lines(self) -> list[str]:
        # pread: the position in the file belongs to its writers.
        size = os.fstat(self.file.fileno()).st_size
        return os.pread(self.file.fileno(), size, 0).decode(errors="replace").splitlines()

    def record(self, event: str) -> dict[str, Any]:
        """The last record of this event; empty when there is none."""
        for line in reversed(self.lines()):
            found = _record(line)
            if found.get("event") == event:
                return found
        return {}

    def fault(self, text: str, count: int = 15) -> BootError:
        """An error with the last lines, in plain text."""
        more: list[str] = []
        for line in self.lines()[-count:]:
            record = _record(line)
            more.append(f"{record['time']} {record['message']}" if "message" in record else line)
            # As long as the others together may be: its innermost frames, or what it is.
            more += str(record.get("exception", "")).splitlines()[:count]
        return BootError(f"the demo failed: {text}", more)


def _record(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def file_server(log: Log) -> Iterator[str]:
    """The HTTP server; yields its URL."""
    with _running("gresque.demo.server", log=log, stdin=subprocess.PIPE) as server:
        port = _first_line(server)
        if not port:
            raise log.fault("its HTTP server did not start")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def workers(
    redis_url: str, namespace: str, thread_count: int, log: Log
) -> Iterator[subprocess.Popen[bytes]]:
    """`gresque work`; yields its master."""
    command = [
        *("gresque", "work", "-q", f"{FIRST_QUEUE},{QUEUE}", "-r", "gresque.demo.jobs"),
        *("-w", str(WORKERS), "-t", str(thread_count), "-j", "1000000"),
        *("--term-timeout", str(TERM_TIMEOUT_SECONDS), "--log-format", "json"),
    ]
    # The URL and the namespace go by ENV and not by flag: a URL may contain a password.
    settings = {env for option in OPTIONS.values() for env in option.envs}
    kept = {name: value for name, value in os.environ.items() if name not in settings}
    env = {**kept, "REDIS_URL": redis_url, "RESQUE_NAMESPACE": namespace}
    with _running(*command, log=log, stdin=subprocess.DEVNULL, env=env) as master:
        yield master


def stop(master: subprocess.Popen[bytes], log: Log) -> None:
    """Let the workers leave in order, so that they sum up what they did."""
    if master.poll() is None:
        master.send_signal(signal.SIGQUIT)
    try:
        master.wait(_QUIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise log.fault(f"the workers have not left {_QUIT_SECONDS} s after QUIT") from None


@contextmanager
def plain_gevent(
    server_url: str, thread_count: int, warm_up_seconds: float, seconds: float, log: Log
) -> Iterator[subprocess.Popen[bytes]]:
    """One process of greenlets that fetch without a queue."""
    arguments = [server_url, str(thread_count), str(warm_up_seconds), str(seconds)]
    with _running("gresque.demo.plain", *arguments, log=log, stdin=subprocess.DEVNULL) as process:
        yield process


def rate_of(plain: subprocess.Popen[bytes], log: Log) -> float:
    """Its fetches per second, when it has measured them."""
    line = _first_line(plain)
    if not line:
        raise log.fault("the fetches by plain gevent ended early")
    fetches, seconds = json.loads(line)
    return float(fetches / seconds)


def _first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip().decode()


@contextmanager
def _running(
    module: str, *arguments: str, log: Log, stdin: int, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The module as a program. At the end it ends, and with it its children."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=log.file,
        env=env,
        cwd=_HOME,
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_KILL_AFTER_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
