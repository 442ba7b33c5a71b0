"""What 400 worker processes cost one server: at rest, with single jobs, with 1,000 long jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.fleet import LOADS, Cost, look
from benchmarks.harness import ROOT, Server
from benchmarks.pair import Tree

FLEET = 400


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("embedded://")
    yield server
    server.redis.close()


def cost_of(server: Server, load: str) -> Cost:
    cost = look(server, Tree(ROOT), FLEET, LOADS[load], 40.0)
    print(
        f"{LOADS[load].name}: {cost.requests:.0f} requests a second ({cost.requests / FLEET:.2f} "
        f"each), {cost.cpu_percent:.1f} % server CPU, {cost.in_bytes / 1e6:.3f} MB/s in"
    )
    return cost


def test_idle_processes_cost_next_to_nothing_and_a_job_nine_requests(server: Server) -> None:
    """Nine beside the one that enqueues it."""
    idle = cost_of(server, "idle")
    assert idle.requests <= 0.25 * FLEET
    assert idle.cpu_percent <= 3.0
    for load in ("10", "80"):
        cost = cost_of(server, load)
        assert (cost.requests - idle.requests) / cost.jobs - 1 <= 9.0


def test_long_jobs_are_not_said_again(server: Server) -> None:
    assert cost_of(server, "long").in_bytes <= 0.1e6 * FLEET / 100


def test_jobs_of_a_minute_are_said_once(server: Server) -> None:
    """Each of them when it has run for a second, and its end: 17 of both in a second, beside all
    that runs once in a minute."""
    assert cost_of(server, "minute").in_bytes <= 0.15e6 * FLEET / 100
