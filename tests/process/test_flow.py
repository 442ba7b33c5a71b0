"""Paused, full and rated queues, with real processes."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import psutil

from gresque.inspector.flow import Flow
from tests.process.support import SOON_SECONDS, Bench, Master, wait_for

INTERVAL = ("--interval", "10")
SOONER = 9.0
"""Seconds in which no fallback poll helps a test along."""


def start(bench: Bench, queues: str, tiers: str, *options: str) -> Master:
    workers, threads, jobs = tiers.split("/")
    return bench.start("-q", queues, "-w", workers, "-t", threads, "-j", jobs, *INTERVAL, *options)


def wait_until_idle(bench: Bench, processes: int, seconds: float = SOON_SECONDS) -> None:
    """Wait until this many processes have found no job that they may take."""
    kinds = ("listening", "waiting")
    wait_for(
        lambda: (
            processes
            == sum(
                bench.redis.zcard(key)
                for kind in kinds
                for key in bench.redis.scan_iter(f"{bench.namespace}:{kind}:*")
            )
        ),
        seconds,
    )


def test_a_paused_queue_starts_nothing_until_the_pause_ends(bench: Bench) -> None:
    client = bench.client
    client.pause("a")
    client.enqueue_many("Count", [("a",)] * 3, queue="a")
    start(bench, "a,b", "2/5/1000")
    wait_until_idle(bench, 2)
    client.enqueue_many("Count", [("a",)] * 3, queue="a")
    client.enqueue_many("Count", [("b",)] * 50, queue="b")
    wait_for(lambda: bench.runs() == {"b": 50}, SOONER)
    assert client.size("a") == 6
    client.unpause("a")
    wait_for(lambda: bench.runs() == {"a": 6, "b": 50}, SOONER)
    client.pause_all()
    client.enqueue_many("Count", [("a",)] * 3, queue="a")
    client.enqueue_many("Count", [("b",)] * 3, queue="b")
    wait_until_idle(bench, 2)
    assert (client.size("a"), client.size("b"), bench.held()) == (3, 3, 0)
    client.unpause_all()
    wait_for(lambda: bench.runs() == {"a": 9, "b": 53}, SOONER)


def held(bench: Bench, queue: str) -> int:
    """Counted jobs of a queue."""
    return int(bench.redis.hget(f"{bench.namespace}:inflight", queue) or 0)


def test_a_full_queue_stands_in_nobodys_way_and_its_cap_may_change(bench: Bench) -> None:
    client = bench.client
    client.limit("a", concurrent=1)
    client.enqueue_many("CountWhenLet", [(str(n),) for n in range(30)], queue="a")
    start(bench, "a,b", "2/20/1000")
    wait_for(lambda: held(bench, "a") == bench.begun() == 1)
    client.enqueue_many("Count", [("b",)] * 50, queue="b")
    wait_for(lambda: bench.runs() == {"b": 50}, SOONER)
    client.limit("a", concurrent=25)
    wait_for(lambda: held(bench, "a") == bench.begun() == 25, SOONER)
    client.limit("a", concurrent=3)
    client.enqueue_many("CountSlowly", [("slow", 0.05)] * 20, queue="a")
    assert client.size("a") == 25
    bench.let()
    most = []

    def all_ended() -> bool:
        if bench.stat("processed") > 75:  # those of the higher cap have ended
            most.append(bench.held())
        return bench.stat("processed") == 100

    wait_for(all_ended)
    assert max(most, default=0) <= 3
    wait_for(lambda: bench.held() == 0)
    assert not bench.redis.exists(f"{bench.namespace}:inflight")


def test_a_slot_that_becomes_free_wakes_another_process(bench: Bench) -> None:
    """The process that held it is paused, so it takes no more jobs."""
    client = bench.client
    client.limit("a", concurrent=1)
    client.enqueue_many("CountWhenLet", [("1",), ("2",)], queue="a")
    first = start(bench, "a", "1/5/1000")
    wait_for(lambda: bench.begun() == 1)
    start(bench, "a", "1/5/1000")
    wait_until_idle(bench, 2)
    first.signal(signal.SIGUSR2)
    wait_until_idle(bench, 1)
    bench.let()
    wait_for(lambda: bench.runs() == {"1": 1, "2": 1}, SOONER)


def test_those_that_listen_and_have_no_thread_left_hand_over(bench: Bench) -> None:
    """Each process holds a job of a full queue. Its jobs before were so short that it wants more
    jobs than it has threads."""
    client = bench.client

    def all_listen() -> bool:
        """Whether all wait for jobs; on a busy machine the jobs may not have been short enough."""
        bench.let()
        wait_for(lambda: not bench.held())
        bench.redis.delete("let", "begun")
        client.enqueue_many("Nothing", [()] * 2000, queue="a")
        client.enqueue_many("CountWhenLet", [(str(n),) for n in range(4)], queue="a")
        wait_for(lambda: bench.begun() == 4)
        with suppress(AssertionError):
            wait_until_idle(bench, 4, seconds=1)
            return True
        return False

    client.limit("a", concurrent=4)
    start(bench, "a,b", "4/1/100000")
    wait_for(all_listen, 120)
    start(bench, "a,b", "4/1/1000")
    wait_until_idle(bench, 8)
    for n in range(3):
        client.enqueue_many("Count", [("b",)], queue="b")
        wait_for(lambda n=n: bench.runs().get("b") == n + 1, SOONER / 2)
    bench.let()


def test_the_caps_of_a_worker_are_its_own(bench: Bench) -> None:
    bench.client.enqueue_many("CountWhenLet", [(str(n),) for n in range(9)], queue="mail-a")
    masters = [start(bench, "mail-*:2", "2/5/1000"), start(bench, "mail-*:20%", "2/5/1000")]
    wait_for(lambda: bench.begun() == 4)
    wait_until_idle(bench, 4)
    assert bench.held() == 4
    # The caps are in the vitals of the processes, not in their ids.
    wait_for(lambda: len(Flow.read(bench.client.store).workers) == 2)
    caps = Flow.read(bench.client.store).workers
    assert [(each.queue, each.cap, each.in_flight) for each in caps] == [("mail-a", 2, 2)] * 2
    bench.let()
    wait_for(lambda: len(bench.runs()) == 9, SOONER)
    for master in masters:
        master.signal(signal.SIGTERM)
        assert master.wait() == 0
    assert not bench.redis.keys(f"{bench.namespace}:inflight*")


def test_a_rate_holds_and_is_used(bench: Bench) -> None:
    bench.client.limit("a", rate="100/s")
    bench.client.enqueue_many("Count", [("a",)] * 150, queue="a")
    start(bench, "a", "2/20/1000")
    seen = 0
    while not seen:
        begun = time.monotonic()
        seen = bench.stat("processed")
    wait_for(lambda: bench.runs() == {"a": 150}, SOONER)
    # Ten may start at once, and those of 40 threads may have begun and not been seen yet.
    assert time.monotonic() - begun >= (150 - seen - 10 - 40) / 100


def test_queues_share_a_worker_by_weight(bench: Bench) -> None:
    for queue in ("high", "low"):
        bench.client.enqueue_many("CountSlowly", [(queue, 0.005)] * 300, queue=queue)
    start(bench, "high,low", "1/4/10000", "--weights", "high=3")
    wait_for(lambda: bench.stat("processed") >= 200)
    runs = bench.runs()
    assert runs["low"] > 0, "it is no priority"
    assert runs["high"] > runs["low"]


def test_a_burst_waits_for_rates_and_caps_and_leaves_paused_queues(bench: Bench) -> None:
    client = bench.client
    client.pause("paused")
    client.limit("rated", rate="20/s")
    client.limit("capped", concurrent=1)
    for queue in ("paused", "rated", "capped"):
        client.enqueue_many("Count", [(queue,)] * 8, queue=queue)
    bench.run("-q", "*", "-w", "1", "-t", "5", "-j", "1000", "--burst", *INTERVAL)
    assert bench.runs() == {"rated": 8, "capped": 8}
    assert client.size("paused") == 8


def test_limits_cost_an_idle_process_nothing(bench: Bench) -> None:
    """Jobs wait only in a paused, a full and a dry queue, so all processes sleep."""
    client = bench.client
    client.pause("paused")
    client.limit("capped", concurrent=1)
    client.limit("rated", rate="1/h")
    for queue in ("paused", "capped", "rated"):
        client.enqueue_many("CountWhenLet", [(queue,)] * 5, queue=queue)
    master = start(bench, "paused,capped,rated", "6/5/1000")
    wait_for(lambda: bench.begun() == 2)
    wait_until_idle(bench, 6)
    processes = [psutil.Process(pid) for pid in master.pids()]
    quiet = []

    def is_quiet() -> bool:
        before = sum(sum(each.cpu_times()[:2]) for each in processes)
        calls = bench.redis.info("commandstats")["cmdstat_evalsha"]["calls"]
        time.sleep(1.0)
        used = sum(sum(each.cpu_times()[:2]) for each in processes) - before
        turns = bench.redis.info("commandstats")["cmdstat_evalsha"]["calls"] - calls
        quiet.append((used, turns))
        return used / len(processes) < 0.02 and turns <= 3

    wait_for(is_quiet)
    client.enqueue_many("CountWhenLet", [("x",)] * 5, queue="paused")
    client.enqueue_many("CountWhenLet", [("x",)] * 5, queue="capped")
    wait_for(is_quiet)
    assert bench.held() == 2
