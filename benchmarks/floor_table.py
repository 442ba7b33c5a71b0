"""The table of floors.py: its rows, their goals, and what was measured for each."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.harness import readable

NO_OP, BESIDE_LEAST = "no-op 2x100", "the same 2x100"
SLEEPS, MANY_SLEEPS = "50 ms 2x1000", "50 ms 2x5000"
REQUESTS, URLLIB3 = "requests 2x200", "urllib3 pool 2x200"
FOREIGN, OURS = "pick-up, foreign RPUSH", "pick-up, enqueue"
LIVES, HALF_FAIL, MEMORY = "1x1, a fork per job", "half of the jobs fail", "a waiting job"
WALL, SERVER_CPU, BULK = "enqueue, wall", "enqueue, CPU of the server", "enqueue_many"


class Row(NamedTuple):
    """Of the table. Without a floor the goal is one for gresque itself; None for no goal."""

    floor: str
    unit: str
    goal: float | None
    at_most: bool = False


ROWS = {
    NO_OP: Row("the cycle alone", "jobs/s", 0.85),
    BESIDE_LEAST: Row("the least cycle", "jobs/s", None),
    SLEEPS: Row("plain gevent", "jobs/s", 0.92),
    MANY_SLEEPS: Row("plain gevent", "jobs/s", 0.40),
    REQUESTS: Row("plain gevent", "jobs/s", 0.97),
    URLLIB3: Row("plain gevent", "jobs/s", 0.97),
    FOREIGN: Row("bare BLPOP", "ms, p50", 1.8, at_most=True),
    OURS: Row("bare BLPOP", "ms, p50", 1.3, at_most=True),
    LIVES: Row("fork, reserve, exit", "jobs/s", 0.85),
    HALF_FAIL: Row("", "jobs/s", 40_000),
    MEMORY: Row("plain gevent, as deep", "kB", 1.25, at_most=True),
    WALL: Row("pipeline of SADD, RPUSH", "µs", 0.95, at_most=True),
    SERVER_CPU: Row("the same", "µs", 1.3, at_most=True),
    BULK: Row("json.dumps and RPUSH of 1,000", "µs a job", 1.9, at_most=True),
}
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
