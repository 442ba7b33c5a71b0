"""The run of the demo, from starting everything to the table at the end."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis.exceptions import RedisError
from requests import RequestException
from rich.console import Console

import gresque
from gresque.connection.topology import resolve_url
from gresque.demo import processes
from gresque.demo.counting import Counts, count
from gresque.demo.interrupts import Interrupts
from gresque.demo.jobs import count_file, parse_results, results_key
from gresque.demo.library import library, spread
from gresque.demo.report import Meter, Report, table

LOOK_SECONDS = 0.1
SAMPLE_SIZE = 20


@dataclass(frozen=True)
class Plan:
    """The options of the command line. `files` is None for all, `log` None for none to be kept."""

    files: int | None
    worker_count: int
    thread_count: int
    latency_ms: int
    redis_url: str = field(repr=False)
    log: Path | None


class Demo:
    """One run. Its life:

    1. Start Redis and the HTTP server, and enqueue a job for each file.
    2. Start `gresque work`, and watch Resque's counters until every job has ended.
    3. Read what the jobs stored, count the same files on disk, and run some jobs one at a time:
       afterwards, so that none of it takes CPU time from the workers.
    4. End what was started, delete what was stored, and show the table.
    """

    def __init__(self, plan: Plan, interrupts: Interrupts) -> None:
        self._plan = plan
        self._interrupts = interrupts
        self._console = Console(highlight=False)
        self._log = processes.Log(plan.log)
        self._files = library()
        if plan.files is not None:
            self._files = {n: self._files[n] for n in spread(list(self._files), plan.files)}

    def run(self) -> int:
        """Returns 0 when every job was done and the counts are equal, else 1."""
        self._introduce()
        latency_ms, allowed = self._plan.latency_ms, self._interrupts.allowed
        with (
            _private_client(self._plan.redis_url) as client,
            processes.file_server(latency_ms, self._log) as server_url,
        ):
            with allowed():
                client.enqueue_many(count_file, [(server_url, name) for name in self._files])
            seconds = self._work(client)
            with allowed():
                report = self._look_back(client, server_url, seconds)
            fault = "" if report.is_right else report.fault + _first_failure(client)
        self._console.print(table(report))
        return self._complain(fault) if fault else 0

    def _introduce(self) -> None:
        plan, version = self._plan, sys.version_info
        self._console.print(
            f"[bold]{len(self._files):,} source files[/] of Python {version.major}."
            f"{version.minor}, each {plan.latency_ms} ms away over HTTP, one job per file.\n"
            f"[bold]gresque work[/] fetches, parses and counts them, in {plan.worker_count} "
            f"processes x {plan.thread_count} greenlets."
        )

    def _work(self, client: gresque.Client) -> float:
        """Run the workers until every job has ended; returns the seconds from their start on."""
        plan = self._plan
        meter = Meter(self._console, "jobs", len(self._files))
        with (
            processes.workers(
                client.redis_url, client.namespace, plan.worker_count, plan.thread_count, self._log
            ) as master,
            self._interrupts.allowed(),
            meter.shown(),
        ):
            done, over = 0, False
            while done < len(self._files) and not over:
                time.sleep(LOOK_SECONDS)
                over = master.poll() is not None  # before the look: their last deeds are in it
                info = client.info()
                done = info["processed"]
                meter.show(done, f"{info['working']} at once" if info["working"] else "")
            return meter.seconds

    def _look_back(self, client: gresque.Client, server_url: str, seconds: float) -> Report:
        store = client.store
        processed, failed = store.stats.values([store.keys.processed, store.keys.failures])
        stored: dict[bytes, bytes] = store.redis.hgetall(results_key(store.keys))  # type: ignore[assignment]
        return Report(
            files=len(self._files),
            done=processed - failed,
            failed=failed,
            seconds=seconds,
            stored=parse_results(stored),
            direct=self._count_on_disk(),
            sample_size=min(SAMPLE_SIZE, len(self._files)),
            one_at_a_time_seconds=self._time_one_at_a_time(server_url),
        )

    def _count_on_disk(self) -> dict[str, Counts]:
        found: dict[str, Counts] = {}
        meter = Meter(self._console, "direct count", len(self._files))
        with meter.shown():
            for name, path in self._files.items():
                found[name] = count(path.read_bytes())
                meter.show(len(found))
        return found

    def _time_one_at_a_time(self, server_url: str) -> float | None:
        """How long all files would take by the same function, without the workers.

        Estimated from some of them, small and large ones in equal parts. The sum of what each job
        took is no measure: greenlets share a CPU, and wait for each other.
        None when a fetch fails; then jobs have failed too.
        """
        by_size = sorted(self._files, key=lambda name: self._files[name].stat().st_size)
        sample = spread(by_size, SAMPLE_SIZE)
        meter = Meter(self._console, "one at a time", len(sample))
        try:
            with meter.shown():
                for position, name in enumerate(sample, 1):
                    count_file(server_url, name)
                    meter.show(position)
        except RequestException:
            return None
        return meter.seconds / len(sample) * len(self._files)

    def _complain(self, fault: str) -> int:
        print("The end of the log:", *self._log.last_lines(), sep="\n  ", file=sys.stderr)
        print(f"gresque: the demo failed: {fault}", file=sys.stderr)
        return 1


@contextmanager
def _private_client(redis_url: str) -> Iterator[gresque.Client]:
    """The default client, in a namespace of this run that is deleted at the end.

    Resolving the URL makes this process a user of an embedded server, which ends with it.
    """
    namespace = f"gresque-demo:{secrets.token_hex(4)}"
    client = gresque.configure(resolve_url(redis_url), namespace)
    try:
        yield client
    finally:
        with suppress(RedisError):  # it has gone, or never came: the run itself has reported that
            _delete_keys(client)
        client.close()


def _delete_keys(client: gresque.Client) -> None:
    store = client.store
    for key in store.redis.scan_iter(f"{store.keys.prefix}*", count=1000):
        store.redis.unlink(key)


def _first_failure(client: gresque.Client) -> str:
    store = client.store
    entry = store.redis.lindex(store.keys.failed, 0)
    if not isinstance(entry, bytes):
        return ""
    failure = json.loads(entry)
    return f"; the first failure: {failure['exception']}: {failure['error']}"
