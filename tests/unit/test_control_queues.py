"""Moving and clearing in steps: nothing lost or doubled wherever it is cut off."""

from __future__ import annotations

import subprocess
import sys

import pytest
import redis

from gresque.control.queues import clear_jobs, move_jobs
from gresque.errors import GresqueError
from gresque.failure.progress import Progress
from gresque.store.store import Store
from tests.process.support import ROOT

BY = "joe@vm"


class Until(Progress):
    def __init__(self, done: int) -> None:
        self.done = done
        self.seen: list[tuple[int, int]] = []

    def advanced(self, done: int, total: int) -> bool:
        self.seen.append((done, total))
        return done < self.done


def push(client: redis.Redis, count: int, start: int = 0, queue: str = "a") -> None:
    client.sadd("resque:queues", queue)
    client.rpush(f"resque:queue:{queue}", *range(start, start + count))


def numbers(client: redis.Redis, queue: str) -> list[int]:
    return [int(raw) for raw in client.lrange(f"resque:queue:{queue}", 0, -1)]


def test_all_that_there_were_and_no_more(store: Store, redis_client: redis.Redis) -> None:
    push(redis_client, 2_500)
    count = store.queues.size("a")
    push(redis_client, 5, 2_500)  # come after the count was shown
    progress = Until(10_000)
    assert move_jobs(store, "a", "b", count, progress, by=BY) == 2_500
    assert progress.seen == [(1000, 2500), (2000, 2500), (2500, 2500)]
    assert numbers(redis_client, "b") == list(range(2_500))
    assert numbers(redis_client, "a") == list(range(2_500, 2_505))
    assert clear_jobs(store, "b", 2_400, by=BY) == 2_400
    assert numbers(redis_client, "b") == list(range(2_400, 2_500))


def test_fewer_when_workers_were_faster(store: Store, redis_client: redis.Redis) -> None:
    push(redis_client, 10)
    assert move_jobs(store, "a", "b", 5_000, by=BY) == 10
    assert clear_jobs(store, "b", 5_000, by=BY) == 10
    assert clear_jobs(store, "b", 5_000, by=BY) == 0


@pytest.mark.parametrize("act", ["move", "clear"])
def test_it_may_be_ended_between_two_steps(
    store: Store, redis_client: redis.Redis, act: str
) -> None:
    push(redis_client, 3_000)
    if act == "move":
        assert move_jobs(store, "a", "b", 3_000, Until(2_000), by=BY) == 2_000
        assert numbers(redis_client, "b") == list(range(2_000))
    else:
        assert clear_jobs(store, "a", 3_000, Until(2_000), by=BY) == 2_000
    assert numbers(redis_client, "a") == list(range(2_000, 3_000))


@pytest.mark.parametrize("target", ["", "a", "\udcff"])
def test_a_target_that_is_none(store: Store, redis_client: redis.Redis, target: str) -> None:
    push(redis_client, 1)
    with pytest.raises(GresqueError):
        move_jobs(store, "a", target, 1, by=BY)
    assert numbers(redis_client, "a") == [0]


STOPPED = """
import signal, sys
from gresque.control.queues import move_jobs
from gresque.failure.progress import Progress
from gresque.store.store import Store

class Stopped(Progress):
    def advanced(self, done, total):
        print(done, flush=True)
        if done == 2000:
            signal.pause()
        return True

move_jobs(Store(sys.argv[1], "resque"), "a", "b", 5000, Stopped(), by="joe@vm")
"""


def test_a_move_that_is_killed_loses_and_doubles_no_job(
    store: Store, redis_url: str, redis_client: redis.Redis
) -> None:
    push(redis_client, 5_000)
    mover = subprocess.Popen(
        [sys.executable, "-c", STOPPED, redis_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert mover.stdout is not None
    assert [mover.stdout.readline() for _ in range(2)] == ["1000\n", "2000\n"]
    mover.kill()
    mover.communicate()
    assert numbers(redis_client, "b") == list(range(2_000))
    assert numbers(redis_client, "a") == list(range(2_000, 5_000))
    assert move_jobs(store, "a", "b", 5_000, by=BY) == 3_000
    assert numbers(redis_client, "b") == list(range(5_000))
