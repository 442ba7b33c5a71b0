"""A thread that performs one job after the other, on gevent without its patches."""

from __future__ import annotations

import gc
import sys
import time
import weakref
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent import get_hub

from gresque.errors import DontPerform
from gresque.jobs.crash_history import add_death
from gresque.jobs.critical_section import uninterruptible
from gresque.store.effects import suspected
from gresque.store.keys import Keys
from gresque.worker.threads.thread import A_TURN, WorkerThread
from tests.support.pool_bench import (
    OpenBench,
    a_job,
    fails_with,
    wait_long,
)


def test_jobs_start_in_the_order_of_the_queue(open_bench: OpenBench) -> None:
    bench, started = open_bench(3), []
    bench.add("start", lambda number: (started.append(number), gevent.sleep(0.001)))
    bench.run(*(a_job(number, "start", number) for number in range(20)))
    assert started == list(range(20))


@pytest.mark.parametrize("args", [(), (1,), ([1],), (1, 2), ({"a": 1},), (1, {"a": 1})])
def test_a_plain_job_is_called_by_its_thread_itself(
    open_bench: OpenBench, args: tuple[Any, ...]
) -> None:
    bench, seen = open_bench(1), []
    bench.add("see", lambda *args, **kwargs: seen.append((args, kwargs, sys._getframe(1).f_code)))
    bench.run(a_job(0, "see", *args), a_job(1, "see", *args, key="k"))
    code = WorkerThread._work.__code__
    assert seen == [(args, {}, code), (args, {"key": "k"}, code)]
    assert bench.counts == (2, 0, 0)


def test_a_plain_job_may_do_nothing(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    bench.add("no", fails_with(DontPerform("not today")))
    bench.run(a_job(0, "no"), a_job(1))
    assert bench.counts == (2, 0, 0)


def test_a_thread_keeps_no_result(open_bench: OpenBench) -> None:
    class Result: ...

    bench, left = open_bench(1), []

    def make() -> Result:
        result = Result()
        left.append(weakref.ref(result))
        return result

    bench.add("make", make)
    bench.add("look", lambda: left.append(left[0]()))
    bench.run(a_job(0, "make"), a_job(1, "look"))
    assert left[1:] == [None]


def test_a_waiting_job_takes_little_beside_what_gevent_takes(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    bench.add("wait", wait_long)
    bench.put(a_job(0, "wait"))
    bench.until(lambda: any(thread.job is not None for thread in bench.pool.threads))
    (thread,) = bench.pool.threads
    plain = gevent.spawn(wait_long)
    gevent.sleep(0)
    assert not vars(thread)
    assert thread.spawning_stack is None
    # A call by `*args` would add over 400 bytes.
    assert thread._stack_saved - plain._stack_saved < 400
    plain.kill()


@pytest.mark.parametrize("jump", [0, -3600, 3600])
def test_a_job_that_hogs_the_cpu_lets_the_loop_turn_after_it(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """Also where the clock of the day has been set since the last turn."""
    monkeypatch.setattr("gresque.worker.threads.thread.time", lambda: time.time() + jump)
    bench, turns = open_bench(1), 0

    def count() -> None:
        nonlocal turns
        turns += 1
        timer.start(count)

    timer = get_hub().loop.timer(0.001)
    timer.start(count)
    bench.add("hog", lambda: time.sleep(0.006))
    bench.run(*(a_job(number, "hog") for number in range(10)))
    timer.close()
    assert turns >= 8


def test_a_job_that_has_let_the_loop_turn_is_not_followed_by_another_turn(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn costs as much as the wait of a job itself."""
    bench, sleep, turns = open_bench(1), gevent.sleep, []
    monkeypatch.setattr(gevent, "sleep", lambda seconds: (turns.append(seconds), sleep(seconds))[1])
    # The clock stands still but where a job hogs the CPU; this process may have to wait for one.
    loop, hogged = get_hub().loop, [0.0]
    monkeypatch.setattr("gresque.worker.threads.thread.time", lambda: loop.now() + sum(hogged))
    bench.add("wait", lambda: sleep(0.007))
    bench.add("wait, then hog", lambda: (sleep(0.001), time.sleep(0.006), hogged.append(0.006)))
    bench.run(*(a_job(slot, "wait") for slot in range(3)))
    assert A_TURN not in turns
    bench.run(a_job(4, "wait, then hog"), a_job(5))
    assert A_TURN in turns


def test_enough_ends_wake_the_cycle_once(open_bench: OpenBench) -> None:
    """It takes them a moment later: a switch for each further end would be in vain."""
    bench, wakes = open_bench(1), []
    bench.add("two", lambda: setattr(bench.pool, "wake_at", 2))
    original = bench.wakeup.set
    bench.wakeup.set = lambda: (wakes.append(len(bench.in_flight.ended)), original())[1]  # type: ignore[method-assign]
    bench.run(a_job(0, "two"), *(a_job(slot) for slot in range(1, 10)))
    assert wakes == [2, 9, 10], "enough, the last job begins, the thread parks"


def test_contextvars_do_not_pass_from_job_to_job(open_bench: OpenBench) -> None:
    bench, seen = open_bench(1), []
    user: ContextVar[str] = ContextVar("user", default="nobody")

    def job(name: str) -> None:
        seen.append(user.get())
        user.set(name)
        seen.append(user.get())

    bench.add("job", job)
    bench.run(a_job(0, "job", "ada"), a_job(1, "job", "bob"))
    assert seen == ["nobody", "ada", "nobody", "bob"]


def test_a_timeout_that_a_job_left_behind_hurts_no_thread(open_bench: OpenBench) -> None:
    bench = open_bench(2)
    left: list[Any] = []
    bench.add("leaves", lambda *args: left.append(gevent.Timeout.start_new(0.01)))
    bench.run(a_job(0, "leaves"))
    gevent.sleep(0.05)  # it goes off while the thread is parked
    bench.run(a_job(1), a_job(2))
    assert bench.counts == (3, 0, 0)


def references(thing: object) -> int:
    """Of others than the caller's variable and the call itself."""
    return sys.getrefcount(thing) - 3


@pytest.mark.parametrize(
    "ending", ["done", "failed", "hooks", "killed", "spawned", "current", "timeout"]
)
def test_a_parked_thread_keeps_nothing_of_its_last_job(open_bench: OpenBench, ending: str) -> None:
    class Owner:
        def on_failure_keep(error: BaseException, text: str) -> None:
            seen.append(text)

    def perform(text: str) -> None:
        seen.append(text)
        marked.set(text)
        if ending == "spawned":
            gevent.spawn(int).join()
        if ending == "current":
            assert gevent.getcurrent().origin.current_job.fields["job"] == "large"
        if ending in ("failed", "hooks"):
            raise ValueError(text)
        if ending == "killed":
            with uninterruptible():
                gevent.sleep(0.01)
            gevent.sleep(60)

    seen: list[str] = []
    marked: ContextVar[str] = ContextVar("marked")
    bench = open_bench(3)
    timeout = {"timeout_seconds": 60} if ending == "timeout" else {}
    bench.add("large", perform, Owner if ending == "hooks" else None, **timeout)
    jobs = [a_job(number, "large", f"{number}" * 5000) for number in range(3)]
    bench.put(*jobs)
    if ending == "killed":
        bench.until(lambda: len(seen) == 3)
        bench.pool.kill_jobs("for the test")
    bench.until(lambda: len(bench.in_flight.ended) == 3)
    bench.in_flight.settled.clear()  # as the turn does that settles them
    gc.collect()
    # A kill is thrown again after half a second, unless it has landed.
    bench.until(lambda: all(references(job) == 1 for job in jobs))
    assert len(bench.pool.parked) == len(bench.pool.threads)
    for job in jobs:
        assert references(job) == 1, "the list of the test"
        assert references(job[2]) == 1, "the job"
    for text in {id(text): text for text in seen}.values():
        assert references(text) == sum(text is each for each in seen) + 1, "those of the test"


@pytest.mark.parametrize("asks", ["origin", "spawn_tree_locals"])
def test_a_busy_thread_forgets_the_job_that_something_asked_for(
    open_bench: OpenBench, asks: str
) -> None:
    bench, kept = open_bench(1), []

    def look() -> None:
        thread: Any = gevent.getcurrent()
        thread.forget_ended()
        kept.append((thread.known, thread.spawned))

    bench.add("ask", lambda: getattr(gevent.getcurrent(), asks))
    bench.add("look", look)
    bench.run(a_job(0, "ask"), a_job(1, "look"))
    assert kept == [(None, None)]


def test_a_dropped_job_is_not_logged_as_done(
    open_bench: OpenBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench = open_bench()
    bench.add("brief", print, on_expire="drop")
    bench.outcome.verbose = True
    late = b'{"class":"brief","expires_at":1}'
    with caplog.at_level("DEBUG", logger="gresque.job"):
        bench.run((b"0", "q", late), a_job(1))
    assert [record.event for record in caplog.records] == ["job_expired", "job_done"]  # type: ignore[attr-defined]
    assert bench.counts == (2, 0, 0)


def test_a_job_may_print_the_greenlet_that_it_runs_in() -> None:
    pool: Any = None
    assert repr(WorkerThread(pool, 3)) == "<WorkerThread 3>"


@pytest.mark.parametrize(("hands_over", "deaths"), [(True, 1), (True, 2), (False, 1), (True, 0)])
def test_a_suspect_goes_to_its_list_before_it_starts(
    open_bench: OpenBench, hands_over: bool, deaths: int
) -> None:
    bench = open_bench(2)
    bench.pool.hands_over = hands_over
    ran: list[str] = []
    bench.add("note", ran.append)
    slot, queue, raw = a_job(0, "note", "suspect")
    for _ in range(deaths):
        raw = add_death(raw, "p at noon")
    bench.run((slot, queue, raw), a_job(1, "note", "other"))
    if hands_over and deaths:
        (settled,) = bench.in_flight.settled
        assert settled.job == (slot, queue, raw)
        assert settled.effects == (suspected(Keys("resque"), "q", deaths),)
        assert (ran, bench.counts, bench.in_flight.handed_over) == (["other"], (1, 0, 1), 1)
    else:
        assert (sorted(ran), bench.counts) == (["other", "suspect"], (2, 0, 0))
