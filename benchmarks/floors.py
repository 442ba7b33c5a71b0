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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.compare import free_port
from benchmarks.harness import (
    BUILD,
    ENDLESS,
    ROOT,
    Counts,
    Processes,
    Rate,
    Server,
    drain,
    readable,
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
    """kB of a job that waits, beyond what the worker takes at rest."""
    counts = bench.begin()
    with bench.work(1, WAITING, "-j", str(ENDLESS)) as work:
        wait_ready(bench.server, 1)
        time.sleep(SETTLE_SECONDS)
        rest = work.pss_bytes()
        bench.fill("wait", WAITING, 1000)
        grown = waiting(counts, work) - rest
        bench.depth = counts.word(0)
        return grown / WAITING / 1e3


def plain_memory(bench: Bench) -> float:
    grown = []
    for greenlets in (1, 1 + WAITING):
        counts = bench.begin()
        with bench.start("plain_gevent", "wait", greenlets, bench.depth) as work:
            grown.append(waiting(counts, work, greenlets))
    return (grown[1] - grown[0]) / WAITING / 1e3


def waiting(counts: Counts, work: Processes, jobs: int = WAITING) -> int:
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
    return {
        f"enqueue, {name}": (ours, floor)
        for name, ours, floor in zip(
            ("wall", "CPU of the server"), found["ours"], found["floor"], strict=True
        )
    }


def in_bulk(bench: Bench, first: bool) -> Pair:
    bench.begin()
    found = bench.ask("enqueueing", "many", bench.scaled(60))
    return {"enqueue_many": (found["ours"][0], found["floor"][0])}


NO_OP, BESIDE_LEAST = "no-op 2x100", "the same 2x100"
HALF_FAIL, FOREIGN, OURS = "half of the jobs fail", "pick-up, foreign RPUSH", "pick-up, enqueue"


class Row(NamedTuple):
    """Of the table. Without a floor the goal is one for gresque itself; None for no goal."""

    floor: str
    unit: str
    goal: float | None
    at_most: bool = False


FIGURES: dict[str, tuple[Measure, dict[str, Row]]] = {
    NO_OP: (
        beside_cycles,
        {
            NO_OP: Row("the cycle alone", "jobs/s", 0.85),
            BESIDE_LEAST: Row("the least cycle", "jobs/s", None),
        },
    ),
    "50 ms 2x1000": (
        waits("50 ms 2x1000", "sleep", 1000, 150_000),
        {"50 ms 2x1000": Row("plain gevent", "jobs/s", 0.92)},
    ),
    "50 ms 2x5000": (
        waits("50 ms 2x5000", "sleep", 5000, 450_000),
        {"50 ms 2x5000": Row("plain gevent", "jobs/s", 0.40)},
    ),
    "requests 2x200": (
        waits("requests 2x200", "fetch", 200, 30_000),
        {"requests 2x200": Row("plain gevent", "jobs/s", 0.97)},
    ),
    "urllib3 pool 2x200": (
        waits("urllib3 pool 2x200", "fetch_pooled", 200, 60_000),
        {"urllib3 pool 2x200": Row("plain gevent", "jobs/s", 0.97)},
    ),
    "pick-up": (
        pick_up,
        {
            FOREIGN: Row("bare BLPOP", "ms, p50", 1.8, at_most=True),
            OURS: Row("bare BLPOP", "ms, p50", 1.3, at_most=True),
        },
    ),
    "a fork per job": (
        in_turns("1x1, a fork per job", lives, forks),
        {"1x1, a fork per job": Row("fork, reserve, exit", "jobs/s", 0.85)},
    ),
    "failures": (failures, {HALF_FAIL: Row("", "jobs/s", 40_000)}),
    "memory": (
        in_turns("a waiting job", memory, plain_memory),
        {"a waiting job": Row("plain gevent, as deep", "kB", 1.25, at_most=True)},
    ),
    "enqueue": (
        one_by_one,
        {
            "enqueue, wall": Row("pipeline of SADD, RPUSH", "µs", 0.95, at_most=True),
            "enqueue, CPU of the server": Row("the same", "µs", 1.3, at_most=True),
        },
    ),
    "enqueue_many": (
        in_bulk,
        {"enqueue_many": Row("json.dumps and RPUSH of 1,000", "µs a job", 1.9, at_most=True)},
    ),
}
ROWS = {name: row for _, rows in FIGURES.values() for name, row in rows.items()}
HEAD = ("figure", "gresque", "floor", "", "ratio", "quartiles", "goal", "")


class Values(NamedTuple):
    """Of one row, in pairs."""

    ours: list[float]
    floor: list[float]

    def cells(self, name: str) -> list[str]:
        row = ROWS[name]
        shown = f"{readable(statistics.median(self.ours))} {row.unit}"
        if not row.floor:
            found, floor = self.ours, "–"
        else:
            found = [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)]
            floor = readable(statistics.median(self.floor))
        middle = statistics.median(found)
        low, _, high = statistics.quantiles(found) if len(found) > 1 else 3 * found
        word = ratio if row.floor else readable
        cells = [name, shown, floor, row.floor, word(middle), f"{word(low)} – {word(high)}"]
        if row.goal is None:
            return [*cells, "", ""]
        met = middle <= row.goal if row.at_most else middle >= row.goal
        goal = f"{'≤' if row.at_most else '≥'} {word(row.goal)}"
        return [*cells, goal, "met" if met else "**missed**"]


def ratio(number: float) -> str:
    return f"{number:.2f}"


def table(found: dict[str, Values]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(values.cells(name) for name, values in found.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
            measure, _ = FIGURES[name]
            for pair in range(-1, options.pairs):
                measured = measure(bench, pair % 2 == 0)
                for row, (ours, floor) in measured.items() if pair >= 0 else ():
                    lines.append(line(row, ours, floor))
                    print(json.dumps(lines[-1]), flush=True)
    print(table(pairs(lines)), file=sys.stderr)


def pairs(lines: Iterable[dict[str, Any]]) -> dict[str, Values]:
    """From JSON lines as they were printed."""
    found: dict[str, Values] = {}
    for each in lines:
        values = found.setdefault(each["scenario"], Values([], []))
        values.ours.append(each["value"])
        values.floor.append(each["floor"])
    return found


def line(name: str, ours: float, floor: float) -> dict[str, Any]:
    return {
        "benchmark": "floors",
        "scenario": name,
        "value": float(f"{ours:.4g}"),
        "floor": float(f"{floor:.4g}"),
        "unit": ROWS[name].unit,
    }


if __name__ == "__main__":
    main()
