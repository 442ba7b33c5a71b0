"""What a worker process answers to kills."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest

from gresque.errors import JobTimeout
from gresque.jobs.critical_section import uninterruptible
from gresque.jobs.retry_policy import retry_policy
from gresque.store.commands import KILLED_BY_ID, Fate, KillAnswer
from gresque.worker.threads.kill_commands import KillCommands
from gresque.worker.threads.kills import Kill
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.in_flight import ReservedJob
from tests.support.pool_bench import PATIENCE_SECONDS, PoolBench


def a_job(slot: int, job_id: str, name: str = "wait") -> ReservedJob:
    return str(slot).encode(), "q", json.dumps({"class": name, "args": [], "id": job_id}).encode()


def catch() -> None:
    try:
        gevent.sleep(PATIENCE_SECONDS)
    except BaseException:
        return


@pytest.fixture
def bench() -> Iterator[PoolBench]:
    bench = PoolBench(2)
    bench.add("wait", lambda: gevent.sleep(PATIENCE_SECONDS))
    bench.add("catch", catch)
    bench.add("unseen", lambda: gevent.sleep(PATIENCE_SECONDS), skip_failed_queue=True)
    yield bench
    gevent.killall(bench.pool.threads, block=False)
    gevent.sleep(0)


@pytest.fixture
def kills(bench: PoolBench) -> KillCommands:
    return KillCommands(bench.pool, bench.in_flight, bench.wakeup, bench.outcome)


def settle(bench: PoolBench) -> None:
    """As a turn does."""
    bench.in_flight.held -= len(bench.in_flight.ended)
    bench.in_flight.ended.clear()


def runs(bench: PoolBench, count: int = 1) -> bool:
    return sum(thread.job is not None for thread in bench.pool.threads) == count


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("wait", KillAnswer(Fate.DEAD, in_failed=True)),
        ("unseen", KillAnswer(Fate.DEAD, in_failed=False)),
        ("catch", KillAnswer(Fate.ENDED)),
    ],
)
def test_it_is_answered_when_the_job_is_settled(
    bench: PoolBench, kills: KillCommands, name: str, answer: KillAnswer
) -> None:
    bench.put(a_job(0, "a", name))
    bench.until(lambda: runs(bench))
    assert not kills
    assert kills.order("token", "a") == KillAnswer(Fate.DELIVERED)
    assert kills
    assert kills.pop_answers() == []
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert kills.pop_answers() == []  # Redis does not say so yet
    settle(bench)
    assert kills.pop_answers(refused=[b"0"]) == []
    assert kills.pop_answers() == [("token", answer)]
    assert not kills


def test_one_that_has_not_started_never_does(bench: PoolBench, kills: KillCommands) -> None:
    bench.put(a_job(0, "a"), a_job(1, "b"))
    bench.until(lambda: runs(bench, 2))
    bench.put(a_job(2, "c"))
    assert kills.order("token", "c") == KillAnswer(Fate.DELIVERED)
    bench.until(lambda: bench.in_flight.ended == [b"2"])
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]
    assert bench.counts == (0, 1, 0)
    assert runs(bench, 2)


def test_one_that_a_thread_takes_meanwhile_dies_too(bench: PoolBench, kills: KillCommands) -> None:
    bench.in_flight.ready.append(a_job(0, "a"))
    bench.in_flight.held += 1
    kills.order("token", "a")
    bench.pool.wake_one()  # before the loop gets to the kill
    bench.until(lambda: bench.in_flight.ended == [b"0"])
    settle(bench)
    ((_, answer),) = kills.pop_answers()
    assert answer.fate is Fate.DEAD


def unique_job(slot: int, job_id: str, mode: str = "queued") -> ReservedJob:
    envelope = {"unique": ["0" * 32, mode]}
    item = {"class": "wait", "args": [], "id": job_id, "gresque": envelope}
    return str(slot).encode(), "q", json.dumps(item).encode()


def test_one_that_waits_for_its_start_never_runs(bench: PoolBench, kills: KillCommands) -> None:
    bench.put(unique_job(0, "a"))
    bench.until(lambda: bool(bench.in_flight.starting))
    assert kills.order("token", "a") == KillAnswer(Fate.DELIVERED)
    bench.until(lambda: bool(bench.in_flight.ended))
    assert not bench.in_flight.starting
    (settled,) = bench.in_flight.settled
    assert [each.kind for each in settled.effects] == ["fail", "unlock"]
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_one_that_is_killed_on_the_way_of_its_start(bench: PoolBench, kills: KillCommands) -> None:
    """It comes back with other arguments, and dies before it runs, or as it does."""
    old, new = unique_job(0, "a"), unique_job(0, "a")
    bench.put(old)
    bench.until(lambda: bool(bench.in_flight.starting))
    bench.in_flight.being_started = 1
    assert kills.order("token", "a") == KillAnswer(Fate.DELIVERED)
    gevent.sleep(0.01)
    assert bench.in_flight.starting == [old] and not kills.pop_answers()
    kills.replace(old, new)
    bench.in_flight.starting.clear()
    bench.in_flight.being_started = 0
    bench.in_flight.started[b"0"] = None
    bench.in_flight.ready.append(new)
    kills.kill_ready()
    bench.pool.wake_one()
    bench.until(lambda: bool(bench.in_flight.ended))
    assert bench.counts == (0, 1, 0)
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_one_that_is_killed_on_its_way_and_may_not_start(
    bench: PoolBench, kills: KillCommands
) -> None:
    """Another job has the lock: it would go on waiting."""
    job, other = unique_job(0, "a", "running"), unique_job(1, "b", "running")
    bench.put(job)
    bench.until(lambda: bool(bench.in_flight.starting))
    bench.in_flight.being_started = 1
    assert kills.order("token", "a") == KillAnswer(Fate.DELIVERED)
    gevent.sleep(0.01)
    bench.in_flight.starting.clear()
    bench.in_flight.being_started = 0
    assert not kills.end_waiting(other)
    assert kills.end_waiting(job)
    assert bench.counts == (0, 1, 0)
    assert kills.pop_answers() == []
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_what_is_not_there_has_ended(bench: PoolBench, kills: KillCommands) -> None:
    assert kills.order("token", "a") == KillAnswer(Fate.ENDED)
    assert not kills


def test_two_with_one_id_die_together(bench: PoolBench, kills: KillCommands) -> None:
    bench.put(a_job(0, "a"), a_job(1, "a"))
    bench.until(lambda: runs(bench, 2))
    kills.order("token", "a")
    bench.until(lambda: len(bench.in_flight.ended) == 2)
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_asked_again_it_is_not_thrown_anew(bench: PoolBench, kills: KillCommands) -> None:
    bench.put(a_job(0, "a"))
    bench.until(lambda: runs(bench))
    (thread,) = bench.pool.threads
    kills.order("token", "a")
    kill = thread.to_kill
    assert kills.order("token", "a") == KillAnswer(Fate.DELIVERED)
    assert thread.to_kill is kill  # by its time a guarded job is given up in the end


@pytest.mark.parametrize("first", ["timeout", "operator"])
def test_an_operator_goes_before_a_timeout(
    bench: PoolBench, kills: KillCommands, first: str
) -> None:
    """Both wait for the end of a section. The job would be tried again after the timeout."""
    leave = gevent.event.Event()

    def charge() -> None:
        with uninterruptible():
            leave.wait()

    bench.add("charge", charge, retry=retry_policy("charge", 3, None, None, None, (), (), None))
    bench.put(a_job(0, "a", "charge"))
    bench.until(lambda: runs(bench) and bench.pool.threads[0].guarded)
    (thread,) = bench.pool.threads
    assert thread.job is not None
    timeout = Kill(thread.job, "it ran for over 1 s", False, 5.0, JobTimeout)
    if first == "timeout":
        bench.pool.kill_from_outside(thread, timeout)
    assert kills.order("token", "a") == KillAnswer(Fate.GUARDED)
    bench.pool.kill_from_outside(thread, timeout)
    assert thread.to_kill is not None
    assert thread.to_kill.by_operator
    assert (thread.to_kill.since == timeout.since) == (first == "timeout")
    leave.set()
    bench.until(lambda: bench.in_flight.ended == [b"0"])
    assert [entry["error"] for entry in bench.entries] == [f"Job was killed: {KILLED_BY_ID}"]
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_a_shutdown_puts_back_no_killed_job(bench: PoolBench, kills: KillCommands) -> None:
    bench.put(a_job(0, "a"), a_job(1, "b"))
    bench.until(lambda: runs(bench, 2))
    kills.order("token", "a")
    bench.pool.kill_jobs("shutdown", requeue=True)
    bench.until(lambda: len(bench.in_flight.ended) == 2)
    assert bench.counts == (0, 1, 1)
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_one_that_a_shutdown_put_back_first(bench: PoolBench, kills: KillCommands) -> None:
    bench.put(a_job(0, "a"))
    bench.until(lambda: runs(bench))
    bench.pool.kill_jobs("shutdown", requeue=True)
    thread: WorkerThread = bench.pool.threads[0]
    shutdown = thread.to_kill
    kills.order("token", "a")
    thread.to_kill = shutdown  # it lands before the operator's
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    settle(bench)
    ((_, answer),) = kills.pop_answers()
    assert answer.fate is Fate.REQUEUED


def test_what_the_turn_missed_is_answered_later(bench: PoolBench, kills: KillCommands) -> None:
    bench.put(a_job(0, "a"))
    bench.until(lambda: runs(bench))
    kills.order("token", "a")
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    settle(bench)
    assert not kills.order("token", "a").is_final
    assert kills.order("token", "a").fate is Fate.DEAD
    assert not kills


def hooks_noting(told: list[str], hangs: str) -> Any:
    """Of a job that fails. The kind `hangs` does; each notes its call."""

    def noting(kind: str) -> Any:
        def hook(error: BaseException) -> None:
            told.append(f"{kind} {type(error).__name__}")
            # A kill that is repeated lands here.
            gevent.sleep(PATIENCE_SECONDS if kind == hangs else 0.01)
            told.append(f"after {kind}")

        return staticmethod(hook)

    return type("Hooks", (), {kind: noting(kind) for kind in ("on_retry", "on_failure")})


def swallow() -> None:
    catch()
    raise ValueError("its own")


def own_error() -> None:
    raise ValueError("its own")


def over_its_time() -> None:
    raise JobTimeout("it ran for over 5 s")


def add(bench: PoolBench, function: Callable[[], None], retries: int, hangs: str = "") -> list[str]:
    """What its hooks tell."""
    told: list[str] = []
    policy = retry_policy("fails", retries=retries, backoff=30)
    bench.add("fails", function, hooks_noting(told, hangs), retry=policy)
    return told


DIED = ["on_failure DirtyExit", "after on_failure"]


@pytest.mark.parametrize(
    ("function", "hangs", "tells"),
    [
        (own_error, "on_retry", ["on_retry ValueError", *DIED]),
        (over_its_time, "on_retry", ["on_retry JobTimeout", *DIED]),
        (swallow, "", DIED),
        (lambda: gevent.sleep(PATIENCE_SECONDS), "", DIED),
    ],
    ids=["retry hook", "retry hook after a timeout", "swallowed", "job"],
)
def test_no_attempt_follows_a_kill(
    bench: PoolBench, kills: KillCommands, function: Any, hangs: str, tells: list[str]
) -> None:
    """Nor is it repeated against the hooks that follow it."""
    told = add(bench, function, 2, hangs)
    bench.put(a_job(0, "a", "fails"))
    bench.until(lambda: runs(bench))
    kills.order("token", "a")
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert bench.put_off == []
    (entry,) = bench.entries
    assert (entry["exception"], entry["error"]) == ("DirtyExit", f"Job was killed: {KILLED_BY_ID}")
    assert any("caused by ValueError: its own" in line for line in entry["backtrace"]) == (
        function in (own_error, swallow)
    )
    assert told == tells
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_one_that_swallows_it_and_fails_for_good_has_ended_by_itself(
    bench: PoolBench, kills: KillCommands
) -> None:
    add(bench, swallow, 0)
    bench.put(a_job(0, "a", "fails"))
    bench.until(lambda: runs(bench))
    kills.order("token", "a")
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert [entry["error"] for entry in bench.entries] == ["its own"]
    settle(bench)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.ENDED))]


def test_a_shutdown_in_a_hook_costs_no_retry(bench: PoolBench, kills: KillCommands) -> None:
    told = add(bench, own_error, 2, "on_retry")
    bench.put(a_job(0, "a", "fails"))
    bench.until(lambda: runs(bench))
    bench.pool.kill_jobs("shutdown", requeue=True)
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert [kind for kind, _, _ in bench.put_off] == ["later"]
    assert (bench.entries, told) == ([], ["on_retry ValueError"])
