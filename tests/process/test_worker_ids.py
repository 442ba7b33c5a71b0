"""Workers under one name, and workers that another program unregisters."""

from __future__ import annotations

import signal
import subprocess

import psutil
import pytest

from tests.process.support import Bench, Master, wait_for

CONTAINER = ("unshare", "--fork", "--pid", "--mount-proc", "--uts")
ARGUMENTS = ("-q", "q", "-t", "5", "-j", "100000", "-r", "tests.process.quick_deaths")


def can_unshare() -> bool:
    try:
        return subprocess.run([*CONTAINER, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


containers = pytest.mark.skipif(not can_unshare(), reason="needs the right to make namespaces")


def contain(bench: Bench) -> Master:
    """A worker whose master is pid 1 on a host of the same name as the others."""
    return bench.start(*ARGUMENTS, wrap=(*CONTAINER, "sh", "-c", 'hostname same; exec "$@"', "sh"))


def first_process_of(container: Master) -> psutil.Process:
    """Its end is that of all processes of the container."""
    (child,) = container.children()
    return child


def workers(bench: Bench) -> set[str]:
    return {worker.decode() for worker in bench.redis.smembers("resque:workers")}


@containers
def test_two_containers_of_one_name_are_two_workers(bench: Bench) -> None:
    first, second = contain(bench), contain(bench)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 2)
    ids = workers(bench)
    assert len(ids) == 2
    for worker in ids:
        host, rest = worker.split(":", 1)
        assert rest == "1:q:1:5:100000"
        assert host.startswith("same.")
        assert len(host) == len("same.0123")
    first_process_of(first).send_signal(signal.SIGTERM)
    assert first.wait() == 0
    (left,) = workers(bench)
    assert left in ids
    assert bench.redis.hkeys("resque:workers:heartbeat") == [left.encode()]
    bench.client.enqueue_to("q", "Count", "x")
    wait_for(lambda: bench.stat("processed") == 1)
    first_process_of(second).send_signal(signal.SIGTERM)
    assert second.wait() == 0
    assert bench.redis.keys("resque:worker*") == []
    assert not bench.redis.exists("resque:masters")


@containers
def test_a_restarted_container_recovers_what_it_held(bench: Bench) -> None:
    """At once where the kernel gave it the same pid namespace number, else by the heartbeat."""
    container = contain(bench)
    for number in range(5):
        bench.client.enqueue_to("q", "CountWhenLet", str(number))
    wait_for(lambda: bench.begun() == 5)
    (dead,) = bench.client.store.processes.ids()
    first_process_of(container).kill()
    container.process.wait()
    bench.let()
    contain(bench)
    wait_for(lambda: bench.stat("processed") == 5, 60)
    assert dead not in bench.client.store.processes.ids()
    assert set(bench.runs().values()) == {1}
    (alive,) = wait_for(lambda: len(ids := workers(bench)) == 1 and ids)
    same_number = dead.startswith(alive)
    (entry,) = bench.redis.lrange("resque:recoveries", 0, -1)
    assert (b"its master are gone" if same_number else b"no heartbeat for") in entry


def test_one_that_leaves_spares_another_one_of_the_same_id(bench: Bench) -> None:
    """As on two machines with one host name and, by chance, one pid."""
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 1)
    (worker,) = workers(bench)
    assert f":{master.process.pid}:" in worker
    bench.redis.zadd("resque:ledgers", {f"{worker}:999999:1": 9e15})
    bench.redis.hset(f"resque:ledger:{worker}:999999:1", "state", "0 0 0 0 0 0")
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert workers(bench) == {worker}
    assert bench.redis.exists(f"resque:worker:{worker}:started")


def test_a_worker_that_another_program_unregisters_comes_back(bench: Bench) -> None:
    """With all of its counters, though each of its processes counted a part of that only."""
    bench.start(*ARGUMENTS, "-w", "2")
    wait_for(lambda: len(bench.client.store.processes.ids()) == 2)
    for number in range(20):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 0.1)
    bench.client.enqueue_to("q", "Behave", "fail")
    wait_for(lambda: bench.stat("processed") == 21)
    (worker,) = workers(bench)
    kept = [f"resque:worker:{worker}:started", f"resque:stat:processed:{worker}"]
    kept.append(f"resque:stat:failed:{worker}")
    before = bench.redis.mget(kept)
    assert before[1:] == [b"21", b"1"]

    def unregister() -> None:
        """As Ruby's Resque does."""
        bench.redis.srem("resque:workers", worker)
        bench.redis.hdel("resque:workers:heartbeat", worker)
        bench.redis.delete(*kept)

    def is_back() -> bool:
        return workers(bench) == {worker} and bench.redis.mget(kept) == before

    unregister()
    wait_for(is_back)
    wait_for(lambda: bench.redis.hexists("resque:workers:heartbeat", worker))
