"""What the benchmarks share: a server, workers that are started and looked at, and numbers."""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import redis

import gresque
from benchmarks.peers import body
from gresque.connection.topology import resolve_url

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
ENDLESS = 1_000_000_000
"""JOBS_PER_FORK of a worker process that is never replaced."""


_COMPLAINT = re.compile(r"\b(ERROR|CRITICAL)\b|^Traceback")


class Server:
    """A Redis or Valkey for the benchmarks alone: it is emptied before every run."""

    def __init__(self, url: str) -> None:
        self.url = resolve_url(url)
        self.redis = redis.Redis.from_url(self.url)

    def empty(self) -> None:
        self.redis.flushall()

    def commands(self) -> int:
        """How many commands it has executed, those within scripts too."""
        return int(self.redis.info("stats")["total_commands_processed"])

    def processed(self) -> int:
        return int(self.redis.get("resque:stat:processed") or 0)

    def failed(self) -> int:
        return int(self.redis.get("resque:stat:failed") or 0)


class Counts:
    """The file in which the jobs of a run count themselves (benchmarks/peers/body.py)."""

    PATH = BUILD / "tally"

    def __init__(self) -> None:
        BUILD.mkdir(parents=True, exist_ok=True)
        self.PATH.unlink(missing_ok=True)  # what still maps the old one does no harm
        self.PATH.write_bytes(bytes(body.TALLY_BYTES))
        self._words = body.map_tally(self.PATH)

    def by_process(self) -> list[int]:
        """Jobs done, of each process that has come."""
        return list(self._words[1 : 1 + min(self._words[0], body.PROCESSES)])

    def total(self) -> int:
        return sum(self.by_process())

    def word(self, number: int) -> int:
        """What a job has left there for the bench."""
        return int(self._words[1 + body.PROCESSES + number])

    def started_at(self, number: int) -> float:
        """When the job of that number started, by time.monotonic; 0 if it has not."""
        return self._words[1 + body.PROCESSES + number] / 1e9


class Processes:
    """Programs that were started, with all that they have forked since; ended for good by `stop`.

    They write to a log, whose last line tells what went wrong.
    """

    def __init__(self, commands: Sequence[Sequence[str]], env: dict[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self.roots = [
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, **env},
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                for command in commands
            ]

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        return all(root.poll() is None for root in self.roots)

    def last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(it logged nothing)"

    def complaints(self) -> list[str]:
        """The first lines of the log that tell of errors."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line[:300] for line in lines if _COMPLAINT.search(line)][:3]

    def all(self) -> list[psutil.Process]:
        """The programs and their descendants; the leaves of that tree are the worker processes."""
        found: dict[int, psutil.Process] = {}
        for root in self.roots:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(root.pid)
                for each in (process, *process.children(recursive=True)):
                    found[each.pid] = each
        return list(found.values())

    def workers(self) -> list[psutil.Process]:
        """Those without children."""
        return [process for process in self.all() if not process.children()]

    def cpu_seconds(self) -> dict[int, float]:
        """That each process has used so far, by its pid."""
        return {process.pid: sum(process.cpu_times()[:2]) for process in self.all()}

    def pss_bytes(self) -> int:
        """Memory, each shared page counted once over all that share it."""
        return sum(pss_bytes(process) for process in self.all())

    def wait(self, limit_seconds: float) -> None:
        """For those that end by themselves."""
        with suppress(subprocess.TimeoutExpired):
            for root in self.roots:
                root.wait(limit_seconds)

    def stop(self, grace_seconds: float = 1.0) -> None:
        """TERM, and KILL for what is left."""
        everyone = self.all()
        for root in self.roots:
            if root.poll() is None:
                root.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(everyone, timeout=grace_seconds)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for root in self.roots:
            root.wait()


def pss_bytes(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.uss))  # macOS does not tell the PSS


def gresque_work(
    server: Server,
    *,
    queues: str = "bench",
    workers: int = 2,
    threads: int = 100,
    jobs_per_fork: int = ENDLESS,
    options: Sequence[str] = (),
    counts: Counts | None = None,
) -> Processes:
    """Start `gresque work`, with the jobs of the benchmarks; they count themselves in `counts`."""
    command = [
        *(sys.executable, "-m", "gresque", "work", "-q", queues, "-r", "benchmarks.jobs"),
        *("-w", str(workers), "-t", str(threads), "-j", str(jobs_per_fork), *options),
    ]
    env = {"REDIS_URL": server.url} | ({"BENCH_TALLY": str(counts.PATH)} if counts else {})
    return Processes([command], env, BUILD / "logs" / "work.log")


def wait_ready(server: Server, processes: int, limit_seconds: float = 60.0) -> None:
    """Until this number of worker processes have registered, and have looked for work once."""
    client = gresque.Client(server.url)
    wait_for(
        lambda: len(client.store.processes.ids()) >= processes, limit_seconds, "no worker came"
    )
    time.sleep(0.5)


def wait_for(condition: Callable[[], Any], limit_seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{otherwise} within {limit_seconds:.0f} s")
        time.sleep(0.005)


class Rate:
    """Jobs a second, from counts taken while they are done.

    The clock runs from the first count at which all worker processes are at it to the last one.
    """

    def __init__(self) -> None:
        self.first: tuple[float, int] | None = None
        self.last = (0.0, 0)
        self.progress_at = 0.0

    def note(self, count: int, *, all_at_it: bool = True) -> None:
        now = time.monotonic()
        if self.first is None and count and all_at_it:
            self.first = now, count
        if count > self.last[1]:
            self.progress_at = now
        self.last = now, count

    @property
    def per_second(self) -> float:
        if self.first is None or self.last[0] <= self.first[0]:
            return 0.0
        return (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])


def drain(server: Server, work: Processes, jobs: int, limit_seconds: float = 120.0) -> Rate:
    """Look on while `work`, started with --burst, does its jobs; by Redis's own count."""
    rate = Rate()
    deadline = time.monotonic() + limit_seconds
    while rate.last[1] < jobs and work.alive and time.monotonic() < deadline:
        rate.note(server.processed())
        time.sleep(0.01)
    work.wait(30)
    done = server.processed()
    if done != jobs:
        sys.exit(f"{done:,} of {jobs:,} jobs done: {work.last_line()}")
    return rate


class Rest(NamedTuple):
    """What a worker costs that has nothing to do, per second."""

    cpu_percent: float
    """Of one core."""
    sent: float
    """Commands to Redis."""
    executed: float
    """Those within scripts too."""


def at_rest(server: Server, work: Processes, seconds: float) -> Rest:
    """Watch for this time, with MONITOR: it shows which commands clients sent, and which ran within
    a script, and costs nothing where next to nothing happens."""
    before, started = work.cpu_seconds(), time.monotonic()
    lines = b""
    monitor = server.redis.connection_pool.get_connection()
    try:
        monitor.send_command("MONITOR")
        monitor.read_response()
        socket: Any = monitor._get_socket()
        while (left := started + seconds - time.monotonic()) > 0:
            if select.select([socket], [], [], left)[0]:
                lines += socket.recv(1 << 20)
    finally:
        monitor.disconnect()
        server.redis.connection_pool.release(monitor)
    executed = [line for line in lines.splitlines() if line.startswith(b"+")]
    within = sum(b" lua] " in line for line in executed)
    passed = time.monotonic() - started
    cpu = sum(spent - before.get(pid, 0.0) for pid, spent in work.cpu_seconds().items())
    return Rest(
        100 * cpu / passed,
        (len(executed) - within) / passed,
        len(executed) / passed,
    )


def readable(number: float) -> str:
    """Three digits that matter."""
    if abs(number) >= 100:
        return f"{float(f'{number:.3g}'):,.0f}"
    return f"{number:.3g}"


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Results:
    """Measurements as they come, a JSON line each; at the end a table of medians.

    Each has a `scenario` and a `value` in a `unit`; a `goal` is what it should reach, or, with
    `at_most`, stay under.
    """

    def __init__(self, benchmark: str, unit: str) -> None:
        self._benchmark = benchmark
        self._unit = unit
        self._values: dict[str, list[float]] = {}
        self._goals: dict[str, tuple[float, bool]] = {}
        self._units: dict[str, str] = {}

    def note(
        self,
        scenario: str,
        value: float,
        goal: float | None = None,
        *,
        at_most: bool = False,
        unit: str | None = None,
        **more: Any,
    ) -> None:
        self._values.setdefault(scenario, []).append(value)
        self._units[scenario] = unit or self._unit
        line: dict[str, Any] = {
            "benchmark": self._benchmark,
            "scenario": scenario,
            "value": float(f"{value:.4g}"),
            "unit": self._units[scenario],
            **more,
        }
        if goal is not None:
            self._goals[scenario] = goal, at_most
            line |= {"goal": goal, "at_most": at_most}
        print(json.dumps(line), flush=True)

    def median(self, scenario: str) -> float:
        return statistics.median(self._values[scenario])

    def best(self, scenario: str) -> float:
        return max(self._values[scenario])

    def print_table(self) -> None:
        rows = ["| scenario | median | lowest | highest | goal |", "|---|---|---|---|---|"]
        for scenario, values in self._values.items():
            numbers = [statistics.median(values), min(values), max(values)]
            row = [scenario, *map(readable, numbers), self._goal(scenario)]
            rows.append(f"| {' | '.join(row)} |")
        print("\n".join(rows), file=sys.stderr)

    def _goal(self, scenario: str) -> str:
        if scenario not in self._goals:
            return self._units[scenario]
        goal, at_most = self._goals[scenario]
        return f"{'≤' if at_most else '≥'} {readable(goal)} {self._units[scenario]}"


def parser(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    options = argparse.ArgumentParser(description=description.splitlines()[0])
    options.add_argument("--runs", type=int, default=3, help="runs of each, alternating")
    options.add_argument("--scale", type=float, default=1.0, help="multiply the number of jobs")
    options.add_argument("--redis", default="embedded://", help="emptied before every run!")
    return options


def enqueue(server: Server, job: Any, arguments: Iterable[Any], queue: str = "bench") -> None:
    """One job for each argument."""
    client = gresque.Client(server.url)
    client.enqueue_many(job, ((argument,) for argument in arguments), queue=queue)
