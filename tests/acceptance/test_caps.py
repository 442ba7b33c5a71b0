"""Caps under kills, seen by an observer that counts the entries of all ledgers every 10 ms."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter

from benchmarks.observer import Look, Watch
from tests.acceptance.flow import (
    DEATHS_ARE_NO_FAULT,
    LONG_LIVED,
    end_well,
    keep_full,
    kills,
    meanwhile,
    observer,
)
from tests.process.support import Bench, Master, wait_for

CAP = 20
SECONDS = 60


def test_never_above_the_cap_while_processes_are_killed(bench: Bench) -> None:
    """Four processes with a hundred threads each; and another queue beside that has no cap."""
    most: Counter[str] = Counter()
    wrong: list[Look] = []

    def see(look: Look) -> None:
        for queue, held in look.held.items():
            most[queue] = max(most[queue], held)
        if not look.is_exact:
            wrong.append(look)

    bench.client.limit("capped", concurrent=CAP)
    bench.client.enqueue_many("Nap", [(0.001,)] * 20_000, queue="capped")
    master = bench.start(
        *("-q", "capped,free", "-w", "4", "-t", "100", *LONG_LIVED), **DEATHS_ARE_NO_FAULT
    )
    with Watch(observer(bench), see) as watch:
        wait_for(lambda: bench.stat("processed"), 60)
        started = bench.stat("processed")
        with (
            kills(master, 0.3) as killed,
            meanwhile(lambda: keep_full(bench, "capped", 2000, 0.001)),
            meanwhile(lambda: keep_full(bench, "free", 400, 0.01)),
        ):
            time.sleep(SECONDS)
        done = bench.stat("processed") - started
        wait_for(lambda: not any(map(bench.client.size, ("capped", "free"))), 120)
        wait_for(lambda: not bench.held(), 60)
    print(
        f"{done:,} jobs, {len(killed)} kills, {watch.looks:,} looks, "
        f"at most {most['capped']} of {CAP} and {most['free']} without a cap"
    )
    assert most["capped"] == CAP, "reached, and never more"
    assert most["free"] > CAP
    assert not wrong, wrong[0]
    assert watch.looks > 20 * SECONDS
    assert len(killed) > 2 * SECONDS
    assert not bench.redis.exists("resque:inflight", "resque:freed:capped")
    end_well(master)
    assert bench.stat("failed") == 0


def test_a_cap_that_changes_while_jobs_run(bench: Bench) -> None:
    """Up at once; down without a kill: no job starts until the jobs in flight are below it."""
    master = bench.start("-q", "capped", "-w", "4", "-t", "100", *LONG_LIVED)
    look = observer(bench).look
    with meanwhile(lambda: keep_full(bench, "capped", 2000, 0.05)):
        for cap in (1, 50, 5, 1, 50, 5):
            bench.client.limit("capped", concurrent=cap)
            changed = time.monotonic()
            wait_for(lambda cap=cap: look().held["capped"] == cap, 10)
            print(f"{cap} after {1000 * (time.monotonic() - changed):.0f} ms")
            assert most_held(bench, 2) == cap
        bench.client.limit("capped", concurrent=None)
        wait_for(lambda: look().held["capped"] > 100, 10)
    wait_for(lambda: not bench.client.size("capped") and not bench.held(), 60)
    assert not bench.redis.exists("resque:inflight")
    end_well(master)


def most_held(bench: Bench, seconds: float) -> int:
    """At any moment of the next seconds."""
    found: list[int] = []
    with Watch(observer(bench), lambda look: found.append(look.held["capped"])):
        time.sleep(seconds)
    return max(found)


def test_the_cap_is_used(bench: Bench) -> None:
    """Jobs a second are at least 90 % of cap / duration, with many processes that compete."""
    duration, jobs = 0.05, 4000
    bench.client.limit("capped", concurrent=CAP)
    master = bench.start("-q", "capped", "-w", "4", "-t", "100", *LONG_LIVED)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 4, 60)
    bench.client.enqueue_many("Nap", [(duration,)] * jobs, queue="capped")
    wait_for(lambda: bench.stat("processed") >= 100, 60)
    started, before = time.monotonic(), bench.stat("processed")
    wait_for(lambda: bench.stat("processed") >= jobs - 100, 60)
    rate = (bench.stat("processed") - before) / (time.monotonic() - started)
    print(f"{rate:.0f} jobs a second of {CAP / duration:.0f}")
    assert rate >= 0.9 * CAP / duration
    end_well(master)


def test_caps_of_a_worker_hold_through_kills_and_hup(bench: Bench) -> None:
    """`mail:5,mail-*:50%` of each of two masters, with 4 x 10 threads."""
    limits = {"mail": 5, "mail-a": 20, "mail-b": 20}
    queues, workers = "mail:5,mail-*:50%", 2
    most: Counter[tuple[str, str]] = Counter()
    wrong: list[Look] = []

    def see(look: Look) -> None:
        for place, held in look.held_of.items():
            most[place] = max(most[place], held)
        if not look.is_exact:
            wrong.append(look)

    def feed() -> None:
        for queue in limits:
            keep_full(bench, queue, 200, 0.02)

    masters = [
        bench.start("-q", queues, "-w", "4", "-t", "10", *LONG_LIVED, **DEATHS_ARE_NO_FAULT)
        for _ in range(workers)
    ]
    hups = 0
    with Watch(observer(bench), see):
        with meanwhile(feed):
            wait_for(lambda: len({worker for worker, _ in most}) == workers, 60)
            with kills(masters[0], 0.5) as killed:
                until = time.monotonic() + SECONDS / 2
                while time.monotonic() < until:
                    time.sleep(random.uniform(1, 3))
                    random.choice(masters).signal(signal.SIGHUP)
                    hups += 1
        wait_for(lambda: not any(map(bench.client.size, limits)) and not bench.held(), 120)
    print(f"{len(killed)} kills, {hups} HUPs:", *(f"{q} {n}" for (_, q), n in most.items()))
    assert len({worker for worker, _ in most}) == workers, "HUP keeps the worker's id"
    assert {queue for _, queue in most} == set(limits)
    for (worker, queue), held in most.items():
        assert held <= limits[queue], (worker, queue)
    assert sum(held == limits[queue] for (_, queue), held in most.items()) >= 4, "they are used"
    assert not wrong, wrong[0]
    assert not bench.redis.keys("resque:inflight*")
    for master in masters:
        end_well(master)


def test_a_cap_holds_through_deploys(bench: Bench) -> None:
    """A new master comes and an old one leaves every two seconds, and others get a HUP."""
    most: Counter[str] = Counter()
    wrong: list[Look] = []

    def see(look: Look) -> None:
        most["capped"] = max(most["capped"], look.held["capped"])
        if not look.is_exact:
            wrong.append(look)

    def deploy() -> Master:
        return bench.start("-q", "capped", "-w", "2", "-t", "40", *LONG_LIVED)

    bench.client.limit("capped", concurrent=CAP)
    bench.client.enqueue_many("Nap", [(0.02,)] * 1000, queue="capped")
    masters = [deploy(), deploy()]
    wait_for(lambda: bench.stat("processed"), 60)
    replaced = 0
    with (
        Watch(observer(bench), see) as watch,
        meanwhile(lambda: keep_full(bench, "capped", 1000, 0.02)),
    ):
        until = time.monotonic() + SECONDS / 2
        while time.monotonic() < until:
            known = len(bench.client.store.processes.ids())
            masters.append(deploy())
            wait_for(lambda known=known: len(bench.client.store.processes.ids()) > known, 60)
            end_well(masters.pop(0))
            masters[0].signal(signal.SIGHUP)
            replaced += 1
            time.sleep(random.uniform(0, 2))
        for master in masters:
            end_well(master)
    print(f"{replaced} deploys, {watch.looks:,} looks, at most {most['capped']} of {CAP}")
    assert most["capped"] == CAP
    assert not wrong, wrong[0]
    assert not bench.held() and not bench.redis.exists("resque:inflight")
    assert bench.stat("failed") == 0
