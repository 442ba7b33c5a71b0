"""Workers while Redis is away, full, read-only, slow, or forgets everything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

import gresque
from gresque.connection.opening import REPLY_SECONDS
from tests.process.outage import ENDLESS, Outage, said
from tests.process.outage import outage_fixture as outage_fixture
from tests.process.outage import own_fixture as own_fixture
from tests.process.outage import proxy_fixture as proxy_fixture
from tests.process.support import Master, wait_for
from tests.support.faults import FaultyProxy
from tests.support.server import OwnServer


def new_ones_wait(master: Master, old: list[psutil.Process]) -> bool:
    """Two processes that were forked since wait for Redis."""
    fresh = {child.pid for child in master.children()} - {child.pid for child in old}
    waiting = [line for line in master.log.splitlines() if line.endswith("waiting for it")]
    return sum(any(f"[{pid}]" in line for line in waiting) for pid in fresh) == 2


# Gone, and back


def test_the_server_is_away_for_a_while(outage: Outage, own: OwnServer) -> None:
    master = outage.work("-w", "2", "-t", "10", *ENDLESS)
    outage.push(range(400), 0.05)
    outage.wait_for_ends(30)
    own.kill()
    wait_for(lambda: said(master, "; waiting for it") == 2)
    wait_for(lambda: outage.lines("start") == outage.lines("end"))  # what ran goes on to its end
    assert len(outage.lines("start")) < 400
    own.start()
    outage.finish(master, 400)
    assert outage.stat("processed") == 400
    assert said(master, "; waiting for it") == said(master, "Redis is back after") == 2


def test_the_server_restarts_again_and_again(outage: Outage, own: OwnServer) -> None:
    master = outage.work("-w", "2", "-t", "10", "-j", "30")
    outage.push(range(600), 0.02)
    for ends in range(100, 500, 100):
        outage.wait_for_ends(ends)
        own.kill()
        own.start()
    outage.finish(master, 600)
    assert outage.stat("processed") == 600


def test_all_that_ends_while_it_is_away_is_settled_afterwards(
    outage: Outage, own: OwnServer
) -> None:
    master = outage.work("-t", "50", *ENDLESS)
    let = outage.push_held(range(50))
    wait_for(lambda: len(outage.lines("start")) == 50)
    own.kill()
    let.touch()
    outage.wait_for_ends(50)
    assert outage.lines("end").total() == 50
    own.start()
    outage.finish(master, 50)
    assert outage.stat("processed") == 50


def test_processes_that_are_forked_meanwhile_wait(outage: Outage, own: OwnServer) -> None:
    """Also those that have to recover what a dead one held."""
    master = outage.work("-w", "2", "-t", "5", *ENDLESS)
    outage.push(range(30), 0.3)
    wait_for(lambda: len(outage.lines("start")) >= 10)
    own.kill()
    killed = master.children()
    for child in killed:
        child.kill()
    wait_for(lambda: new_ones_wait(master, killed))
    assert "cannot start" not in master.log
    own.start()
    outage.wait_for_ends(30)
    wait_for(lambda: outage.redis.llen("resque:queue:q") == 0 and outage.held() == 0)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    assert set(outage.lines("end").values()) == {1}
    assert outage.stat("processed") == 30
    assert sum((outage.lines("start") - outage.lines("end")).values()) <= 10  # cut by the kills


def test_a_process_that_waits_at_its_start_leaves_when_told(outage: Outage, own: OwnServer) -> None:
    master = outage.work("-w", "2", *ENDLESS)
    wait_for(lambda: outage.redis.zcard("resque:listening:q") == 2)  # both have come to work
    own.kill()
    killed = master.children()
    for child in killed:
        child.kill()
    wait_for(lambda: new_ones_wait(master, killed))
    master.signal(signal.SIGTERM)
    master.wait()
    assert "did not leave in time" not in master.log
    assert "is tried in" not in master.log
    assert said(master, "for others to recover") == 1


@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_without_a_master_leaves_if_it_holds_nothing(
    outage: Outage, own: OwnServer, stopped: bool
) -> None:
    """Redis refuses, or does not answer; one that holds a job tries on until it is back."""
    master = outage.work("-w", "2", "-t", "1", "-j", "1000", "-r", "tests.process.quick_orphans")
    let = outage.push_held(range(1))
    # One that is registering waits for Redis longer than the others.
    wait_for(lambda: outage.lines("start") and len(outage.client.store.processes.ids()) == 2)
    children = master.children()
    if stopped:
        own.signal(signal.SIGSTOP)
    else:
        own.kill()
    master.signal(signal.SIGKILL)
    master.process.wait()
    wait_for(lambda: sum(child.is_running() for child in children) == 1)
    let.touch()
    outage.wait_for_ends(1)
    if stopped:
        own.signal(signal.SIGCONT)
    else:
        own.start()
    wait_for(lambda: not any(child.is_running() for child in children))
    assert outage.stat("processed") == 1
    assert outage.held() == 0


def test_a_hook_of_an_orphan_may_take_its_time(outage: Outage) -> None:
    told = outage.tally.with_name("told")
    options = "-w", "1", "-t", "1", "-r", "tests.process.quick_orphans"
    master = outage.work(*options, SLOW_EXIT=str(told))
    outage.push(range(1))
    outage.wait_for_ends(1)
    children = master.children()
    master.signal(signal.SIGKILL)
    master.process.wait()
    wait_for(lambda: not any(child.is_running() for child in children))
    assert told.read_text().startswith("left")
    assert "Redis stays away" not in master.log
    assert outage.redis.exists("resque:ledgers", "resque:workers") == 0


def test_a_shutdown_while_it_is_away_is_bounded(outage: Outage, own: OwnServer) -> None:
    master = outage.work("-t", "5", *ENDLESS, "--term-timeout", "3")
    outage.push(range(5), 60.0)
    wait_for(lambda: len(outage.lines("start")) == 5)
    own.kill()
    master.signal(signal.SIGTERM)
    master.wait()
    assert "did not leave in time" not in master.log
    assert said(master, "left without settling") == 1
    assert said(master, "for others to recover") == 1
    own.start()
    assert outage.held() == 5


# Back without its data


def lose_data(outage: Outage) -> None:
    outage.server.kill()
    outage.server.lose_data()
    outage.server.start()


@pytest.mark.parametrize("how", [lose_data, lambda outage: outage.redis.flushall()])
def test_a_server_that_forgot_everything_is_told_again(
    outage: Outage, how: Callable[[Outage], object]
) -> None:
    master = outage.work("-w", "2", "-t", "5", *ENDLESS)
    let = outage.push_held(range(10))
    wait_for(lambda: len(outage.lines("start")) == 10)
    (worker,) = outage.redis.smembers("resque:workers")
    pids = {child.pid for child in master.children()}
    how(outage)
    let.touch()
    # Each process finds it out when it has something to say: here when its jobs have ended.
    outage.wait_for_ends(10)
    outage.push(range(10, 60), 0.01)
    outage.wait_for_ends(60)
    wait_for(lambda: len(outage.client.store.processes.ids()) == 2)
    assert outage.redis.smembers("resque:workers") == {worker}
    assert outage.redis.hkeys("resque:workers:heartbeat") == [worker]
    assert {child.pid for child in master.children()} == pids
    assert said(master, "Redis has lost the ledger") == 2
    outage.finish(master, 60)
    assert outage.stat("processed") == 60
    assert outage.redis.zrange("resque:ledgers", 0, -1) == []


def test_jobs_that_run_while_the_data_goes_are_safe_again(outage: Outage) -> None:
    """They stand in the new ledger: a kill of their process has them run again."""
    master = outage.work("-t", "5", *ENDLESS)
    let = outage.push_held(range(4))
    wait_for(lambda: len(outage.lines("start")) == 4)
    lose_data(outage)
    outage.push(range(4, 5))  # a turn, in which the process finds it out
    outage.wait_for_ends(1)
    wait_for(lambda: outage.held() == 4)
    master.kill_children()
    let.touch()
    outage.wait_for_ends(5)
    wait_for(lambda: outage.held() == 0)
    assert set(outage.lines("end").values()) == {1}
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log


def test_a_process_that_was_declared_dead_does_not_take_its_jobs_up_again(
    outage: Outage,
) -> None:
    from gresque.processes.spec import DeadProcess
    from gresque.settings import Settings
    from gresque.worker.recovery import recovery_for

    master = outage.work("-t", "5", *ENDLESS)
    let = outage.push_held(range(3))
    wait_for(lambda: len(outage.lines("start")) == 3)
    (process,) = outage.client.store.processes.ids()
    (child,) = master.children()
    child.suspend()
    settings = Settings.load({"redis_url": outage.redis_url}, {})
    recovery = recovery_for(settings)
    recovery.recover(DeadProcess(process, "given up wrongly", None, blameless=True))
    recovery.close()
    assert outage.redis.llen("resque:queue:q") == 3
    let.touch()
    child.resume()
    wait_for(lambda: outage.stat("processed") == 3)
    wait_for(lambda: outage.held() == 0)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    assert outage.stat("processed") == 3
    assert "was declared dead" in master.log
    assert "lost the ledger" not in master.log


# There, but refusing


def limit_clients(outage: Outage) -> None:
    """As when others have taken all the connections, and this worker's are cut."""
    outage.redis.config_set("maxclients", "1")
    outage.redis.client_kill_filter(_type="normal", skipme=True)


def ask_for_a_password(outage: Outage) -> None:
    """Connections that are there already may go on, so they are cut."""
    outage.redis.config_set("requirepass", "x")
    outage.redis.client_kill_filter(_type="normal", skipme=True)


REFUSALS: dict[str, tuple[Callable[[Outage], object], Callable[[Outage], object]]] = {
    "read-only": (
        lambda outage: outage.redis.replicaof("127.0.0.1", "1"),
        lambda outage: outage.redis.replicaof("NO", "ONE"),
    ),
    "max clients": (
        limit_clients,
        lambda outage: outage.redis.config_set("maxclients", "1000"),
    ),
    "no password": (
        ask_for_a_password,
        lambda outage: outage.redis.config_set("requirepass", ""),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_server_that_refuses_is_waited_for(outage: Outage, name: str) -> None:
    refuse, relent = REFUSALS[name]
    master = outage.work("-t", "5", *ENDLESS)
    outage.push(range(100), 0.05)
    outage.wait_for_ends(10)
    refuse(outage)
    wait_for(lambda: said(master, "; waiting for it"))
    time.sleep(1.0)  # the length of the outage, not a wait
    relent(outage)
    outage.finish(master, 100)
    assert outage.stat("processed") == 100
    assert said(master, "; waiting for it") == said(master, "Redis is back after") == 1


def test_a_full_server_lets_jobs_leave(outage: Outage) -> None:
    """Nothing can be enqueued, but what is there is run."""
    outage.push(range(200), 0.01)
    outage.redis.config_set("maxmemory-policy", "noeviction")
    outage.redis.config_set("maxmemory", "1")
    outage.redis.config_set("maxmemory", "0")
    master = outage.work("-t", "5", *ENDLESS)
    outage.wait_for_ends(10)
    outage.redis.config_set("maxmemory", "1")
    outage.wait_for_ends(200)
    outage.redis.config_set("maxmemory", "0")
    outage.finish(master, 200)
    assert outage.stat("processed") == 200


def test_a_process_that_is_forked_while_redis_is_full_works_and_beats(outage: Outage) -> None:
    master = outage.work("-t", "5", *ENDLESS, "-r", "tests.process.quick_deaths")
    outage.push(range(10))
    outage.wait_for_ends(10)
    master.signal(signal.SIGUSR2)
    wait_for(lambda: said(master, "paused"))
    outage.push(range(10, 20))
    outage.redis.config_set("maxmemory-policy", "noeviction")
    outage.redis.config_set("maxmemory", "1")
    master.kill_children()
    master.signal(signal.SIGCONT)
    outage.wait_for_ends(20)

    def beats() -> list[float]:
        return sorted(
            score for _, score in outage.redis.zrange("resque:ledgers", 0, -1, withscores=True)
        )

    wait_for(lambda: len(beats()) == 1)
    before = beats()
    wait_for(lambda: beats() > before)
    outage.redis.config_set("maxmemory", "0")
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    assert "cannot start" not in master.log


def test_a_server_that_loads_is_waited_for(outage: Outage, own: OwnServer) -> None:
    master = outage.work("-t", "5", *ENDLESS)
    outage.push(range(10), 0.05)
    outage.wait_for_ends(10)
    for n in range(100):
        outage.redis.set(f"filler:{n}", os.urandom(200))
    outage.redis.bgrewriteaof()
    wait_for(lambda: outage.redis.info("persistence")["aof_rewrite_in_progress"] == 0)
    wait_for(lambda: outage.held() == 0)
    own.kill()
    slow = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    own.start(*slow)
    outage.push(range(10, 20))
    outage.finish(master, 20)
    assert said(master, "; waiting for it") == 1


def test_a_server_that_hangs_is_left_for_the_one_in_its_place(
    outage: Outage, own: OwnServer, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """Within seconds, not after the time that a slow server would be given."""
    (tmp_path / "second").mkdir()
    second = OwnServer(tmp_path / "second").start()
    master = outage.work("-t", "10", "--interval", "1", *ENDLESS, through=proxy)
    outage.push(range(20))
    outage.wait_for_ends(20)
    wait_for(lambda: outage.held() == 0)
    own.stop()
    proxy.turn_to(second.socket)
    with closing(gresque.Client(second.url)) as client:
        client.enqueue_many("Tell", [(str(key), 0.0) for key in range(20, 40)], queue="q")
    hung = time.monotonic()
    outage.wait_for_ends(40)
    assert time.monotonic() - hung < REPLY_SECONDS
    own.resume()
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    assert outage.lines("end").total() == 40
    second.kill()


def test_a_slow_server_is_only_slow(outage: Outage, proxy: FaultyProxy) -> None:
    master = outage.work("-t", "20", *ENDLESS, through=proxy)
    outage.push(range(20))
    outage.wait_for_ends(20)
    proxy.reply_delay_seconds = 2.0
    outage.push(range(20, 40))
    outage.wait_for_ends(40)
    proxy.reply_delay_seconds = 0.0
    outage.finish(master, 40)
    assert said(master, "waiting for it") == 0
