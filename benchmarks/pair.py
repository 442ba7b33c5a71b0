"""Two trees of gresque side by side, alternating: what a change costs, and what it gains.

    python -m benchmarks.pair ../base . --pairs 20
    python -m benchmarks.pair ../base . --only "no-op 2x100" --only enqueue

Each tree runs with the Python of its .venv, or, where it has none, with this one and the tree on
the path. Both meet the same server, the same jobs (benchmarks/pair_jobs.py) and the same payloads;
which one comes first changes with each pair, so that a machine that warms up or gets busy favours
neither. One pair goes first and does not count.

The ratio is the median of NEW over the median of BASE; the quartiles are those of the ratios pair
by pair. CPU a job is steadier than jobs a second where the machine is shared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import (
    BUILD,
    ENDLESS,
    ROOT,
    Processes,
    Server,
    drain,
    pss_bytes,
    readable,
    wait_for,
)

QUEUE = "pair"
PICK_UPS = 200
ENQUEUED = 10_000
SETTLE_SECONDS = 3.0

ENQUEUE = f"""
import sys, time
import gresque
from pair_jobs import noop
client = gresque.Client(sys.argv[1])
client.enqueue(noop, 0)
started, cpu = time.perf_counter(), time.process_time()
for number in range({ENQUEUED}):
    client.enqueue(noop, number)
print({ENQUEUED} / (time.perf_counter() - started), time.process_time() - cpu)
"""


class Tree:
    """A checkout of gresque, and how its programs are started."""

    def __init__(self, path: Path) -> None:
        if not (path / "gresque" / "__init__.py").exists():
            sys.exit(f"{path} has no gresque/: give the root of a checkout")
        self.path = path
        python = path / ".venv" / "bin" / "python"
        self.python = str(python) if python.exists() else sys.executable
        self.env = {
            "PYTHONPATH": os.pathsep.join([str(path), str(ROOT / "benchmarks")]),
            # Else the current directory comes before all of it, and both trees run its gresque.
            "PYTHONSAFEPATH": "1",
        }

    def work(self, server: Server, *options: str, **env: str) -> Processes:
        command = [self.python, "-m", "gresque", "work", "-q", QUEUE, "-r", "pair_jobs", *options]
        return Processes(
            [command], {**self.env, "REDIS_URL": server.url, **env}, BUILD / "logs" / "pair.log"
        )


class Load(NamedTuple):
    """A full queue that is worked dry."""

    job: str
    jobs: int
    workers: int
    threads: int
    jobs_per_fork: int = ENDLESS

    def __call__(self, server: Server, tree: Tree) -> dict[str, float]:
        fill(server, self.job, self.jobs)
        before, served = children_cpu_seconds(), server_cpu_seconds(server)
        options = ("-w", self.workers, "-t", self.threads, "-j", self.jobs_per_fork, "--burst")
        with tree.work(server, *map(str, options)) as work:
            rate = drain(server, work, self.jobs)
        return {
            "jobs/s": rate.per_second,
            "µs of worker CPU a job": (children_cpu_seconds() - before) / self.jobs * 1e6,
            "µs of server CPU a job": (server_cpu_seconds(server) - served) / self.jobs * 1e6,
        }


def fill(server: Server, job: str, jobs: int) -> None:
    server.empty()
    server.redis.sadd("resque:queues", QUEUE)
    for first in range(0, jobs, 5000):
        numbers = range(first, min(first + 5000, jobs))
        server.redis.rpush(f"resque:queue:{QUEUE}", *(payload(job, n) for n in numbers))


def payload(job: str, number: int) -> str:
    return json.dumps({"class": job, "args": [number], "id": f"{number:032x}", "generation": 1})


def children_cpu_seconds() -> float:
    """Of all processes that this one has started and that have ended, with theirs."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def server_cpu_seconds(server: Server) -> float:
    info = server.redis.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def pick_up(server: Server, tree: Tree) -> dict[str, float]:
    """From before a push to the first line of the job, in an idle worker."""
    server.empty()
    with tempfile.TemporaryDirectory() as directory:
        starts = Path(directory) / "starts"
        starts.touch()
        lags = []
        with tree.work(server, "-w", "1", "-t", "10", PAIR_STARTS=str(starts)):
            wait_ready(server, 1)
            with starts.open() as started:
                for number in range(PICK_UPS):
                    time.sleep(0.01)
                    sent = time.monotonic()
                    server.redis.rpush(f"resque:queue:{QUEUE}", payload("Start", number))
                    wait_for(lambda: starts.stat().st_size > started.tell(), 10, "no job started")
                    lags.append(float(started.readline().split()[1]) - sent)
    return {"ms, p50": 1000 * statistics.median(lags)}


def enqueue(server: Server, tree: Tree) -> dict[str, float]:
    """One by one, by one process with one thread."""
    server.empty()
    ran = subprocess.run(
        [tree.python, "-c", ENQUEUE, server.url],
        env={**os.environ, **tree.env}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rate, cpu = map(float, ran.stdout.split())
    return {"jobs/s": rate, "µs of CPU a job": cpu / ENQUEUED * 1e6}


def memory(server: Server, tree: Tree) -> dict[str, float]:
    """Of a worker at rest, but for the private memory of a maintenance process, which only one of
    the trees may have."""
    server.empty()
    with tree.work(server, "-w", "2", "-t", "100") as work:
        wait_ready(server, 2)
        time.sleep(SETTLE_SECONDS)
        everyone = work.all()
        apart = [p for p in everyone if "maintenance" in " ".join(p.cmdline())]
        private = sum(process.memory_full_info().uss for process in apart)
        return {"MB (PSS)": (sum(map(pss_bytes, everyone)) - private) / 1e6}


def wait_ready(server: Server, processes: int) -> None:
    wait_for(lambda: server.redis.zcard("resque:ledgers") >= processes, 60, "no worker came")
    time.sleep(0.5)


Measure = Callable[[Server, Tree], dict[str, float]]
MEASURES: dict[str, Measure] = {
    "no-op 2x100": Load("Noop", 300_000, 2, 100),
    "no-op 2x1000": Load("Noop", 300_000, 2, 1000),
    "50 ms 2x1000": Load("Sleep", 100_000, 2, 1000),
    "1x1, a fork per job": Load("Noop", 1_000, 1, 1, 1),
    "pick-up": pick_up,
    "enqueue": enqueue,
    "memory at rest": memory,
}


class Values(NamedTuple):
    """Of one measure, in pairs."""

    base: list[float]
    new: list[float]

    def row(self, name: str, unit: str) -> str:
        base, new = statistics.median(self.base), statistics.median(self.new)
        ratios = [new / base for base, new in zip(self.base, self.new, strict=True)]
        low, _, high = statistics.quantiles(ratios) if len(ratios) > 1 else 3 * ratios
        cells = [name, unit, readable(base), readable(new), f"{new / base:.3f}"]
        return f"| {' | '.join([*cells, f'{low:.3f} to {high:.3f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Two trees of gresque side by side, alternating.")
    parser.add_argument("base", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", choices=MEASURES, action="append", help="repeatable")
    parser.add_argument("--redis", default="embedded://", help="emptied before every run!")
    options = parser.parse_args()
    base, new = Tree(options.base.resolve()), Tree(options.new.resolve())
    server = Server(options.redis)
    print("| | | base | new | ratio | quartiles |\n|---|---|---|---|---|---|")
    for name in options.only or MEASURES:
        for unit, values in compare(server, base, new, MEASURES[name], options.pairs).items():
            print(values.row(name, unit), flush=True)


def compare(
    server: Server, base: Tree, new: Tree, measure: Measure, pairs: int
) -> dict[str, Values]:
    """The values of a measure, by their units."""
    found: dict[str, Values] = {}
    for pair in range(-1, pairs):
        order = [(0, base), (1, new)]
        for which, tree in order if pair % 2 else reversed(order):
            for unit, value in measure(server, tree).items():
                if pair >= 0:
                    found.setdefault(unit, Values([], []))[which].append(value)
    return found


if __name__ == "__main__":
    main()
