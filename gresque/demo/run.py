"""The run of the demo, from starting everything to the account at the end."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import psutil
from redis.exceptions import RedisError

import gresque
from gresque.connection.embedded import release
from gresque.connection.errors import plain_errors
from gresque.connection.topology import resolve_url
from gresque.connection.urls import endpoint, mask
from gresque.demo import processes
from gresque.demo.faults import Hog, KilledProcess
from gresque.demo.interrupts import Interrupts
from gresque.demo.jobs import QUEUE, fetch
from gresque.demo.library import library, requests
from gresque.demo.processes import WORKERS
from gresque.demo.screen import Screen
from gresque.demo.server import AGAIN_SECONDS, MEAN_SECONDS
from gresque.errors import BootError
from gresque.failure.entry import FailedEntry, decode_entry
from gresque.settings import DEFAULT_NAMESPACE
from gresque.store.ledger import Totals
from gresque.store.stats import Summary
from gresque.text import shell

LOOK_SECONDS = 0.1
WARM_UP_SECONDS = 2.5
"""Until as many fetches end as begin: they all begin at once."""
PAUSE_SECONDS = 1.0
STANDSTILL_SECONDS = 60.0
BUSY_PERCENT = 90
KILLED = "DirtyExit"
"""What the hog fails as, and whatever the user kills from a second terminal."""


@dataclass(frozen=True)
class Plan:
    """The options of the command line."""

    seconds: float
    thread_count: int
    redis_url: str = field(repr=False)

    @property
    def is_private(self) -> bool:
        return self.redis_url == "embedded://"

    @property
    def warm_up_seconds(self) -> float:
        return min(WARM_UP_SECONDS, self.seconds / 6)

    @property
    def measured_seconds(self) -> float:
        return self.seconds / 3


@dataclass
class Measured:
    """What the run found."""

    enqueued: int = 0
    per_second: float = 0.0
    """Fetches, while nothing was wrong."""
    plain_per_second: float = 0.0
    cpu_percent: float = 0.0
    summary: Summary | None = None
    totals: Totals = Totals()
    failure: FailedEntry | None = None
    """The last one."""

    @property
    def done(self) -> int:
        return self.summary.processed - self.summary.failed if self.summary else 0

    @property
    def failure_line(self) -> str:
        entry = self.failure
        return f"{entry.payload['class']}: {entry.exception}: {entry.error}" if entry else "none"

    @property
    def lost(self) -> int:
        return self.enqueued - self.summary.processed if self.summary else self.enqueued


class Demo:
    """One run. Its life:

    1. Start Valkey, the HTTP server and `gresque work`, and keep the queue filled.
    2. Measure while nothing is wrong; kill a worker process; let a job hog the CPU, find it and
       kill it. Then enqueue no more, wait until every job has ended, and let the workers leave.
    3. Do the same fetches without a queue, by plain gevent, for comparison.
    4. End what was started, delete what was stored, and give account.
    """

    def __init__(self, plan: Plan, interrupts: Interrupts) -> None:
        self._plan = plan
        self._allowed = interrupts.allowed
        self._screen = Screen()
        self._found = Measured()

    def run(self) -> None:
        """Raises BootError, with the end of the log, when anything but the hog failed."""
        processes.raise_file_limit(self._plan.thread_count)
        log = processes.Log()
        try:
            with self._client() as client, processes.file_server(log) as server_url:
                self._introduce(client)
                self._work(client, server_url, log)
                self._compare(server_url, log)
        except KeyboardInterrupt:
            self._screen.say(*self._interrupted())
            raise
        finally:
            log.close()
        self._account()

    @contextmanager
    def _client(self) -> Iterator[gresque.Client]:
        """In another Redis than its own the keys get a prefix of this run.

        Resolving the URL makes this process a user of an embedded server, which ends with it.
        """
        namespace = DEFAULT_NAMESPACE
        if not self._plan.is_private:
            namespace = f"gresque-demo:{secrets.token_hex(4)}"
            if endpoint(self._plan.redis_url).kind == "cluster":
                namespace = f"{{{namespace}}}"  # which keeps the keys on one node
        client = gresque.Client(resolve_url(self._plan.redis_url), namespace)
        try:
            yield client
        finally:
            with suppress(RedisError):  # it has gone, or never came: the run has reported that
                _delete_keys(client)
            client.close()
            release(self._plan.redis_url)

    def _introduce(self, client: gresque.Client) -> None:
        plan, version = self._plan, sys.version_info
        program = Path(sys.executable).with_name("gresque")
        command = (program,) if program.exists() else (sys.executable, "-m", "gresque")
        settings = [f"REDIS_URL={mask(client.redis_url)}"]
        if not plan.is_private:
            settings.append(f"RESQUE_NAMESPACE={client.namespace}")
        dashboard = []
        if find_spec("flask") is not None:
            dashboard = [
                f"  {shell(*command, 'web')}",
                "The last one prints the address of a page.",
            ]
        self._screen.say(
            f"{plan.seconds:.0f} s of real HTTP: the source files of Python {version.major}."
            f"{version.minor} are fetched, and checked by SHA-256,",
            f"by {WORKERS} processes x {plan.thread_count:,} greenlets. The server, on this "
            f"machine, answers after {MEAN_SECONDS:.0f} s",
            f"on average, and after {AGAIN_SECONDS} s when it is asked again. Ctrl-C ends it all.",
            "",
            "Look from a second terminal while it runs:",
            f"  {shell('export', *settings)}",
            f"  {shell(*command, 'status')}",
            f"  {shell(*command, 'running', '-n', 5)}",
            *dashboard,
            "",
        )

    # The jobs

    def _work(self, client: gresque.Client, server_url: str, log: processes.Log) -> None:
        plan = self._plan
        with processes.workers(
            client.redis_url, client.namespace, plan.thread_count, log
        ) as master:
            with self._allowed(), plain_errors(client.redis_url):
                self._fetch(client, server_url, master, log)
                processes.stop(master, log)
            self._found.totals = _totals(log)

    def _fetch(
        self,
        client: gresque.Client,
        server_url: str,
        master: subprocess.Popen[bytes],
        log: processes.Log,
    ) -> None:
        plan, screen, found = self._plan, self._screen, self._found
        feeder = Feeder(client, server_url, WORKERS * plan.thread_count)
        story = self._story(client)
        screen.start_clock()
        going, changed_at, processed = True, time.monotonic(), 0
        while True:
            if going:
                found.enqueued += feeder.feed()
                going = next(story, False) or screen.seconds < plan.seconds
                if not going:
                    screen.event("no more jobs are enqueued; the last ones end")
            found.summary = summary = client.store.stats.summary(False)
            if summary.processed != processed:
                changed_at, processed = time.monotonic(), summary.processed
            if not going and processed >= found.enqueued:
                break
            found.failure = _last_failure(client)
            if found.failure and found.failure.exception != KILLED:
                raise log.fault(f"{summary.failed:,} jobs failed; the last: {found.failure_line}")
            if master.poll() is not None:
                raise log.fault("the workers have left early")
            if time.monotonic() - changed_at > STANDSTILL_SECONDS:
                raise log.fault(f"no job has ended for {STANDSTILL_SECONDS:.0f} s")
            if going and screen.seconds > plan.seconds + STANDSTILL_SECONDS:
                raise log.fault("what went wrong was not found out")
            screen.status(f"{processed:,} done, {summary.in_flight:,} at once")
            time.sleep(LOOK_SECONDS)
        screen.event(f"all {found.enqueued:,} jobs have ended")

    def _story(self, client: gresque.Client) -> Iterator[bool]:
        """What happens beside the fetches. Each step is a look, after which others may look; True
        while it goes on."""
        plan, screen, found = self._plan, self._screen, self._found
        while found.summary is None or not found.summary.processed:
            yield True
        yield from self._pause(plan.warm_up_seconds)
        before, begun = found.summary.processed, time.monotonic()
        psutil.cpu_percent()
        yield from self._pause(plan.measured_seconds)
        ended = found.summary.processed - before
        found.per_second = ended / (time.monotonic() - begun)
        found.cpu_percent = psutil.cpu_percent()
        screen.event(
            f"{found.summary.processed:,} fetches have ended, {found.per_second:,.0f} a second"
        )
        for fault in (KilledProcess(client, screen), Hog(client, screen)):
            while not fault.happen():
                yield True
            found.enqueued += fault.enqueues
            while not fault.is_over():
                yield True
            yield from self._pause(PAUSE_SECONDS)

    def _pause(self, seconds: float) -> Iterator[bool]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield True

    # The comparison

    def _compare(self, server_url: str, log: processes.Log) -> None:
        plan, screen = self._plan, self._screen
        warm_up, seconds = plan.warm_up_seconds, plan.measured_seconds
        with ExitStack() as stack:
            plain = [
                stack.enter_context(
                    processes.plain_gevent(server_url, plan.thread_count, warm_up, seconds, log)
                )
                for _ in range(WORKERS)
            ]
            with self._allowed():
                screen.event(
                    "for comparison the same fetches by plain gevent, without a queue: "
                    f"{warm_up + seconds:.0f} s"
                )
                self._found.plain_per_second = sum(
                    processes.rate_of(process, log) for process in plain
                )
        screen.event(f"{self._found.plain_per_second:,.0f} fetches a second")

    # The end

    def _account(self) -> None:
        found = self._found
        speed = f"Speed    {found.per_second:,.0f} a second before anything went wrong"
        if found.plain_per_second:  # 0 with a few greenlets in a short time
            speed += f": {100 * found.per_second / found.plain_per_second:.0f} % of plain gevent"
        lines = ["", f"Fetched  {found.done:,} files; the digest of each is right", speed]
        if found.cpu_percent >= BUSY_PERCENT:
            lines.append("         (the CPU was busy: repeat it on a quiet machine)")
        lines += [
            f"Failed   {found.failure_line}",
            "Left     nothing: no process and no file",
            "",
            *_what_next(),
            "",
            f"{found.totals}; {found.lost:,} lost",
        ]
        self._screen.say(*lines)
        if found.lost:
            raise BootError(f"the demo failed: {found.lost:,} jobs were lost")

    def _interrupted(self) -> list[str]:
        ended = self._found.summary.processed if self._found.summary else 0
        if self._plan.is_private:
            left = "Workers, HTTP server and Valkey have ended: no process and no file is left."
        else:
            left = "Workers and HTTP server have ended, and the keys of the demo are deleted."
        if not self._found.enqueued:
            return ["Interrupted before the first job.", left]
        return [f"Interrupted when {ended:,} of {self._found.enqueued:,} jobs had ended.", left]


class Feeder:
    """Keeps jobs in the queue: enough for the workers, and not many more than they can do."""

    def __init__(self, client: gresque.Client, server_url: str, most: int) -> None:
        self._client = client
        self._most = most
        self._requests = requests(server_url, library(), "demo")

    def feed(self) -> int:
        """Returns how many jobs it has enqueued now."""
        missing = self._most - self._client.size(QUEUE)
        if missing <= 0:
            return 0
        return len(self._client.enqueue_many(fetch, islice(self._requests, missing)))


def _totals(log: processes.Log) -> Totals:
    """The workers' own account, from the record that sums it up."""
    record = log.record("worker_stopped")
    try:
        return Totals(**{name: record[name] for name in Totals._fields})
    except KeyError:
        raise log.fault("the workers left without an account") from None


def _last_failure(client: gresque.Client) -> FailedEntry | None:
    raw = client.store.redis.lindex(client.store.keys.failed, -1)
    return decode_entry(raw) if isinstance(raw, bytes) else None


def _delete_keys(client: gresque.Client) -> None:
    store = client.store
    for key in store.redis.scan_iter(f"{store.keys.prefix}*", count=1000):
        store.redis.unlink(key)


def _what_next() -> list[str]:
    activate = Path(sys.executable).with_name("activate")
    readme = Path(gresque.__file__).parents[1] / "README.md"
    lines = ["Next, a job of your own:"]
    if activate.exists():
        lines.append(f"  {shell('.', activate)}")
    if readme.exists():
        lines.append(f"  {readme}: The tour")
    return [*lines, "  gresque --help"]
