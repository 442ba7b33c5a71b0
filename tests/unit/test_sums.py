"""What short-lived processes leave for the maintenance process."""

from __future__ import annotations

import os
import signal
import time

import redis

from gresque.maintenance.write_sums import WriteSums
from gresque.processes.sums import SIZE, SharedSums, Sums
from gresque.store.store import Store

NOW = 1_700_000_000


def some(count: int = 1, second: int = NOW) -> Sums:
    return Sums(second, {"d": count}, {"d|q|Job": count}, {"t|Job|0": count})


def test_processes_leave_and_one_takes() -> None:
    shared = SharedSums()
    children = []
    for _ in range(4):
        if (pid := os.fork()) == 0:
            left = sum(shared.leave(some()) for _ in range(50)) == 50
            os._exit(0 if left else 1)
        children.append(pid)
    taken: list[Sums] = []
    while children:
        taken += shared.take()
        pid, status = os.waitpid(children[-1], os.WNOHANG)
        if pid:
            assert status == 0
            children.pop()
    taken += shared.take()
    assert sum(sums.totals["d"] for sums in taken) == 200
    assert shared.take() == []


def test_sums_of_one_second_come_together() -> None:
    shared = SharedSums()
    for sums in (some(2), some(3, NOW + 1), some(4)):
        assert shared.leave(sums)
    assert shared.take() == [some(6), some(3, NOW + 1)]


def test_what_has_no_room_is_not_taken() -> None:
    shared = SharedSums()
    large = Sums(NOW, {}, {"x" * 200_000: 1}, {})
    taken = 0
    while shared.leave(large):
        taken += 1
    assert taken == SIZE // 200_000
    assert len(shared.take()) == 1
    assert shared.leave(large)


def test_nobody_waits_for_one_that_is_stopped() -> None:
    shared = SharedSums()
    if (pid := os.fork()) == 0:
        shared._acquire()
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    started = time.monotonic()
    assert not shared.leave(some())
    assert time.monotonic() - started < 5
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert shared.leave(some())


def test_the_maintenance_process_writes_them_once(store: Store, redis_client: redis.Redis) -> None:
    shared = SharedSums()
    task = WriteSums(shared)
    task.run(store)
    assert not redis_client.keys("*")
    for number in (1, 2):
        assert shared.leave(some(5))
        store.metrics.add(task._name, number - 1, some(5))  # its reply was lost
        task.run(store)
        found = redis_client.hgetall(f"resque:metrics:minute:{NOW // 60}")
        assert found[b"d|q|Job"] == b"%d" % (5 * number)
    for key in redis_client.keys("*"):
        assert 0 < redis_client.ttl(key) <= 3 * 86_400
