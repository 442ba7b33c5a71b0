"""What a job has started, a greenlet or a thread, blocks the loop of its process."""

from __future__ import annotations

import json
import signal

import pytest

from gresque.cli.main import run
from tests.process.support import Bench, Master, wait_for


def start(bench: Bench, *args: object, job: str = "Start", **env: str) -> tuple[Master, str]:
    job_id = bench.client.enqueue_to("q", job, *args)
    assert job_id is not None
    master = bench.start("-q", "q", "-t", "10", "-j", "1000", HUB_BLOCKED_SECONDS="0.5", **env)
    wait_for(lambda: bench.redis.llen("started") == 1)
    return master, job_id


def is_told(master: Master, kind: str, more: str = "") -> bool:
    return any(
        f"because of {kind}, started by Start(" in line and more in line
        for line in master.log.splitlines()
    )


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("greenlet", "greenlet Greenlet"),
        ("thread", "thread 'of-a-job'"),
        ("pool", "thread 'ThreadPoolExecutor-0_0'"),
        ("nested", "greenlet Greenlet"),
        ("raw", "greenlet greenlet"),
    ],
)
def test_it_is_named_and_shown_and_killed_with_its_job(
    bench: Bench, capsys: pytest.CaptureFixture[str], how: str, kind: str
) -> None:
    master, job_id = start(bench, how, "spin")
    bench.client.enqueue_to("q", "Count", "neighbour")
    wait_for(lambda: is_told(master, kind))
    assert "in `_spin'" in master.log

    def blocks() -> bool:
        run(["running", "--json", "--redis", bench.redis_url])
        jobs = {job["id"]: job for job in json.loads(capsys.readouterr().out)}
        return bool(jobs[job_id]["blocks_seconds"] and "_spin" in jobs[job_id]["stack"][0])

    wait_for(blocks)
    assert run(["kill", job_id, "--redis", bench.redis_url]) == 0
    wait_for(lambda: bench.runs() == {"neighbour": 1})
    (entry,) = bench.failed()
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", job_id)
    assert len(master.children()) == 1
    assert "process is replaced" not in master.log


def test_usr1_and_ttin_are_heard_and_term_does_not_wait(bench: Bench) -> None:
    master, _ = start(bench, "thread", "c", 60)
    wait_for(lambda: is_told(master, "thread 'of-a-job'"))
    master.signal(signal.SIGTTIN)
    wait_for(lambda: "where the jobs stand" in master.log)
    master.signal(signal.SIGUSR1)
    wait_for(lambda: bench.failed())
    bench.client.enqueue_to("q", "Start", "greenlet", "spin")
    wait_for(lambda: bench.redis.llen("started") == 2)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 2 = 0 done + 1 failed + 1 requeued" in master.log


def test_a_timeout_reaches_it(bench: Bench) -> None:
    start(bench, "thread", "spin", job="TimedStart")
    (entry,) = wait_for(lambda: bench.failed())
    assert entry.exception == "JobTimeout"


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("greenlet", "greenlet Greenlet, started by Start('greenlet'"),
        ("callback", "a callback of gevent's loop"),
        ("link", "greenlet greenlet"),
    ],
)
def test_what_an_ended_job_left_behind_dies_at_its_second_block(
    bench: Bench, how: str, named: str
) -> None:
    bench.client.enqueue_to("q", "Start", how, "spin", leave=True)
    master = bench.start("-q", "q", "-t", "10", "-j", "1000", HUB_BLOCKED_SECONDS="0.5")
    wait_for(lambda: bench.redis.llen("started") == 1)
    bench.client.enqueue_to("q", "Count", "next")
    wait_for(lambda: bench.runs() == {"next": 1})
    wait_for(lambda: f"killed because it blocks the loop: {named}" in master.log)
    assert f"because of {named}" in master.log
    assert ("which has ended" in master.log) == (how == "greenlet")
    assert bench.stat("failed") == 0
    assert len(master.children()) == 1


@pytest.mark.parametrize("track", ["true", "false"])
def test_what_a_job_waits_for_is_killed_though_nobody_knows_whose_it_is(
    bench: Bench, track: str
) -> None:
    master, job_id = start(bench, "greenlet", "spin", GEVENT_TRACK_GREENLET_TREE=track)
    assert run(["kill", job_id, "--redis", bench.redis_url]) == 0
    bench.client.enqueue_to("q", "Count", "next")
    wait_for(lambda: bench.runs() == {"next": 1})
    assert len(master.children()) == 1


def test_one_that_swallows_every_kill_is_stopped_for_good(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Start", "greenlet", "immortal", True, leave=True)
    bench.client.enqueue_to("q", "CountSlowly", "neighbour", 1.0)
    master = bench.start("-q", "q", "-t", "10", "-j", "1000", HUB_BLOCKED_SECONDS="0.3")
    wait_for(lambda: bench.runs() == {"neighbour": 1})
    told = "ignores every kill, and is stopped for good: greenlet Greenlet"
    wait_for(lambda: told in master.log)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 2 = 2 done" in master.log


def test_one_that_holds_the_gil_is_told_with_its_job(bench: Bench) -> None:
    master, job_id = start(bench, "thread", "re")
    wait_for(lambda: "it hangs in what was started by Start(" in master.log)
    assert run(["kill", job_id, "--redis", bench.redis_url]) == 0
    (entry,) = bench.failed()
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", job_id)
    assert any("_hold_gil_in_re" in line for line in entry.backtrace or ())


def test_a_callback_of_the_loop_is_named(bench: Bench) -> None:
    master, _ = start(bench, "callback", "c", 1.5)
    wait_for(lambda: "because of a callback of gevent's loop" in master.log)
