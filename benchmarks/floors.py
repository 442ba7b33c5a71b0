"""Each figure of gresque beside its floor: the least that does the same, without gresque.

    python -m benchmarks.floors                          # all, 5 pairs, some 5 minutes
    python -m benchmarks.floors --only "no-op 2x100" --pairs 9
    python -m benchmarks.floors --tree ../base           # another checkout of gresque

The two take turns in one run, and which one comes first changes with each pair, so that a machine
that warms up or gets busy favours neither. One pair goes first and does not count. A ratio is the
median of those pair by pair. The floors' programs are in benchmarks/floor/. One JSON line a figure
and pair on stdout, the table on stderr at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.compare import free_port
from benchmarks.floor_table import (
    BESIDE_LEAST,
    BULK,
    FOREIGN,
    HALF_FAIL,
    LIVES,
    MANY_SLEEPS,
    MEMORY,
    NO_OP,
    OURS,
    REQUESTS,
    SERVER_CPU,
    SLEEPS,
    URLLIB3,
    WALL,
    line,
    pairs,
    table,
)
from benchmarks.harness import (
    BUILD,
    ENDLESS,
    ROOT,
    Counts,
    Processes,
    Rate,
    Server,
    drain,
    wait_for,
)
from benchmarks.pair import Tree, wait_ready

QUEUE = "floors"
SETTLE_SECONDS = 0.5
WAITING = 2000


class Bench:
    """The servers, the tree that is measured, and how programs are started."""

    def __init__(self, server: Server, tree: Tree, http_url: str, scale: float) -> None:
        self.server = server
        self.http_url = http_url
        self.depth = 0
        """How many calls deep gresque's last job that waited was."""
        self._scale = scale
        self._tree = tree
        self._filled: dict[tuple[str, int], bytes] = {}
        # The tree's gresque, and the programs of this checkout.
        programs = BUILD / "programs"
        programs.mkdir(parents=True, exist_ok=True)
        link = programs / "benchmarks"
        if not link.exists():
            link.symlink_to(ROOT / "benchmarks")
        self._env = {
            **tree.env,
            "PYTHONPATH": os.pathsep.join([str(programs), str(tree.path)]),
            "REDIS_URL": server.url,
            "BENCH_TALLY": str(Counts.PATH),
        }

    def scaled(self, number: int) -> int:
        """Not under a quarter: a run that is over between two looks has no rate."""
        return max(number // 4, int(number * self._scale))

    def begin(self) -> Counts:
        """An empty server, and counts from 0."""
        self.server.empty()
        return Counts()

    def fill(self, job: str, jobs: int, argument: object = None) -> None:
        """A queue with this number of jobs; from the second time on as the server has dumped it."""
        key, found = f"resque:queue:{QUEUE}", self._filled.get((job, jobs))
        self.server.redis.sadd("resque:queues", QUEUE)
        if found is None:
            for first in range(0, jobs, 5000):
                numbers = range(first, min(first + 5000, jobs))
                self.server.redis.rpush("made", *(payload(job, n, argument) for n in numbers))
            self._filled[job, jobs] = self.server.redis.dump("made")
            self.server.redis.rename("made", key)  # at once: a worker may be waiting
        else:
            self.server.redis.restore(key, 0, found)

    def work(self, workers: int, threads: int, *options: str) -> Processes:
        command = [
            *(
                self._tree.python,
                "-m",
                "gresque",
                "work",
                "-q",
                QUEUE,
                "-r",
                "benchmarks.floor.jobs",
            ),
            *("-w", str(workers), "-t", str(threads), *options),
        ]
        return self._start([command], threads)

    def start(self, program: str, *arguments: object, processes: int = 1) -> Processes:
        """Processes of a floor."""
        return self._start(processes * [self._command(program, *arguments)])

    def ask(self, program: str, *arguments: object) -> dict[str, list[float]]:
        """What a program that measures by itself has found."""
        ran = subprocess.run(
            self._command(program, *arguments),
            env={**os.environ, **self._env}, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            sys.exit(f"{program}: {ran.stderr.strip().splitlines()[-1]}")
        found: dict[str, list[float]] = json.loads(ran.stdout)
        return found

    def _command(self, program: str, *arguments: object) -> list[str]:
        return [self._tree.python, "-m", f"benchmarks.floor.{program}", *map(str, arguments)]

    def _start(self, commands: list[list[str]], threads: int = 100) -> Processes:
        env = {**self._env, "BENCH_THREADS": str(threads)}
        return Processes(commands, env, BUILD / "logs" / "floors.log")


def payload(job: str, number: int, argument: object) -> str:
    args = [number if argument is None else argument]
    return json.dumps({"class": job, "args": args, "id": f"{number:032x}", "generation": 1})


def counted(counts: Counts, work: Processes, seconds: float, processes: int) -> float:
    """Jobs a second that count themselves, in a time that begins when every process has come to
    its second round of jobs."""
    wait_for(lambda: len(list(filter(None, counts.by_process()))) >= processes, 60, "no job done")
    time.sleep(SETTLE_SECONDS)
    rate, until = Rate(), time.monotonic() + seconds
    while time.monotonic() < until:
        rate.note(counts.total())
        time.sleep(0.01)
    if not work.alive:
        sys.exit(f"it ended: {work.last_line()}")
    return rate.per_second


Pair = dict[str, tuple[float, float]]
"""By row: what was measured of gresque, and of its floor (0 for none)."""
Measure = Callable[[Bench, bool], Pair]
"""With whether gresque comes first."""


def in_turns(row: str, ours: Callable[[Bench], float], floor: Callable[[Bench], float]) -> Measure:
    """A measure of one row, of two runs."""

    def measure(bench: Bench, first: bool) -> Pair:
        if first:
            return {row: (ours(bench), floor(bench))}
        beside = floor(bench)
        return {row: (ours(bench), beside)}

    return measure


# A full queue, worked dry


def drained(bench: Bench, job: str, jobs: int, *options: object) -> float:
    bench.begin()
    bench.fill(job, jobs)
    workers, threads, *more = map(str, options)
    with bench.work(int(workers), int(threads), "--burst", *more) as work:
        return drain(bench.server, work, jobs).per_second


def noops(bench: Bench) -> float:
    return drained(bench, "noop", bench.scaled(400_000), 2, 100, "-j", ENDLESS)


def cycles(bench: Bench, program: str) -> float:
    jobs = bench.scaled(400_000)
    bench.begin()
    bench.fill("noop", jobs)
    with bench.start(program, 100, processes=2) as work:
        return drain(bench.server, work, jobs).per_second


def beside_cycles(bench: Bench, first: bool) -> Pair:
    """Beside two floors: gresque's own cycle, and the least one."""
    ours = noops(bench) if first else 0.0
    alone, least = cycles(bench, "cycle_alone"), cycles(bench, "least_cycle")
    ours = ours or noops(bench)
    return {NO_OP: (ours, alone), BESIDE_LEAST: (ours, least)}


def lives(bench: Bench) -> float:
    return drained(bench, "noop", bench.scaled(400), 1, 1)


def forks(bench: Bench) -> float:
    jobs = bench.scaled(400)
    bench.begin()
    bench.fill("noop", jobs)
    with bench.start("forking") as work:
        return drain(bench.server, work, jobs).per_second


def failures(bench: Bench, first: bool) -> Pair:
    return {HALF_FAIL: (drained(bench, "half", bench.scaled(80_000), 2, 100, "-j", ENDLESS), 0)}


# Jobs that wait


def waits(row: str, job: str, threads: int, jobs: int, seconds: float = 1.5) -> Measure:
    """Jobs that count themselves, and more of them than can be done in the time."""

    def argument(bench: Bench) -> object:
        return 0.05 if job == "sleep" else bench.http_url

    def ours(bench: Bench) -> float:
        counts = bench.begin()
        bench.fill(job, jobs, argument(bench))
        with bench.work(2, threads, "-j", str(ENDLESS)) as work:
            rate = counted(counts, work, seconds, 2)
            if not bench.server.redis.llen(f"resque:queue:{QUEUE}"):
                sys.exit(f"{row}: {jobs:,} jobs were too few")
            return rate

    def floor(bench: Bench) -> float:
        counts = bench.begin()
        with bench.start(
            "plain_gevent", job, threads, json.dumps(argument(bench)), processes=2
        ) as work:
            return counted(counts, work, seconds, 2)

    return in_turns(row, ours, floor)


def memory(bench: Bench) -> float:
    """kB of a job that waits. As with the floor, one waits already at the first look: what a
    process touches for its first job is not of each job."""
    counts = bench.begin()
    with bench.work(1, 1 + WAITING, "-j", str(ENDLESS)) as work:
        wait_ready(bench.server, 1)
        bench.fill("wait", 1, 1000)
        first = waiting(counts, work, 1)
        bench.fill("wait", WAITING, 1000)
        grown = waiting(counts, work, 1 + WAITING) - first
        bench.depth = counts.word(0)
        return grown / WAITING / 1e3


def plain_memory(bench: Bench) -> float:
    grown = []
    for greenlets in (1, 1 + WAITING):
        counts = bench.begin()
        with bench.start("plain_gevent", "wait", greenlets, bench.depth) as work:
            grown.append(waiting(counts, work, greenlets))
    return (grown[1] - grown[0]) / WAITING / 1e3


def waiting(counts: Counts, work: Processes, jobs: int) -> int:
    wait_for(lambda: counts.total() >= jobs, 60, "not all jobs started")
    time.sleep(SETTLE_SECONDS)
    return work.pss_bytes()


# Programs that measure both by themselves


def pick_up(bench: Bench, first: bool) -> Pair:
    bench.begin()
    with bench.work(1, 10, "-j", str(ENDLESS)), bench.start("blpop"):
        wait_ready(bench.server, 1)
        found = bench.ask("pick_up", bench.scaled(60))
    p50 = {way: statistics.median(values) for way, values in found.items()}
    return {
        FOREIGN: (p50["foreign"], p50["bare"]),
        OURS: (p50["enqueue"], p50["bare"]),
    }


def one_by_one(bench: Bench, first: bool) -> Pair:
    bench.begin()
    found = bench.ask("enqueueing", "one", bench.scaled(10))
    return dict(
        zip((WALL, SERVER_CPU), zip(found["ours"], found["floor"], strict=True), strict=True)
    )


def in_bulk(bench: Bench, first: bool) -> Pair:
    bench.begin()
    found = bench.ask("enqueueing", "many", bench.scaled(60))
    return {BULK: (found["ours"][0], found["floor"][0])}


FIGURES: dict[str, Measure] = {
    NO_OP: beside_cycles,
    SLEEPS: waits(SLEEPS, "sleep", 1000, 150_000),
    MANY_SLEEPS: waits(MANY_SLEEPS, "sleep", 5000, 450_000),
    REQUESTS: waits(REQUESTS, "fetch", 200, 30_000),
    URLLIB3: waits(URLLIB3, "fetch_pooled", 200, 60_000),
    "pick-up": pick_up,
    "a fork per job": in_turns(LIVES, lives, forks),
    "failures": failures,
    "memory": in_turns(MEMORY, memory, plain_memory),
    "enqueue": one_by_one,
    "enqueue_many": in_bulk,
}
"""What is measured at once -> how; it may give several rows of the table."""


@contextmanager
def http_server() -> Iterator[str]:
    """The URL of a server that answers after 20 ms."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.http_server", str(port)]
    with Processes([command], {}, BUILD / "logs" / "http.log"):
        yield f"http://127.0.0.1:{port}/"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=FIGURES, action="append", help="repeatable")
    parser.add_argument("--pairs", "--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the number of jobs")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another checkout of gresque")
    parser.add_argument("--redis", default="embedded://", help="emptied before every run!")
    options = parser.parse_args()
    lines: list[dict[str, Any]] = []
    with http_server() as http_url:
        tree = Tree(options.tree.resolve())
        bench = Bench(Server(options.redis), tree, http_url, options.scale)
        for name in options.only or FIGURES:
            for pair in range(-1, options.pairs):
                measured = FIGURES[name](bench, pair % 2 == 0)
                for row, (ours, floor) in measured.items() if pair >= 0 else ():
                    lines.append(line(row, ours, floor))
                    print(json.dumps(lines[-1]), flush=True)
    print(table(pairs(lines)), file=sys.stderr)


if __name__ == "__main__":
    main()
