"""Paused, full and rated queues, with real processes."""

from __future__ import annotations

from tests.process.support import Bench, Master, wait_for

INTERVAL = ("--interval", "10")
SOONER = 9.0
"""Seconds in which no fallback poll helps a test along."""


def start(bench: Bench, queues: str, tiers: str, *options: str) -> Master:
    workers, threads, jobs = tiers.split("/")
    return bench.start("-q", queues, "-w", workers, "-t", threads, "-j", jobs, *INTERVAL, *options)


def wait_until_idle(bench: Bench, processes: int) -> None:
    """So many processes have found nothing that they may take."""
    kinds = ("listening", "waiting")
    wait_for(
        lambda: (
            processes
            == sum(
                bench.redis.zcard(key)
                for kind in kinds
                for key in bench.redis.scan_iter(f"{bench.namespace}:{kind}:*")
            )
        )
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
