"""The processes that the demo starts, each gone at the end of its `with` block.

They stand in process groups of their own: Ctrl-C reaches the demo alone, which then ends them in
order, instead of all of them at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gresque
from gresque.demo.jobs import QUEUE
from gresque.errors import BootError, SettingsError
from gresque.settings import OPTIONS

TERM_TIMEOUT_SECONDS = 5
_KILL_AFTER_SECONDS = TERM_TIMEOUT_SECONDS + 5
_HOME = Path(gresque.__file__).parents[1]
"""They run where gresque is: some file in the user's directory may bear a module's name."""


class Log:
    """The log of the processes. Without a path it has no name, and nothing is left of it."""

    def __init__(self, path: Path | None) -> None:
        try:
            # Open as long as this process: its end closes it, and what has no name is gone then.
            self.file = path.open("w+b") if path else tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise SettingsError(f"--log: {error}") from None

    def last_lines(self, count: int = 15) -> list[str]:
        # pread: the position in the file belongs to its writers.
        size = os.fstat(self.file.fileno()).st_size
        end = os.pread(self.file.fileno(), 20_000, max(0, size - 20_000))
        return end.decode(errors="replace").splitlines()[-count:]


@contextmanager
def file_server(latency_ms: int, log: Log) -> Iterator[str]:
    """The HTTP server; yields its URL."""
    server = subprocess.Popen(
        [sys.executable, "-m", "gresque.demo.server", str(latency_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log.file,
        cwd=_HOME,
        process_group=0,
    )
    with _ended(server):
        assert server.stdout is not None
        port = server.stdout.readline().strip().decode()
        if not port:
            raise BootError("\n".join(["the demo's HTTP server did not start:", *log.last_lines()]))
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def workers(
    redis_url: str, namespace: str, worker_count: int, thread_count: int, log: Log
) -> Iterator[subprocess.Popen[bytes]]:
    """`gresque work`, until the queue is empty."""
    master = subprocess.Popen(
        [
            *(sys.executable, "-m", "gresque", "work", "-q", QUEUE, "-r", "gresque.demo.jobs"),
            *("-w", str(worker_count), "-t", str(thread_count), "-j", "100000", "--burst"),
            *("--term-timeout", str(TERM_TIMEOUT_SECONDS)),
        ],
        env=_environment(redis_url, namespace),
        stdin=subprocess.DEVNULL,
        stdout=log.file,
        stderr=log.file,
        cwd=_HOME,
        process_group=0,
    )
    with _ended(master):
        yield master


def _environment(redis_url: str, namespace: str) -> dict[str, str]:
    """The user's, but for his own settings of gresque. The URL and the namespace go by ENV and not
    by flag, so that the jobs' default client finds them as well."""
    settings = {env for option in OPTIONS.values() for env in option.envs}
    kept = {name: value for name, value in os.environ.items() if name not in settings}
    return {**kept, "REDIS_URL": redis_url, "RESQUE_NAMESPACE": namespace}


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process, and with it its children, when the block ends."""
    try:
        yield
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
