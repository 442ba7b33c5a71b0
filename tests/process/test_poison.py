"""Jobs that take their process along: they fail in the end, and nobody fails with them."""

from __future__ import annotations

import json
import os
import signal

import pytest

from gresque.failure.backend import RedisBackend
from gresque.inspector.processes import ProcessStatus
from gresque.jobs import payload
from gresque.jobs.crash_history import add_death
from gresque.store.commands import Command
from gresque.store.ledger import LedgerEntry
from tests.process.support import Bench, Master, shows, wait_for
from tests.support.ledgers import read_ledger


def ledgers(bench: Bench) -> list[ProcessStatus]:
    return ProcessStatus.all(bench.client.store)


def enqueue_innocents(bench: Bench, count: int, seconds: float = 0.02) -> None:
    calls = [(str(number), seconds) for number in range(count)]
    bench.client.enqueue_many("CountSlowly", calls, queue="q")


def waiting(bench: Bench) -> int:
    """How many jobs wait in the queue, suspects included."""
    return bench.client.size("q")


def assert_poison(bench: Bench, count: int = 1, deaths: int = 3) -> None:
    """The poison has failed, with its history, and nothing else has."""
    entries = bench.failed()
    assert [entry.exception for entry in entries] == ["PoisonJob"] * count
    for entry in entries:
        assert entry.payload["class"] == "Poison"
        assert entry.payload["gresque"]["recoveries"] == deaths
        assert len(set(entry.payload["gresque"]["deaths"])) == deaths, "of different processes"
        assert entry.backtrace == entry.payload["gresque"]["deaths"][::-1]
        assert f"{deaths} processes died while holding it" in entry.error
    assert bench.stat("failed") == count


def assert_clean(bench: Bench, master: Master) -> None:
    assert bench.keys() <= {
        "resque:queues", "resque:failed", "resque:stat:processed", "resque:stat:failed",
        "resque:recoveries",
    }  # fmt: skip
    assert "Traceback" not in master.log


@pytest.mark.parametrize(
    ("processes", "threads"), [("1", "1000"), ("2", "100"), ("1", "1"), ("2", "4")]
)
def test_a_poison_job_among_a_thousand(bench: Bench, processes: str, threads: str) -> None:
    count = 1000 if threads != "1" else 50
    enqueue_innocents(bench, count // 2)
    bench.client.enqueue_to("q", "Poison")
    bench.client.enqueue_many(
        "CountSlowly", [(str(number), 0.02) for number in range(count // 2, count)], queue="q"
    )
    master = bench.run("-q", "q", "-w", processes, "-t", threads, "-j", "100000", "--burst")
    assert len(bench.runs()) == count
    assert max(bench.runs().values()) <= 3
    assert_poison(bench)
    assert bench.stat("processed") == count + 1
    log = [json.loads(entry) for entry in bench.redis.lrange("resque:recoveries", 0, -1)]
    assert sum(entry["poison"] for entry in log) == 1
    assert all("killed by SIGKILL" in entry["cause"] for entry in log)
    assert f"= {count:,} done + 1 failed" in master.log
    assert_clean(bench, master)


def test_several_poison_jobs_one_of_which_spins_first(bench: Bench) -> None:
    enqueue_innocents(bench, 100)
    for seconds in (0.0, 1.0, 0.0, 0.3, 0.0):
        bench.client.enqueue_to("q", "Poison", seconds)
    bench.client.enqueue_many("CountSlowly", [(f"late {n}", 0.02) for n in range(100)], queue="q")
    bench.run("-q", "q", "-w", "1", "-t", "500", "-j", "100000", "--burst")
    assert len(bench.runs()) == 200
    assert_poison(bench, count=5)
    assert bench.stat("processed") == 205


def test_normal_work_goes_on_beside_the_trials(bench: Bench) -> None:
    """Suspects that take long must not keep others waiting; nor do those others die with them."""
    master = bench.start("-q", "q", "-w", "1", "-t", "100", "-j", "100000")
    for number in range(60):
        bench.client.enqueue_to("q", "CountWhenLet", f"slow {number}")
    wait_for(lambda: bench.held() == 60)
    (process,) = master.children()
    process.kill()
    wait_for(lambda: bench.redis.exists("resque:suspects"))
    wait_for(lambda: len(master.children()) == 2)
    # 32 of the 60 are in quarantine for as long as they run; the rest waits.
    wait_for(lambda: waiting(bench) == 28 and bench.held() == 32)
    for number in range(1000):
        bench.client.enqueue_to("q", "CountSlowly", f"quick {number}", 0.01)
    wait_for(lambda: sum(key.startswith("quick") for key in bench.runs()) == 1000)
    assert not any(key.startswith("slow") for key in bench.runs()), "the trial goes on"
    bench.let()
    wait_for(lambda: len(bench.runs()) == 1060)
    wait_for(lambda: not bench.redis.exists("resque:suspects"))
    wait_for(lambda: len(master.children()) == 1)
    assert set(bench.runs().values()) == {1}
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert bench.stat("failed") == 0
    assert_clean(bench, master)


@pytest.mark.parametrize(("limit", "deaths"), [("2", 2), ("5", 5)])
def test_max_recoveries(bench: Bench, limit: str, deaths: int) -> None:
    bench.client.enqueue_to("q", "Poison")
    enqueue_innocents(bench, 10)
    bench.run("-q", "q", "-t", "20", "-j", "1000", "--burst", "--max-recoveries", limit)
    assert_poison(bench, deaths=deaths)
    assert len(bench.runs()) == 10


def test_with_a_limit_of_one_whatever_the_process_held_fails(bench: Bench) -> None:
    enqueue_innocents(bench, 1, 5.0)
    bench.client.enqueue_to("q", "Poison")
    bench.run("-q", "q", "-t", "20", "-j", "1000", "--burst", "--max-recoveries", "1")
    assert [entry.exception for entry in bench.failed()] == ["PoisonJob"] * 2


def test_a_retried_poison_job_begins_anew(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Poison")
    bench.run("-q", "q", "-t", "20", "-j", "1000", "--burst", "--max-recoveries", "1")
    RedisBackend(bench.client.store).retry_all()
    (item,) = bench.client.peek("q")
    assert list(item) == ["class", "args", "id", "generation"]
    assert item["generation"] == 2


def held_entries(bench: Bench) -> list[LedgerEntry]:
    store = bench.client.store
    ledgers = [read_ledger(store, process) for process in store.processes.ids()]
    return [entry for ledger in ledgers for entry in ledger.entries.values()]


def test_a_killed_job_blames_none_of_its_neighbours(bench: Bench) -> None:
    """It did not die without its process, so the process had to go; nobody else is suspect."""
    master = bench.start("-q", "q", "-t", "20", "-j", "1000")
    bench.client.enqueue_to("q", "CountWhenLet", "neighbour")
    job_id = bench.client.enqueue_to("q", "Behave", "immortal", False)
    wait_for(lambda: bench.redis.llen("started") == 1)
    (process,) = bench.client.store.processes.ids()
    bench.client.store.commands.give({process: Command("kill", "token", str(job_id))})
    wait_for(lambda: bench.redis.llen("resque:failed") == 1)
    (entry,) = wait_for(lambda: held_entries(bench))
    assert entry.raw.startswith(b'{"class":"CountWhenLet"')
    assert not bench.redis.exists("resque:suspects")
    assert bench.failed()[0].exception == "DirtyExit"
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_what_a_shutdown_had_to_kill_is_not_suspect(bench: Bench) -> None:
    master = bench.start("-q", "q", "-t", "20", "-j", "1000", "--term-timeout", "1")
    bench.client.enqueue_to("q", "Behave", "immortal", False)
    bench.client.enqueue_to("q", "Behave", "sleep", 60)
    wait_for(lambda: bench.redis.llen("started") == 2)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "did not leave in time: SIGKILL" in master.log
    items = bench.client.peek("q", 0, 9)
    assert len(items) == 2
    assert all(next(iter(item)) == "class" for item in items)


def test_a_job_that_exits_with_0_is_found_out_at_once(bench: Bench) -> None:
    enqueue_innocents(bench, 10, 0.5)
    bench.client.enqueue_to("q", "Behave", "os_exit", 0)
    master = bench.run("-q", "q", "-t", "20", "-j", "1000", "--burst")
    assert len(bench.runs()) == 10
    assert [entry.exception for entry in bench.failed()] == ["PoisonJob"]
    assert "exited with 0" in master.log


def test_an_unlimited_count_goes_on(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Poison")
    master = bench.start("-q", "q", "-t", "20", "-j", "1000", "--max-recoveries", "0")
    wait_for(
        lambda: any(
            item.get("gresque", {}).get("recoveries", 0) >= 5
            for item in bench.client.peek("q", 0, 9)
        )
    )
    master.signal(signal.SIGQUIT)
    master.wait()
    assert not bench.failed()


def test_suspects_that_run_for_long_hold_nobody_up(bench: Bench) -> None:
    master = bench.start(
        "-r", "tests.process.quick_quarantines", "-q", "q", "-t", "100", "-j", "1000"
    )
    for number in range(40):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 60.0)
    wait_for(lambda: bench.held() == 40)
    (process,) = master.children()
    process.kill()
    # 32 are on trial; they have run for long when the others come to them.
    wait_for(lambda: sorted(each.held for each in ledgers(bench)) == [0, 40])
    assert len(master.children()) == 2
    quarantine = next(each.pid for each in ledgers(bench) if each.held == 40)
    os.kill(int(quarantine or 0), signal.SIGKILL)
    # After the second death each is alone; as many are tried as there may be trials.
    wait_for(lambda: sorted(each.held for each in ledgers(bench)) == [0, 1, 1, 1, 1])
    assert len(master.children()) == 5
    bench.client.enqueue_to("q", "CountSlowly", "quick", 0.0)
    wait_for(lambda: bench.runs() == {"quick": 1})
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.redis.llen("resque:queue:q") == 40, "nobody else serves the queue"
    assert not bench.redis.keys("resque:suspects*")
    assert {item["gresque"]["recoveries"] for item in bench.client.peek("q", 0, 50)} == {2}


def test_trials_are_paused_and_replaced_as_others_are(bench: Bench) -> None:
    master = bench.start("-q", "q", "-t", "50", "-j", "1000")
    for number in range(40):
        bench.client.enqueue_to("q", "CountWhenLet", str(number))
    wait_for(lambda: bench.held() == 40)
    (process,) = master.children()
    process.kill()
    wait_for(lambda: bench.held() == 32)
    master.signal(signal.SIGUSR2)
    wait_for(lambda: shows(master, "paused"))
    bench.let()
    wait_for(lambda: not bench.held())
    # Those that had not started yet are given back.
    assert waiting(bench) == 40 - len(bench.runs()) >= 8
    master.signal(signal.SIGHUP)
    master.signal(signal.SIGCONT)
    wait_for(lambda: len(bench.runs()) == 40)
    wait_for(lambda: len(master.children()) == 1)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert set(bench.runs().values()) == {1}
    assert_clean(bench, master)


def leave_suspects(bench: Bench) -> None:
    """As a master does that was killed: some that saw one death, some that saw two."""
    keys = bench.client.store.keys
    for number in range(6):
        raw = payload.encode("CountSlowly", [str(number), 0.01], None, f"{number:032x}")
        deaths = 1 + number % 2
        for _ in range(deaths):
            raw = add_death(raw, "p at noon")
        bench.redis.rpush(keys.suspects_of("q", deaths), raw)
        bench.redis.sadd(keys.suspects, "q")


@pytest.mark.parametrize("threads", ["1", "20"])
@pytest.mark.parametrize("jobs", ["1", "1000"])
def test_a_burst_takes_suspects_that_were_left(bench: Bench, threads: str, jobs: str) -> None:
    leave_suspects(bench)
    bench.run("-q", "q", "-t", threads, "-j", jobs, "--burst")
    assert bench.runs() == {str(number): 1 for number in range(6)}
    assert not bench.redis.keys("resque:suspects*")


@pytest.mark.parametrize("threads", ["1", "20"])
def test_a_master_learns_of_suspects_that_were_left(bench: Bench, threads: str) -> None:
    master = bench.start("-q", "q*", "-t", threads, "-j", "1000")
    wait_for(lambda: bench.client.store.processes.ids())
    leave_suspects(bench)  # the queue is not among `queues`: another program removed it
    wait_for(lambda: len(bench.runs()) == 6)
    wait_for(lambda: not bench.redis.keys("resque:suspects*"))
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert set(bench.runs().values()) == {1}


def test_what_one_thread_holds_in_reserve_dies_with_one_poison_job_once(bench: Bench) -> None:
    """A process that runs through its jobs holds some in reserve; of suspects it holds one."""
    for number in range(4):
        bench.client.enqueue_many("Count", [(f"{number} {n}",) for n in range(300)], queue="q")
        bench.client.enqueue_to("q", "Poison")
    bench.run("-q", "q", "-t", "1", "-j", "100000", "--burst")
    assert len(bench.runs()) == 1200
    assert_poison(bench, count=4)
    assert not bench.redis.keys("resque:suspects*")


def test_a_suspect_in_an_ordinary_queue_runs_in_quarantine(bench: Bench) -> None:
    """It was put back there by hand; it takes no neighbour along."""
    raw = payload.encode("Poison", [], None, "0" * 32)
    bench.redis.rpush("resque:queue:q", add_death(raw, "p at noon"))
    bench.redis.sadd("resque:queues", "q")
    enqueue_innocents(bench, 10, 0.5)
    bench.run("-q", "q", "-t", "20", "-j", "1000", "--burst")
    assert_poison(bench)
    assert set(bench.runs().values()) == {1}
    begun = bench.redis.hgetall("begun")
    assert len(begun) == 10 and set(begun.values()) == {b"1"}
