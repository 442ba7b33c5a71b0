"""Rates, seen by what the ledgers say has been reserved, by the clock of the server."""

from __future__ import annotations

import time
from bisect import bisect_right
from itertools import pairwise

import pytest

from tests.acceptance.flow import LONG_LIVED, connection, end_well
from tests.acceptance.test_pauses import assert_idle, wait_until_idle
from tests.process.support import Bench, wait_for

RESERVED = """
local reserved, now = 0, redis.call('TIME')
for _, key in ipairs(redis.call('KEYS', 'resque:ledger:*')) do
    reserved = reserved + redis.call('HGET', key, 'state'):match('^%S+ (%d+)')
end
return {now[1] * 1000000 + now[2], reserved}
"""
SECONDS = 10
SECOND = 1_000_000


@pytest.mark.parametrize("burst", [1, 10])
def test_a_hundred_a_second_for_ten_seconds(bench: Bench, burst: int) -> None:
    """All windows of a second, and all of ten, over four processes that compete."""
    bench.client.limit("api", rate="100/s", burst=burst)
    master = bench.start("-q", "api", "-w", "4", "-t", "20", *LONG_LIVED)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 4, 60)
    look = connection(bench).register_script(RESERVED)
    bench.client.pause("api")
    bench.client.enqueue_many("Nap", [(0.0,)] * 3000, queue="api")
    samples: list[tuple[int, int]] = [look()]
    bench.client.unpause("api")
    until = time.monotonic() + SECONDS + 2
    while time.monotonic() < until:
        now, reserved = look()
        samples.append((now, reserved))
        time.sleep(0.005)
    begin = next(n for n, (_, reserved) in enumerate(samples) if reserved)
    samples = samples[begin - 1 :]
    first = samples[0][0]
    # A window from one sample to another holds no job before the first or after the second one.
    times = [at for at, _ in samples]
    most = max(
        samples[bisect_right(times, at + SECOND) - 1][1] - reserved for at, reserved in samples
    )
    ten = samples[bisect_right(times, first + SECOND * SECONDS) - 1][1] - samples[0][1]
    print(f"{ten} in {SECONDS} s, at most {most} in a second")
    assert ten <= 100 * SECONDS + burst
    # With a burst of 1 a start is lost by a process that is 9 ms late: there are a few on a busy
    # machine.
    assert ten >= 100 * SECONDS - max(burst, 10)
    assert most <= 100 + burst
    end_well(master)


def test_a_dry_rate_costs_next_to_nothing(bench: Bench) -> None:
    """Thousands wait, for one a minute; another queue of lower priority runs."""
    bench.client.limit("api", rate="1/m")
    bench.client.enqueue_many("Nap", [(0.0,)] * 5000, queue="api")
    master = bench.start("-q", "api,other", "-w", "4", "-t", "50", *LONG_LIVED)
    wait_for(lambda: bench.stat("processed") == 1, 60)
    wait_until_idle(bench)
    assert_idle(master, bench)
    bench.client.enqueue_many("Nap", [(0.0,)] * 100, queue="other")
    wait_for(lambda: bench.client.size("other") == 0, 5)
    assert bench.client.size("api") == 4999
    end_well(master)


def test_each_job_of_a_rate_starts_when_it_may(bench: Bench) -> None:
    """Nobody polls, and nobody oversleeps: ten jobs a second, 100 ms apart."""
    bench.client.limit("api", rate="10/s", burst=1)
    bench.client.enqueue_many("Began", [("api",)] * 30, queue="api")
    master = bench.start("-q", "api", "-w", "2", "-t", "20", *LONG_LIVED)
    began = wait_for(
        lambda: len(found := bench.redis.lrange("began:api", 0, -1)) == 30 and found, 60
    )
    apart = sorted(1000 * (float(b) - float(a)) for a, b in pairwise(began))
    print(f"apart: {apart[0]:.0f} to {apart[-1]:.0f} ms, median {apart[15]:.0f}")
    assert 95 < apart[15] < 110
    assert apart[-1] < 200
    end_well(master)
