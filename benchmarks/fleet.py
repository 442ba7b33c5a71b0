"""What many worker processes cost one server: at rest, with a few jobs, with many long ones.

    python -m benchmarks.fleet                                # 200 and 400 processes, all loads
    python -m benchmarks.fleet --processes 50 --only idle --seconds 10
    python -m benchmarks.fleet --against ../base              # both trees, alternating

The processes are simulated: those of a whole fleet live in a few of this machine, and have all
that talks to Redis (benchmarks/fleet_processes.py). Requests are what the server reads from its
sockets; commands are what it executes, those within scripts too; CPU is that of one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import gresque
from benchmarks.harness import BUILD, ROOT, Processes, Results, Server, wait_for
from benchmarks.pair import Tree

FLEET = (200, 400)
SECONDS = 40.0
"""Some requests of a process come every 30 s only."""
SETTLE_SECONDS = 12.0
IN_ONE = 100
"""Simulated processes of each process of this machine."""


class Load(NamedTuple):
    """What there is to do while the fleet is looked at."""

    name: str
    jobs_per_second: float = 0.0
    """Enqueued one by one."""
    long_jobs: int = 0
    """That each process runs all the time."""
    job_seconds: float = 0.0
    """How long each of these takes; 0 for ever."""


LOADS = {
    "idle": Load("idle"),
    "10": Load("10 single jobs a second", 10.0),
    "80": Load("80 single jobs a second", 80.0),
    "long": Load("1,000 long jobs each", long_jobs=1000),
    "minute": Load("1,000 jobs of a minute each", long_jobs=1000, job_seconds=60.0),
    "five": Load("1,000 jobs of 5 s each", long_jobs=1000, job_seconds=5.0),
}


class Cost(NamedTuple):
    """What the server did in a second."""

    requests: float
    commands: float
    cpu_percent: float
    in_bytes: float
    out_bytes: float
    jobs: float

    def __sub__(self, rest: Cost) -> Cost:  # type: ignore[override]
        return Cost(*(mine - its for mine, its in zip(self, rest, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=FLEET)
    parser.add_argument("--only", choices=LOADS, action="append", help="repeatable")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="for which each is looked at"
    )
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="multiply processes and seconds")
    parser.add_argument("--against", type=Path, help="another checkout, for ratios")
    parser.add_argument("--redis", default="embedded://", help="emptied before every run!")
    options = parser.parse_args()
    server, results = Server(options.redis), Results("fleet", "")
    trees = {"": Tree(ROOT)}
    if options.against:
        trees = {"base: ": Tree(options.against.resolve()), **trees}
    for _ in range(options.runs):
        for processes in options.processes:
            for name in options.only or LOADS:
                for prefix, tree in trees.items():
                    size = max(int(processes * options.scale), 10)
                    seconds = options.seconds * min(options.scale * 4, 1.0)
                    cost = look(server, tree, size, LOADS[name], seconds)
                    note(results, f"{prefix}{size}, {LOADS[name].name}", size, LOADS[name], cost)
    results.print_table()


def look(server: Server, tree: Tree, size: int, load: Load, seconds: float = SECONDS) -> Cost:
    """Start a fleet, give it that load, and look at the server meanwhile."""
    server.empty()
    with start(server, tree, size, load) as fleet:
        wait_for(
            lambda: is_at_work(server, size, load) or not fleet.alive, 120, "the fleet did not come"
        )
        if not fleet.alive:
            sys.exit(fleet.last_line())
        time.sleep(min(SETTLE_SECONDS, seconds))
        cost = measure(server, load.jobs_per_second, seconds)
        if not fleet.alive:
            sys.exit(fleet.last_line())
        return cost


def start(server: Server, tree: Tree, size: int, load: Load) -> Processes:
    commands = [
        [
            *(tree.python, "-m", "fleet_processes", server.url, str(first)),
            *(str(min(IN_ONE, size - first)), str(load.long_jobs), str(load.job_seconds)),
        ]
        for first in range(0, size, IN_ONE)
    ]
    return Processes(commands, tree.env, BUILD / "logs" / "fleet.log")


def is_at_work(server: Server, size: int, load: Load) -> bool:
    """All have registered, and have said what they run."""
    said = not load.long_jobs or len(server.redis.keys("resque:running:*")) >= size
    return said and server.redis.zcard("resque:ledgers") >= size


def measure(server: Server, jobs_per_second: float, seconds: float) -> Cost:
    client = gresque.Client(server.url)
    client.queues()  # connected
    before, began = numbers(server), time.monotonic()
    sent = 0
    while (passed := time.monotonic() - began) < seconds:
        if not jobs_per_second:
            time.sleep(seconds - passed)
        elif sent <= passed * jobs_per_second:
            client.enqueue_to("fleet-a", "Fleet", sent)
            sent += 1
        else:
            time.sleep(max(sent / jobs_per_second - passed, 0))
    passed, done = time.monotonic() - began, numbers(server)
    if sent:
        wait_for(lambda: server.processed() >= sent, 10, "the fleet did not do the jobs")
    return Cost(*(value / passed for value in done - before))


def numbers(server: Server) -> Cost:
    """Of the server, since it started."""
    info = server.redis.info()
    return Cost(
        info["total_reads_processed"] - 1,
        info["total_commands_processed"],
        100 * (info["used_cpu_user"] + info["used_cpu_sys"]),
        info["total_net_input_bytes"],
        info["total_net_output_bytes"],
        server.processed(),
    )


def note(results: Results, name: str, size: int, load: Load, cost: Cost) -> None:
    def put(what: str, value: float, goal: float | None = None, unit: str = "a second") -> None:
        results.note(f"{name}: {what}", value, goal, at_most=True, unit=unit)

    is_idle = load == LOADS["idle"]
    put("requests", cost.requests)
    if not load.long_jobs:
        put("requests, each", cost.requests / size, 0.25 if is_idle else None)
    put("commands", cost.commands)
    put("server CPU", cost.cpu_percent, 3.0 if is_idle else None, "%")
    put("in", cost.in_bytes / 1e6, 0.1 * size / 100 if load == LOADS["long"] else None, "MB/s")
    put("out", cost.out_bytes / 1e6, None, "MB/s")


if __name__ == "__main__":
    main()
