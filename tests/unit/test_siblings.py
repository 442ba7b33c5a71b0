"""The dead processes of this machine, of whom the kernel tells."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import redis

from gresque.maintenance import siblings
from gresque.maintenance.dead import DeadProcesses
from gresque.maintenance.siblings import Siblings
from gresque.maintenance.task import NEVER
from gresque.processes.fingerprint import find, machine
from gresque.settings import Settings
from gresque.store.store import Store
from tests.support.registered import BACK, KEYS, ME, OTHER, SILENT, processes, register


@pytest.mark.skipif(not machine(), reason="the kernel does not tell")
def test_those_that_are_gone_from_this_machine_are_recovered_at_once(
    store: Store, redis_url: str, redis_client: redis.Redis
) -> None:
    register(redis_client, ME, SILENT, BACK)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone = f"{dead.pid} 1 {dead.pid} 1"
    places = {SILENT: f"{machine()} {gone}", BACK: f"elsewhere {gone}"}
    redis_client.hset(KEYS.processes, mapping={**places, ME: find(os.getpid(), os.getppid())})
    task = Siblings(DeadProcesses(Settings.load({"redis_url": redis_url}, {})))
    assert task.due(0) <= 0
    task.run(store)
    assert processes(redis_client) == {ME, BACK}
    assert set(redis_client.hkeys(KEYS.processes)) == {BACK.encode(), ME.encode()}
    (entry,) = redis_client.lrange(KEYS.recoveries, 0, -1)
    assert b'"cause": "it and its master are gone"' in entry
    assert redis_client.sismember(KEYS.workers, OTHER), "it has a process elsewhere"


@pytest.mark.skipif(not machine(), reason="the kernel does not tell")
@pytest.mark.parametrize(("count", "seconds"), [(3, 10), (400, 10), (1000, 25), (9000, 50)])
def test_of_many_processes_each_master_looks_seldom(
    store: Store, redis_url: str, redis_client: redis.Redis, count: int, seconds: int
) -> None:
    redis_client.hset(KEYS.processes, mapping={f"p{n}": "elsewhere 1" for n in range(count)})
    task = Siblings(DeadProcesses(Settings.load({"redis_url": redis_url}, {})))
    task.run(store)
    assert task.due(time.monotonic()) == pytest.approx(seconds, abs=5)


def test_where_the_kernel_does_not_tell_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(siblings, "machine", lambda: "")
    assert Siblings(DeadProcesses(Settings())).due(0) == NEVER
