"""The maintenance process of a running master: how it lives, and what its master does about it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from gresque.processes.fingerprint import machine
from tests.process.support import Bench, Master, wait_for

ARGUMENTS = ("-q", "q", "-w", "1", "-t", "5", "-j", "1000")
HELD = "holds the lease"


def holder(master: Master) -> psutil.Process | None:
    """The maintenance process, once it holds the lease."""
    for process in master.maintenance():
        with suppress(psutil.NoSuchProcess):  # it is being replaced
            if HELD in " ".join(process.cmdline()):
                return process
    return None


@pytest.mark.parametrize("options", [(), ("--no-preload",)], ids=["preload", "no preload"])
def test_a_killed_one_is_replaced_and_its_successor_has_the_lease(
    bench: Bench, options: tuple[str, ...]
) -> None:
    master = bench.start(*ARGUMENTS, *options)
    first: psutil.Process = wait_for(lambda: holder(master))
    lease = bench.redis.get("resque:maintenance")
    workers = master.pids()
    first.kill()
    wait_for(lambda: (found := holder(master)) and found != first)
    assert bench.redis.get("resque:maintenance") == lease
    assert master.pids() == workers
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert f"maintenance process {first.pid} was killed by SIGKILL" in master.log
    assert bench.keys() == set()


def test_it_leaves_when_its_master_was_killed(bench: Bench) -> None:
    """A worker process finishes its jobs, and its vitals stand until it has."""
    master = bench.start(*ARGUMENTS)
    bench.client.enqueue_to("q", "CountSlowly", "long", 2.0)
    wait_for(lambda: bench.held() == 1)
    maintenance: psutil.Process = wait_for(lambda: holder(master))
    wait_for(lambda: bench.redis.hlen("resque:vitals") == 1)
    master.process.kill()
    wait_for(lambda: not maintenance.is_running())
    assert bench.redis.get("resque:maintenance") is None
    wait_for(lambda: bench.stat("processed") == 1)
    wait_for(lambda: not bench.redis.exists("resque:vitals"))


def test_another_master_takes_over(bench: Bench) -> None:
    first = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(first))
    second = bench.start(*ARGUMENTS)
    wait_for(second.maintenance)
    assert holder(second) is None
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    wait_for(lambda: holder(second))


def test_a_hup_replaces_it(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    first: psutil.Process = wait_for(lambda: holder(master))
    master.signal(signal.SIGHUP)
    wait_for(lambda: (found := holder(master)) and found != first)


def test_the_vitals_of_every_process_are_in_redis(bench: Bench) -> None:
    master = bench.start("-q", "q", "-w", "2", "-t", "5", "-j", "1000")

    def states() -> list[str]:
        entries = bench.redis.hvals("resque:vitals")
        return sorted(json.loads(entry)["state"] for entry in entries)

    wait_for(lambda: states() == ["ready", "ready"])
    master.signal(signal.SIGUSR2)
    wait_for(lambda: states() == ["paused", "paused"])
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert not bench.redis.exists("resque:vitals")


def test_so_are_those_of_processes_that_live_for_one_job(bench: Bench) -> None:
    bench.start("-q", "q")
    bench.client.enqueue_to("q", "Until", "long")

    def found() -> dict[str, int]:
        entries = map(json.loads, bench.redis.hvals("resque:vitals"))
        return {entry["state"]: entry["threads"] for entry in entries}

    wait_for(lambda: found() == {"retiring": 1, "standing_by": 0})
    bench.redis.rpush("long", "end")
    wait_for(lambda: found() == {"ready": 0, "standing_by": 0})


@pytest.mark.skipif(not machine(), reason="the kernel does not tell")
def test_a_burst_recovers_the_dead_of_this_machine_first(bench: Bench) -> None:
    """It has no maintenance process: its first worker process looks for them."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = "gone:1:q:1:1:1"
    raw = b'{"class":"Count","args":["found"]}'
    bench.redis.zadd("resque:ledgers", {f"{dead}:2:3": 1000})
    entry = b"%d:resque:queue:q%s" % (len(b"resque:queue:q"), raw)
    bench.redis.hset(f"resque:ledger:{dead}:2:3", mapping={"state": "1 1 0 0 0 0", "0": entry})
    place = f"{machine()} {gone.pid} 1 {gone.pid} 1"
    bench.redis.hset("resque:processes", f"{dead}:2:3", place)
    master = bench.run("-q", "q", "--burst")
    assert bench.runs() == {"found": 1}
    assert "maintenance" not in master.log
    assert not bench.redis.exists("resque:maintenance", "resque:vitals", "resque:processes")


def test_an_outage_is_logged_once_and_ends_nothing(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    first: psutil.Process = wait_for(lambda: holder(master))
    bench.redis.config_set("maxclients", 1)
    try:
        bench.redis.client_kill_filter(skipme=True, _type="normal")
        wait_for(lambda: "maintenance waits for it" in master.log)
    finally:
        bench.redis.config_set("maxclients", 10_000)
    wait_for(lambda: f"gresque.maintenance[{first.pid}] Redis is back after" in master.log)
    assert master.log.count("maintenance waits for it") == 1
    wait_for(lambda: holder(master) == first)
