"""Clocks are set forwards and backwards while workers run: the server's, and that of one host."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.clock import FAKETIME, SetClock
from tests.process.support import Bench, wait_for
from tests.support.server import OwnServer

pytestmark = pytest.mark.skipif(not FAKETIME, reason="needs Debian's package faketime")

ARGUMENTS = ("-q", "q", "-r", "tests.process.quick_deaths", "-t", "5")
STEPS = (90, -3600, 7200, 5, 0)


@pytest.fixture
def clock(tmp_path: Path) -> SetClock:
    return SetClock(tmp_path / "clock")


@pytest.fixture
def bench(tmp_path: Path, clock: SetClock) -> Iterator[Bench]:
    server = OwnServer(tmp_path, env=clock.env).start()
    bench = Bench(server.url, server.redis, tmp_path)
    yield bench
    bench.close()
    server.kill()


def test_steps_of_clocks_change_nothing(bench: Bench, clock: SetClock) -> None:
    """With heartbeats that count for 8 s. One worker has the server's clock."""
    masters = [
        bench.start(*ARGUMENTS, "-j", "1000", **clock.env),
        bench.start(*ARGUMENTS, "-w", "2"),
    ]
    for number in range(10):
        bench.client.enqueue_to("q", "CountSlowly", f"long {number}", 6.0)
    wait_for(lambda: bench.begun() == 10 and bench.redis.zcard("resque:ledgers") >= 3)
    pushed = 10
    for step in STEPS:
        before = int(bench.redis.time()[0])
        clock.set(step)
        wait_for(lambda before=before: abs(int(bench.redis.time()[0]) - before) > 3)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            bench.client.enqueue_to("q", "Count", str(pushed))
            pushed += 1
            wait_for(lambda due=pushed - 10: bench.stat("processed") >= due)
    wait_for(lambda: bench.stat("processed") == pushed)
    assert set(bench.runs().values()) == {1}
    assert len(bench.runs()) == pushed
    assert not bench.redis.exists("resque:recoveries")
    assert bench.redis.scard("resque:workers") == 2
    for master in masters:
        master.signal(signal.SIGQUIT)
        assert master.wait() == 0
        assert "declared dead" not in master.log
