"""A real server for tests: an embedded Valkey of this process, and a worker on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gresque.client import when
from gresque.client.default import default_client
from gresque.client.when import Delay
from gresque.connection.embedded import release, resolve
from gresque.jobs.registry import registry
from gresque.testing.enqueued import EnqueuedJob, read_job
from gresque.testing.looking import WaitingJobs
from gresque.testing.modes import standing_in
from gresque.testing.passing import let_pass

if TYPE_CHECKING:
    from gresque.client.client import Client
    from gresque.store.store import Store

PRIVATE = "embedded://"
_numbers = count(1)


class WorkerRun(NamedTuple):
    """A worker that has run until its queues were empty."""

    returncode: int
    output: str
    """What it wrote: its log, and what the jobs printed."""


class WorkerFailed(AssertionError):
    """The worker did not end in order. The message has its output."""


class TestServer(WaitingJobs):
    """A server on which the jobs of one test wait. Whatever their URL, all clients of the program
    enqueue there meanwhile, each under its own namespace behind that of the test."""

    __test__ = False  # for pytest, which would collect it

    def __init__(self, url: str) -> None:
        self.url = url
        self._prefix = f"test-{os.getpid()}-{next(_numbers)}"
        self._stores: dict[str, Store] = {}

    @property
    def namespace(self) -> str:
        """Of the default client."""
        return self._namespace_of(default_client())

    @property
    def environment(self) -> dict[str, str]:
        """For a program that is to work on it."""
        path = os.pathsep.join(str(Path(each).resolve()) for each in sys.path)
        own = {"REDIS_URL": self.url, "RESQUE_NAMESPACE": self.namespace, "PYTHONPATH": path}
        return {**os.environ, **own}

    def _namespace_of(self, client: Client) -> str:
        return f"{self._prefix}:{client.namespace}"

    def to_enqueue(self, client: Client) -> Store:
        return self.to_look(client)

    def to_look(self, client: Client) -> Store:
        from gresque.store.store import Store

        name = self._namespace_of(client)
        if name not in self._stores:
            self._stores[name] = Store(self.url, name)
        return self._stores[name]

    def __iter__(self) -> Iterator[EnqueuedJob]:
        """Those in queues first, queue by queue, then those that wait for their time."""
        stores = [*self._stores.values()]
        for store in stores:
            for queue in store.queues.names():
                for raw in [*store.queues.each(queue)][::-1]:
                    yield read_job(queue, raw)
        for store in stores:
            yield from (read_job(job.queue, job.raw, job.due_ms) for job in store.later.each())

    def work(
        self,
        *flags: str,
        queues: str = "*",
        require: Sequence[str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> WorkerRun:
        """Run `gresque work --burst` on it until the queues are empty, and return its output.

        It imports the modules that have declared jobs in this program, or those of `require`;
        `flags` are further flags. Raises WorkerFailed when it does not end with 0 in time.
        """
        modules = require if require is not None else sorted(_modules())
        requires = [part for module in modules for part in ("--require", module)]
        command = [sys.executable, "-m", "gresque", "work", "--burst", "--queues", queues]
        with subprocess.Popen(
            [*command, *requires, *flags], env=self.environment, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=timeout_seconds)
            except subprocess.TimeoutExpired:
                process.terminate()
                output, _ = process.communicate()
                raise WorkerFailed(
                    f"the worker had not emptied the queues after {timeout_seconds:g} s:\n{output}"
                ) from None
        if process.returncode:
            raise WorkerFailed(f"the worker ended with {process.returncode}:\n{output}")
        return WorkerRun(process.returncode, output)

    def advance(self, delay: Delay) -> None:
        """Let this time (seconds, or a timedelta) have passed for all that waits: jobs are due, and
        locks and jobs expire, so much earlier. `work` runs what is due then. The clock of the
        server, of schedules and of rates stays as it is."""
        milliseconds = round(when.delay(delay).seconds * 1000)
        for store in self._stores.values():
            let_pass(store, milliseconds)

    def close(self) -> None:
        """Remove all that the test has left."""
        stores = [*self._stores.values()]
        if stores:
            stores[0].redis.flushall()
        for store in stores:
            store.close()


def _modules() -> set[str]:
    """Those of the jobs that a worker can import."""
    return {each.function.__module__ for each in registry if not each.nowhere}


@contextmanager
def server(url: str) -> Iterator[TestServer]:
    """Let the clients of this program use the server at this address, in a namespace of the test's
    own. All that it holds is deleted at the end."""
    found = TestServer(url)
    with standing_in(found):
        try:
            yield found
        finally:
            found.close()


@contextmanager
def embedded_server() -> Iterator[str]:
    """The URL of a Valkey that belongs to this process, and ends with it. Raises SettingsError
    without the extra `embedded`."""
    url = resolve(PRIVATE)
    try:
        yield url
    finally:
        release(PRIVATE)
