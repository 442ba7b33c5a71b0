"""Retries with processes killed at forty moments, and ten thousand failures at once."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress

import psutil
import pytest

from tests.process.support import Bench, Master, wait_for

OURS = "tests.process.retrying"
POINTS = 40
MANY = 10_000


def attempts(bench: Bench, name: str) -> list[int]:
    return [int(each) for each in bench.redis.lrange(f"attempts:{name}", 0, -1)]


def has_lived(master: Master) -> bool:
    """Its process does not die quickly: the master waits after eleven quick deaths in a row."""
    with suppress(psutil.NoSuchProcess):
        return any(time.time() - each.create_time() > 1.5 for each in master.children())
    return False


def test_no_attempt_is_taken_by_a_death_at_any_moment(bench: Bench) -> None:
    """A job that fails three times and then succeeds; its process is killed at one of 40 moments of
    that. It runs 4 times, and once more for the death while it ran."""
    master = bench.start("-q", "q", "-r", OURS, "-t", "1", "-j", "100000", MAX_RECOVERIES="0")
    chosen, deaths = random.Random(7), 0
    for point in range(POINTS):
        name = f"at {point}"
        wait_for(lambda: has_lived(master), 60)
        bench.client.enqueue_to("q", "Gradual", name)
        until = time.monotonic() + chosen.uniform(0, 0.4)
        wait_for(lambda: attempts(bench, name))  # noqa: B023
        time.sleep(max(until - time.monotonic(), 0))
        deaths += bool(master.children())
        master.kill_children()
        wait_for(lambda n=point + 1: bench.stat("processed") == n, 60)  # type: ignore[misc]
        seen = attempts(bench, name)
        assert sorted(set(seen)) == [1, 2, 3, 4], seen
        assert len(seen) <= 5, "one death: one run more at most"
        assert seen == sorted(seen)
    assert deaths > POINTS // 2
    assert (bench.stat("failed"), bench.stat("retried")) == (0, 3 * POINTS)
    assert bench.failed() == []


def test_many_that_fail_at_once_all_come_back(bench: Bench) -> None:
    """Each waits under its id, and none comes twice."""
    bench.client.enqueue_many("Flaky", [(f"m{n}", 1) for n in range(MANY)], queue="q")
    started = time.monotonic()
    bench.start("-q", "q", "-r", OURS, "-w", "2", "-t", "100", "-j", "100000")
    wait_for(lambda: bench.stat("processed") == MANY, 120)
    print(f"{MANY:,} jobs failed and came back in {time.monotonic() - started:.1f} s")
    assert (bench.stat("failed"), bench.stat("retried")) == (0, MANY)
    assert all(attempts(bench, f"m{n}") == [1, 2] for n in range(MANY))
    assert not bench.redis.exists("resque:later", "resque:later:jobs")


def test_a_hundred_snoozes_take_no_attempt(bench: Bench) -> None:
    bench.start("-q", "q", "-r", OURS, "-t", "10", "-j", "100000")
    bench.client.enqueue_to("q", "Snoozing", "s", 100)
    wait_for(lambda: bench.stat("processed") == 1, 60)
    assert attempts(bench, "s") == [1] * 101
    assert (bench.stat("failed"), bench.stat("retried")) == (0, 0)


@pytest.mark.parametrize("retries", ["1"])
def test_a_timeout_that_takes_the_whole_process_is_tried_again(bench: Bench, retries: str) -> None:
    """It holds the GIL in C: nothing but SIGKILL ends it."""
    bench.client.enqueue_to("q", "TimedInC")
    master = bench.start("-q", "q", "-t", "4", "-j", "1000", RETRIES=retries)
    wait_for(lambda: bench.redis.zcard("resque:later") == 1, 60)
    assert (bench.stat("failed"), bench.stat("retried")) == (0, 1)
    (entry,) = bench.redis.hvals("resque:later:jobs")
    assert b'"attempt":2' in entry and b"JobTimeout" in entry
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "1 retried" in master.log
