"""`gresque kill`: one job of many, by its id."""

from __future__ import annotations

import signal
import time

import pytest

from gresque.cli.main import run
from gresque.failure.entry import decode_entry
from tests.process.support import Bench, wait_for


def kill(bench: Bench, job_id: str | None, *options: str) -> int:
    assert job_id is not None
    return run(["kill", job_id, "--redis", bench.redis_url, *options])


def test_one_of_a_thousand_dies_and_the_others_finish(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = bench.client.enqueue_many("CountSlowly", [(str(n), 6.0) for n in range(1000)], queue="q")
    bench.start("-q", "q", "-t", "1000", "-j", "100000")
    wait_for(lambda: bench.begun() == 1000)
    # From its first second on the process listens for kills, and publishes what runs.
    wait_for(lambda: bench.redis.keys("resque:running:*"))
    started = time.monotonic()
    assert kill(bench, ids[500]) == 0
    assert time.monotonic() - started < 0.5
    assert capsys.readouterr().out.startswith("dead; see gresque failed show 0")
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", ids[500])
    wait_for(lambda: len(bench.runs()) == 999)
    assert "500" not in bench.runs()


@pytest.mark.parametrize("how", ["sleep", "spin", "swallow", "finally", "redis", "socket"])
def test_it_dies_whatever_it_does(bench: Bench, how: str) -> None:
    arguments = [60] if how in ("sleep", "swallow") else []
    job_id = bench.client.enqueue_to("q", "Behave", how, *arguments)
    bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    started = time.monotonic()
    assert kill(bench, job_id) == 0
    assert time.monotonic() - started < 3  # a second of it until the process listens


@pytest.mark.parametrize("spinning", [False, True])
def test_an_immortal_one_takes_its_process_along_and_its_neighbours_run_again(
    bench: Bench, capsys: pytest.CaptureFixture[str], spinning: bool
) -> None:
    for n in range(5):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 4)
    job_id = bench.client.enqueue_to("q", "Behave", "immortal", spinning)
    bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    assert kill(bench, job_id) == 0
    assert "did not die, its process was replaced" in capsys.readouterr().out
    wait_for(lambda: bench.runs() == {str(n): 1 for n in range(5)})
    assert bench.redis.llen("resque:failed") == 1


def test_what_does_not_run_is_said(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert kill(bench, "no-such-id") == 2
    assert "no job with the id no-such-id is running" in capsys.readouterr().err


def test_a_hook_that_hangs_dies_and_its_failure_is_kept(bench: Bench) -> None:
    job_id = bench.client.enqueue_to("q", "FailsSlowly")
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    kill(bench, job_id)
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry.exception, entry.error) == ("ValueError", "at once")
    assert "an on_failure hook of FailsSlowly raised" in master.log


def test_a_hook_that_hangs_is_ended_by_term(bench: Bench) -> None:
    bench.client.enqueue_to("q", "FailsSlowly")
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGTERM)
    assert master.wait(10) == 0
    assert "reserved 1 = 0 done + 1 failed + 0 requeued" in master.log
    assert bench.redis.llen("resque:failed") == 1
