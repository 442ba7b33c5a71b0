"""Processes in which nothing gets the GIL: C code holds it, or they are stopped."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from gresque.cli.main import run
from gresque.inspector.look import Look
from tests.process.support import Bench, Master, wait_for


def start_with_a_hog(bench: Bench, *behave: object, neighbours: int = 5) -> tuple[Master, str]:
    """A process in which the last of its jobs holds the GIL; returns that one's id. Its neighbours
    end when they are let."""
    for n in range(neighbours):
        bench.client.enqueue_to("q", "CountWhenLet", str(n))
    master = bench.start("-q", "q", "-t", "20", "-j", "1000")
    wait_for(lambda: bench.begun() == neighbours)
    job_id = bench.client.enqueue_to("q", "Behave", *behave)
    assert job_id is not None
    wait_for(lambda: bench.redis.llen("started") == 1)
    return master, job_id


def make_fifo(directory: Path) -> Path:
    path = directory / "fifo"
    os.mkfifo(path)
    return path


def let_go(fifo: Path) -> None:
    """The job that holds the GIL waits until a process opens this FIFO to write."""
    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


def quit_and_check(bench: Bench, master: Master) -> None:
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert bench.held() == 0
    assert bench.redis.zcard("resque:ledgers") == 0


def test_usr1_fails_the_hog_and_its_neighbours_run_again(bench: Bench) -> None:
    master, job_id = start_with_a_hog(bench, "re")
    bench.let()
    master.signal(signal.SIGUSR1)
    (entry,) = wait_for(lambda: bench.failed())
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", job_id)
    assert entry.backtrace and entry.backtrace[1].endswith("in `_hold_gil_in_re'")
    wait_for(lambda: bench.runs() == {str(n): 1 for n in range(5)})
    assert len(bench.failed()) == 1
    quit_and_check(bench, master)


def test_term_ends_a_hog_long_before_the_last_resort_and_blames_nobody(bench: Bench) -> None:
    master, _ = start_with_a_hog(bench, "gil", 60)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "did not leave in time" not in master.log
    assert bench.client.size("q") == 6
    assert bench.failed() == []
    assert "6 requeued" in master.log


@pytest.mark.parametrize("how", ["re", "gil"])
def test_gresque_kill_reaches_a_hog(
    bench: Bench, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [60] if how == "gil" else []
    master, job_id = start_with_a_hog(bench, how, *arguments)
    bench.let()
    assert run(["kill", job_id, "--redis", bench.redis_url, "--wait", "60"]) == 0
    assert "did not die, its process was replaced" in capsys.readouterr().out
    assert [entry.payload["id"] for entry in bench.failed()] == [job_id]
    wait_for(lambda: bench.runs() == {str(n): 1 for n in range(5)})
    quit_and_check(bench, master)


def test_a_hog_over_its_time_fails_as_a_timeout(bench: Bench) -> None:
    bench.client.enqueue_to("q", "CountSlowly", "x", 1.0)
    bench.client.enqueue_to("q", "TimedInC")
    master = bench.start("-q", "q", "-t", "5", "-j", "1000")
    (entry,) = wait_for(lambda: bench.failed())
    assert (entry.exception, entry.payload["class"]) == ("JobTimeout", "TimedInC")
    wait_for(lambda: bench.runs() == {"x": 1})
    quit_and_check(bench, master)


def test_the_proxy_knows_timeouts_without_preloading(bench: Bench) -> None:
    bench.client.enqueue_to("q", "TimedInC")
    master = bench.start("-q", "q", "-t", "5", "-j", "1000", "--no-preload")
    # The worker process and the proxy load the jobs one after the other.
    wait_for(lambda: "jobs declared" in master.log)
    assert [entry.exception for entry in wait_for(lambda: bench.failed())] == ["JobTimeout"]


def test_who_blocks_is_shown_and_the_process_lives_on(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fifo = make_fifo(tmp_path)
    master, job_id = start_with_a_hog(bench, "fifo", str(fifo))
    flags = ["--redis", bench.redis_url]

    def blocked() -> dict[str, object] | None:
        assert run(["running", "--json", *flags]) == 0
        jobs = json.loads(capsys.readouterr().out)
        return next((job for job in jobs if job["blocks_seconds"]), None)

    found = wait_for(blocked)
    assert found["id"] == job_id
    assert any("in `_hold_gil_until_opened'" in line for line in found["stack"])
    assert run(["stacks", job_id, "--json", *flags]) == 0
    ((standing,),) = [p["greenlets"] for p in json.loads(capsys.readouterr().out)]
    assert standing["on_cpu"]
    assert standing["stack"] == found["stack"]
    master.signal(signal.SIGTTIN)
    wait_for(lambda: "stack of worker process" in master.log)
    # It comes back to life, and nothing was taken away from it.
    bench.let()
    let_go(fifo)
    wait_for(lambda: bench.stat("processed") == 6)
    assert bench.failed() == []
    assert bench.runs() == {str(n): 1 for n in range(5)}
    wait_for(lambda: len(master.children()) == 1)  # the proxy has gone
    quit_and_check(bench, master)
    assert "reserved 6 = 6 done" in master.log


def test_a_stopped_process_is_not_dead_while_its_master_lives(bench: Bench) -> None:
    """However long: its proxy beats for it."""
    master, _ = start_with_a_hog(bench, "sleep", 0.5)
    (process,) = bench.client.store.processes.ids()
    (child,) = master.children()
    child.suspend()
    wait_for(lambda: "is frozen for" in master.log)
    beat = bench.redis.zscore("resque:ledgers", process)
    wait_for(lambda: bench.redis.zscore("resque:ledgers", process) > beat)
    store = bench.client.store
    (found,) = Look.take(store, "redis").processes
    assert found.running.frozen is not None
    bench.let()
    child.resume()
    wait_for(lambda: Look.take(store, "redis").processes[0].running.frozen is None)
    wait_for(lambda: bench.stat("processed") == 6)
    assert bench.runs() == {str(n): 1 for n in range(5)}
    assert bench.client.store.processes.ids() == [process]
    quit_and_check(bench, master)
    assert "it is stopped, or hangs" in master.log


def test_a_stopped_process_is_killed_by_term(bench: Bench) -> None:
    master, _ = start_with_a_hog(bench, "sleep", 60)
    (child,) = master.children()
    child.suspend()
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.client.size("q") == 6


def test_when_the_master_dies_the_proxy_stays_with_the_frozen_process(
    bench: Bench, tmp_path: Path
) -> None:
    fifo = make_fifo(tmp_path)
    master, _ = start_with_a_hog(bench, "fifo", str(fifo))
    (process,) = bench.client.store.processes.ids()
    wait_for(lambda: len(master.children()) == 2)
    family = master.children()
    master.process.kill()
    beat = bench.redis.zscore("resque:ledgers", process)
    wait_for(lambda: bench.redis.zscore("resque:ledgers", process) > beat)
    bench.let()
    let_go(fifo)
    wait_for(lambda: not any(each.is_running() for each in family))
    assert bench.stat("processed") == 6
    assert bench.redis.zcard("resque:ledgers") == 0


# Critical sections


@pytest.mark.parametrize("how", ["sleep", "c"])
def test_a_kill_waits_for_the_end_of_a_critical_section(bench: Bench, how: str) -> None:
    job_id = bench.client.enqueue_to("q", "Guarded", 4, how)
    assert job_id is not None
    bench.start("-q", "q", "-t", "5", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    # Longer than any other job would be given.
    assert run(["kill", job_id, "--redis", bench.redis_url]) == 0
    assert bench.redis.lrange("sections", 0, -1) == [b"whole"]
    (entry,) = bench.failed()
    assert entry.exception == "DirtyExit"
    assert bench.redis.zcard("resque:ledgers") == 1  # its process lives on


def test_term_waits_for_it_too(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Guarded", 3)
    master = bench.start("-q", "q", "-t", "5", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.redis.lrange("sections", 0, -1) == [b"whole"]
    assert bench.client.size("q") == 1


@pytest.mark.parametrize("how", ["sleep", "gil"])
def test_the_last_resort_does_not(bench: Bench, how: str) -> None:
    bench.client.enqueue_to("q", "Guarded", 60, how)
    master = bench.start("-q", "q", "-t", "5", "-j", "1000", "--term-timeout", "3")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.redis.llen("sections") == 0
    assert bench.client.size("q") == 1
