"""The parts of a worker process, each by itself, on gevent without its patches."""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent import get_hub
from hypothesis import given
from hypothesis import strategies as st

from gresque.errors import DontPerform, JobKilled
from gresque.failure.failure_reporter import FailureReporter
from gresque.jobs.critical_section import uninterruptible
from gresque.jobs.definition import JobDefinition
from gresque.jobs.hooks import JobHooks
from gresque.jobs.registry import Registry
from gresque.processes.scoreboard import GUARDED
from gresque.store.effects import Effect
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.threads.outcome import Outcome
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.batch_size import FIRST_BATCH, PREFETCH_BELOW, BatchSize, most_held
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.wakeup import Wakeup

PATIENCE_SECONDS = 20.0
"""Far above what anything here takes: a test that waits this long has failed."""

# BatchSize

seconds = st.floats(0, 100, allow_nan=False)


jobs = st.integers(0, 100_000)


@given(st.lists(st.tuples(seconds, seconds, jobs, jobs, seconds), max_size=30))
def test_pace_stays_in_its_bounds(notes: list[tuple[float, float, int, int, float]]) -> None:
    pace = BatchSize()
    for cpu, wall, started, ended, trip in notes:
        before = pace.limit
        pace.note_trip(trip)
        pace.note(cpu, wall, started, ended)
        assert 1 <= pace.limit <= 2 * before
        assert type(pace.limit) is int
        for threads in (1, 63, 64, 1000):
            assert threads <= pace.capacity(threads) <= most_held(threads)


def test_pace_starts_at_8_and_doubles_while_jobs_are_cheap() -> None:
    pace, limits = BatchSize(), []
    for _ in range(5):
        limits.append(pace.limit)
        pace.note(1e-6 * pace.limit, 0.001, pace.limit, pace.limit)
    assert limits == [FIRST_BATCH * 2**n for n in range(5)]


# CPU seconds of a job, the batch after many turns
COSTS = [(1.0, 1), (0.011, 1), (0.010, 1), (0.005, 2), (0.001, 10), (0.0001, 100), (1e-5, 1000)]


@pytest.mark.parametrize(("cost", "limit"), COSTS)
def test_a_batch_holds_10_ms_of_work(cost: float, limit: int) -> None:
    pace = BatchSize()
    for _ in range(100):
        pace.note(cost * pace.limit, 1.0, pace.limit, pace.limit)
    assert abs(pace.limit - limit) <= 1


# Seconds of the quickest trip, the batch of jobs of 1 ms
TRIPS = [(0.0, 10), (0.009, 10), (0.050, 50), (0.3, 300), (1.0, 1000), (30.0, 1000)]


@pytest.mark.parametrize(("trip", "limit"), TRIPS)
def test_far_from_redis_a_batch_holds_as_much_work_as_a_trip_takes(trip: float, limit: int) -> None:
    pace = BatchSize()
    for number in range(100):
        pace.note_trip(trip if number % 4 == 0 else trip + 60.0)  # others were held up
        pace.note(0.001 * pace.limit, 1.0, pace.limit, pace.limit)
    assert abs(pace.limit - limit) <= 1


def test_a_trip_of_long_ago_does_not_count() -> None:
    pace = BatchSize()
    for trip in [60.0] * 20 + [0.001]:
        pace.note_trip(trip)
        pace.note(0.001 * pace.limit, 1.0, pace.limit, pace.limit)
    assert abs(pace.limit - 10) <= 1


def test_a_job_that_costs_nothing_has_a_limit_too() -> None:
    pace = BatchSize()
    for _ in range(100):
        pace.note(0.0, 0.0, pace.limit, pace.limit)
    assert pace.limit <= 100_000


def test_work_of_turns_without_an_end_is_counted_when_the_job_ends() -> None:
    pace = BatchSize()
    for _ in range(10):
        pace.note(0.1, 0.1, 0, 0)
        assert pace.limit == FIRST_BATCH
    pace.note(0.0, 0.1, 0, 1)
    assert pace.limit == 1


def test_reserves_are_kept_only_for_fast_jobs_and_few_threads() -> None:
    idle, fast = BatchSize(), BatchSize()
    for _ in range(100):
        fast.note(0.001, 0.001, 1000, 1000)
    assert [idle.capacity(1), idle.capacity(63)] == [1, 63]
    assert [fast.capacity(1), fast.capacity(63)] == [65, 127]
    assert fast.capacity(PREFETCH_BELOW) == PREFETCH_BELOW
    for _ in range(100):
        fast.note(0.0, 0.01, 40, 40)  # 4,000 a second
    assert [fast.capacity(threads) for threads in (1, 10, 20)] == [21, 30, 20]
    for _ in range(100):
        fast.note(0.0, 1.0, 1, 1)
    assert fast.capacity(10) == 10


# Book


def a_job(slot: int | str, name: str = "ok", *args: Any, **kwargs: Any) -> tuple[bytes, str, bytes]:
    item = {"class": name, "args": [*args, {**kwargs, "_kwargs": True}] if kwargs else args}
    return str(slot).encode(), "q", json.dumps(item).encode()


def test_book_starts_from_the_totals_of_its_heritage() -> None:
    in_flight = InFlight(Totals(10, 6, 3, 1), Keys("resque"))
    assert in_flight.totals == Totals(10, 6, 3, 1)
    assert (in_flight.held, in_flight.running, list(in_flight.ready)) == (0, 0, [])
    assert (in_flight.ended, in_flight.settled) == ([], deque())


def test_book_gives_back_what_is_ready_the_last_one_first() -> None:
    in_flight = InFlight(Totals(), Keys("resque"))
    in_flight.ready.extend(a_job(number) for number in range(3))
    in_flight.held = 5
    assert in_flight.running == 2
    in_flight.give_back_ready()
    assert [job[:2] for job, _ in in_flight.settled] == [(b"2", "q"), (b"1", "q"), (b"0", "q")]
    assert in_flight.settled[0].effects == (Effect("requeue", "resque:queue:q", "q"),)
    assert in_flight.ended == [b"2", b"1", b"0"]
    assert (in_flight.requeued, in_flight.running, len(in_flight.ready)) == (3, 2, 0)
    assert in_flight.totals == Totals(0, 0, 0, 3)
    in_flight.give_back_ready()
    assert in_flight.requeued == 3


# Wakeup


@pytest.fixture
def wakeup() -> Wakeup:
    return Wakeup()


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.monotonic()
    return function(), time.monotonic() - start


def test_a_ring_before_the_wait_is_kept(wakeup: Wakeup) -> None:
    wakeup.set()
    assert wakeup.wait(None) is True
    assert wakeup.wait(0.0) is False, "and taken once"


@pytest.mark.parametrize("limit", [None, 20.0])
def test_a_ring_during_the_wait(wakeup: Wakeup, limit: float | None) -> None:
    gevent.spawn_later(0.01, wakeup.set)
    rung, took = timed(lambda: wakeup.wait(limit))
    assert rung is True
    assert took < 10


@pytest.mark.parametrize("limit", [0.0, 0.01, -1.0, 1e-9])
def test_a_timeout(wakeup: Wakeup, limit: float) -> None:
    gevent.sleep(0.001)  # the loop's clock, by which timers run, is that of its last turn
    rung, took = timed(lambda: wakeup.wait(limit))
    assert rung is False
    assert took >= limit * 0.5


def test_two_rings_are_one(wakeup: Wakeup) -> None:
    wakeup.set()
    wakeup.set()
    assert wakeup.wait(None) is True
    assert wakeup.wait(0.0) is False
    for times in (1, 2, 5):
        for _ in range(times):
            get_hub().loop.run_callback(wakeup.set)
        assert wakeup.wait(None) is True
    assert wakeup.wait(0.01) is False


def test_a_ring_while_the_waiter_is_woken_is_kept(wakeup: Wakeup) -> None:
    """Rung once, the waiter is on its way; whoever rings now may have come too late for it."""
    get_hub().loop.run_callback(wakeup.set)
    assert wakeup.wait(None) is True
    wakeup.set()
    assert wakeup.wait(0.0) is True


def test_a_ring_and_a_timeout_at_once_wake_once(wakeup: Wakeup) -> None:
    for _ in range(200):
        timer = get_hub().loop.timer(0.0005)
        timer.start(wakeup.set)
        wakeup.wait(0.0005)
        wakeup.wait(0.001)
        timer.close()
    wakeup.wait(0.0)
    assert wakeup.wait(0.005) is False
    gevent.sleep(0.001)


def test_a_late_ring_does_not_disturb_another_wait(wakeup: Wakeup) -> None:
    assert wakeup.wait(0.001) is False
    gevent.spawn(wakeup.set)
    _, took = timed(lambda: gevent.sleep(0.05))
    assert took > 0.025
    assert wakeup.wait(0.0) is True


def test_many_rings_and_waits(wakeup: Wakeup) -> None:
    rung = 0

    def ringer() -> None:
        nonlocal rung
        for _ in range(500):
            rung += 1
            wakeup.set()
            gevent.sleep(random.choice([0, 0, 0, 1e-4]))

    ringers = [gevent.spawn(ringer) for _ in range(4)]
    waits = 0
    while not all(ringer.ready() for ringer in ringers):
        wakeup.wait(0.001)
        waits += 1
    assert rung == 2000
    assert waits >= 500


# ThreadPool


class Shop:
    """A thread pool and what it has in flight, without a cycle."""

    def __init__(self, size: int, on_dirty_exit: str = "requeue") -> None:
        self.in_flight = InFlight(Totals(), Keys("resque"))
        self.wakeup = Wakeup()
        self.registry = Registry()
        self.outcome = Outcome(
            self.in_flight, FailureReporter("redis", Keys("resque")), "vm:1:q:1:1:1", on_dirty_exit
        )
        self.pool = ThreadPool(
            size, self.in_flight, self.wakeup, self.registry, self.outcome, [0] * size
        )
        self.add("ok", lambda *args, **kwargs: None)

    def add(self, name: str, function: Callable[..., Any], owner: Any = None, **more: Any) -> None:
        hooks = JobHooks(owner)
        self.registry.add(JobDefinition(name, "q", function, hooks=hooks, **more))

    def put(self, *jobs: tuple[bytes, str, bytes]) -> None:
        self.in_flight.ready.extend(jobs)
        self.in_flight.held += len(jobs)
        self.pool.wake_at = self.in_flight.held
        if not self.pool.waking:
            self.pool.wake_one()

    def run(self, *jobs: tuple[bytes, str, bytes]) -> None:
        """Put the jobs, and wait for their ends."""
        self.put(*jobs)
        self.until(lambda: len(self.in_flight.ended) == self.in_flight.held)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.wakeup.wait(0.002)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.in_flight.done, self.in_flight.failed, self.in_flight.requeued

    @property
    def entries(self) -> list[dict[str, Any]]:
        effects = [effect for each in self.in_flight.settled for effect in each.effects]
        failed = [effect for effect in effects if effect.kind == "fail"]
        assert {effect.key for effect in failed} <= {"resque:failed"}
        return [json.loads(effect.a) for effect in failed]


@pytest.fixture
def open_shop() -> Iterator[Callable[..., Shop]]:
    shops: list[Shop] = []

    def opened(size: int = 1, on_dirty_exit: str = "requeue") -> Shop:
        shops.append(Shop(size, on_dirty_exit))
        return shops[-1]

    yield opened
    for shop in shops:
        # Parked or in a job, each leaves for good: none is left to disturb the next test.
        gevent.killall(shop.pool.threads, block=False)
    gevent.sleep(0)


OpenShop = Callable[..., Shop]


@pytest.mark.parametrize("threads", [1, 2, 7, 100])
@pytest.mark.parametrize("jobs", [1, 2, 50])
def test_every_job_is_performed_once(open_shop: OpenShop, threads: int, jobs: int) -> None:
    shop, seen = open_shop(threads), []
    shop.add("see", lambda number, key: seen.append((number, key)))
    shop.run(*(a_job(number, "see", number, key=-number) for number in range(jobs)))
    assert sorted(seen) == [(number, -number) for number in range(jobs)]
    assert sorted(shop.in_flight.ended, key=int) == [str(number).encode() for number in range(jobs)]
    assert shop.counts == (jobs, 0, 0)
    assert shop.in_flight.running == 0
    assert shop.entries == []
    assert len(shop.pool.threads) <= min(threads, jobs)


@pytest.mark.parametrize("threads", [1, 10, 100])
def test_so_many_jobs_wait_at_once_as_there_are_threads(open_shop: OpenShop, threads: int) -> None:
    shop = open_shop(threads)
    running = most = 0

    def wait() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gevent.sleep(0.01)
        running -= 1

    shop.add("wait", wait)
    shop.run(*(a_job(number, "wait") for number in range(2 * threads)))
    assert most == threads
    assert shop.counts == (2 * threads, 0, 0)


def test_parked_threads_are_used_again(open_shop: OpenShop) -> None:
    shop = open_shop(5)
    for _ in range(20):
        shop.run(*(a_job(number) for number in range(10)))
    assert len(shop.pool.threads) <= 5
    assert shop.in_flight.done == 200


def test_jobs_start_in_the_order_of_the_queue(open_shop: OpenShop) -> None:
    shop, started = open_shop(3), []
    shop.add("start", lambda number: (started.append(number), gevent.sleep(0.001)))
    shop.run(*(a_job(number, "start", number) for number in range(20)))
    assert started == list(range(20))


def test_a_job_that_hogs_the_cpu_lets_the_loop_turn_after_it(open_shop: OpenShop) -> None:
    shop, turns = open_shop(1), 0

    def count() -> None:
        nonlocal turns
        turns += 1
        timer.start(count)

    timer = get_hub().loop.timer(0.001)
    timer.start(count)
    shop.add("hog", lambda: time.sleep(0.006))
    shop.run(*(a_job(number, "hog") for number in range(10)))
    timer.close()
    assert turns >= 8


# How jobs end


def fails_with(error: Any) -> Callable[..., None]:
    def fail(*args: Any) -> None:
        raise error

    return fail


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


# what is raised, the failure's exception and error
ERRORS: list[tuple[Any, str, str]] = [
    (ValueError("boom"), "ValueError", "boom"),
    (ValueError, "ValueError", ""),
    (Unprintable(), f"{__name__}.Unprintable", "<no message: ZeroDivisionError in __str__>"),
    (gevent.GreenletExit("x"), "greenlet.GreenletExit", "x"),
    (SystemExit(3), "SystemExit", "3"),
    (KeyboardInterrupt(), "KeyboardInterrupt", ""),
    (GeneratorExit(), "GeneratorExit", ""),
    (gevent.Timeout(5), "gevent.timeout.Timeout", "5 seconds"),
    (StopIteration(1), "StopIteration", "1"),
    (MemoryError(), "MemoryError", ""),
    (RecursionError("deep"), "RecursionError", "deep"),
    (BaseException("base"), "BaseException", "base"),
    (ExceptionGroup("group", [ValueError()]), "ExceptionGroup", "group (1 sub-exception)"),
    (JobKilled("own"), "DirtyExit", "Job was killed: own"),
    (JobKilled(), "DirtyExit", "Job was killed: it raised JobKilled itself"),
    (ValueError("\ud800"), "ValueError", "\\ud800"),
    (ValueError("x" * 20_000), "ValueError", "x" * 10_000),
]


@pytest.mark.parametrize(("error", "name", "text"), ERRORS, ids=[row[1] for row in ERRORS])
def test_whatever_a_job_raises_becomes_a_failure(
    open_shop: OpenShop, error: Any, name: str, text: str
) -> None:
    shop = open_shop(1)
    shop.add("fail", fails_with(error))
    shop.run(a_job(0, "fail", 1), a_job(1))
    assert shop.counts == (1, 1, 0)
    (entry,) = shop.entries
    assert (entry["exception"], entry["error"]) == (name, text)
    assert entry["payload"] == json.loads(a_job(0, "fail", 1)[2])
    assert (entry["worker"], entry["queue"]) == ("vm:1:q:1:1:1", "q")
    assert any("in `fail'" in line for line in entry["backtrace"])
    assert not any("gresque/worker/" in line for line in entry["backtrace"])


def test_a_timeout_of_its_own_is_the_jobs_error(open_shop: OpenShop) -> None:
    shop = open_shop(1)

    def slow() -> None:
        with gevent.Timeout(0.005):
            gevent.sleep(PATIENCE_SECONDS)

    shop.add("slow", slow)
    shop.run(a_job(0, "slow"), a_job(1))
    assert shop.counts == (1, 1, 0)
    assert shop.entries[0]["error"] == "0.005 seconds"


UNREADABLE = [
    b"", b"not json", b"\xff", b"[]", b"null", b"{}", b'{"class":5}', b'{"class":[]}',
    b'{"class":"ok","args":{}}', b'{"class":"ok","args":"text"}', b'{"class":"ok","kwargs":[]}',
    b'{"class":"ok","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"x" * (8 * 1024 * 1024 + 1),
]  # fmt: skip


@pytest.mark.parametrize("raw", UNREADABLE, ids=[f"{raw[:20]!r}" for raw in UNREADABLE])
def test_an_item_that_is_no_job_fails(open_shop: OpenShop, raw: bytes) -> None:
    shop = open_shop(1)
    shop.run((b"0", "q", raw), a_job(1))
    assert shop.counts == (1, 1, 0)
    (entry,) = shop.entries
    assert entry["exception"] in ("InvalidPayload", "PayloadTooLarge")


@pytest.mark.parametrize("hooks", [None, type("Hooks", (), {"after_perform": lambda: None})])
def test_a_job_that_returns_work_to_do_fails(open_shop: OpenShop, hooks: Any) -> None:
    async def send() -> None: ...

    shop = open_shop(1)
    shop.add("lazy", lambda: send(), hooks)
    shop.run(a_job(0, "lazy"), a_job(1))
    assert shop.counts == (1, 1, 0)
    (entry,) = shop.entries
    assert entry["exception"] == "InvalidJobResult"
    assert entry["error"].startswith("job lazy returned a coroutine, which nobody awaits")


def test_an_unknown_job_fails(open_shop: OpenShop) -> None:
    shop = open_shop(1)
    shop.run(a_job(0, "os.system", "true"), a_job(1))
    assert shop.counts == (1, 1, 0)
    assert shop.entries[0]["exception"] == "UnknownJob"
    assert "'os.system'" in shop.entries[0]["error"]


@pytest.mark.parametrize("args", [(), (1, 2), ("x",)])
def test_wrong_arguments_fail(open_shop: OpenShop, args: Any) -> None:
    shop = open_shop(1)
    shop.add("two", lambda one, *, two: None)
    shop.run(a_job(0, "two", *args))
    assert shop.counts == (0, 1, 0)
    assert shop.entries[0]["exception"] == "TypeError"


def test_skip_failed_queue_counts_and_leaves_no_entry(open_shop: OpenShop) -> None:
    shop = open_shop(1)
    shop.add("fail", fails_with(ValueError()), skip_failed_queue=True)
    shop.run(a_job(0, "fail"))
    assert (shop.counts, shop.entries) == ((0, 1, 0), [])


def test_hooks_run_around_the_job(open_shop: OpenShop) -> None:
    shop, told = open_shop(1), []

    class Hooks:
        def before_perform(*args: Any) -> None:
            if args == (1,):
                raise DontPerform

        def on_failure(error: Exception, *args: Any) -> None:
            told.append((error, args))
            raise ZeroDivisionError("an on_failure hook that fails itself")

    boom = ValueError("boom")
    shop.add("fail", fails_with(boom), Hooks)
    shop.run(a_job(0, "fail", 1), a_job(1, "fail", 2), a_job(2))
    assert told == [(boom, (2,))]
    assert shop.counts == (2, 1, 0)
    assert shop.entries[0]["error"] == "boom"


# Kills


def wait_long() -> None:
    gevent.sleep(PATIENCE_SECONDS)


@pytest.mark.parametrize("running", [1, 5, 100])
def test_kill_jobs_ends_every_job_that_runs(open_shop: OpenShop, running: int) -> None:
    shop = open_shop(running)
    shop.add("wait", wait_long)
    shop.put(*(a_job(number, "wait") for number in range(running)))
    shop.until(lambda: sum(thread.job is not None for thread in shop.pool.threads) == running)
    shop.pool.kill_jobs("an operator")
    shop.until(lambda: len(shop.in_flight.ended) == running)
    assert shop.counts == (0, running, 0)
    assert {entry["exception"] for entry in shop.entries} == {"DirtyExit"}
    assert {entry["error"] for entry in shop.entries} == {"Job was killed: an operator"}
    shop.run(*(a_job(running + number) for number in range(running)))
    assert shop.counts == (running, running, 0)


def test_kill_jobs_spares_what_does_not_run(open_shop: OpenShop) -> None:
    shop = open_shop(1)
    shop.add("wait", wait_long)
    shop.put(a_job(0, "wait"), a_job(1), a_job(2))
    shop.until(lambda: len(shop.in_flight.ready) == 2)
    shop.pool.kill_jobs("an operator")
    shop.until(lambda: len(shop.in_flight.ended) == 3)
    assert shop.in_flight.ended == [b"0", b"1", b"2"]
    assert shop.counts == (2, 1, 0)


def test_nobody_runs_nobody_is_killed(open_shop: OpenShop) -> None:
    shop = open_shop(3)
    shop.pool.kill_jobs("an operator")
    shop.run(a_job(0), a_job(1))
    shop.pool.kill_jobs("an operator")
    gevent.sleep(0.01)
    shop.run(a_job(2))
    assert shop.counts == (3, 0, 0)


@pytest.mark.parametrize(
    ("worker_wish", "job_wish", "counts"),
    [
        ("requeue", None, (0, 0, 1)),
        ("fail", None, (0, 1, 0)),
        ("requeue", "fail", (0, 1, 0)),
        ("fail", "requeue", (0, 0, 1)),
    ],
)
def test_a_shutdown_sends_jobs_where_they_want_to_go(
    open_shop: OpenShop, worker_wish: str, job_wish: Any, counts: Any
) -> None:
    shop = open_shop(1, worker_wish)
    shop.add("wait", wait_long, on_dirty_exit=job_wish)
    shop.put(a_job(0, "wait"))
    shop.until(lambda: shop.in_flight.running == 1 and not shop.in_flight.ready)
    shop.pool.kill_jobs("shutdown", requeue=True)
    shop.until(lambda: shop.in_flight.ended == [b"0"])
    assert shop.counts == counts
    kinds = [each.effects[0].kind for each in shop.in_flight.settled]
    assert kinds.count("requeue") == counts[2]
    assert len(shop.entries) == counts[1]


def test_a_kill_for_a_job_that_has_ended_hits_nobody(open_shop: OpenShop) -> None:
    """The kill waits for the loop; the job ends in the same turn, and its thread has the next."""
    shop = open_shop(1)
    seen: list[str] = []

    def first() -> None:
        get_hub().loop.run_callback(shop.pool.kill_jobs, "too late")
        gevent.sleep(0)  # comes back before the kill that is scheduled now
        seen.append("first")

    def second() -> None:
        gevent.sleep(0.01)
        seen.append("second")

    def killer() -> None:
        shop.pool.kill_jobs("too late")
        seen.append("killer")

    shop.add("first", first)
    shop.add("second", second)
    shop.add("killer", killer)
    shop.run(a_job(0, "killer"), a_job(1, "second"))
    assert seen == ["killer", "second"]
    assert shop.counts == (2, 0, 0)


def test_cleanup_runs_when_a_job_is_killed(open_shop: OpenShop) -> None:
    shop, seen = open_shop(1), []

    def careful() -> None:
        try:
            wait_long()
        except Exception:
            seen.append("swallowed")
        finally:
            seen.append("finally")

    shop.add("careful", careful)
    shop.put(a_job(0, "careful"))
    shop.until(lambda: shop.pool.threads[:1] != [] and shop.pool.threads[0].job is not None)
    shop.pool.kill_jobs("an operator")
    shop.until(lambda: len(shop.in_flight.ended) == 1)
    assert seen == ["finally"]
    assert shop.counts == (0, 1, 0)


def test_a_storm_of_kills_hits_only_who_runs(open_shop: OpenShop) -> None:
    count, size = 5000, 50
    shop = open_shop(size)
    began: list[int] = []
    finished: list[int] = []
    aimed: set[int] = set()
    by_slot: dict[bytes, int] = {}

    def short(number: int) -> None:
        began.append(number)
        for _ in range(number % 4):
            gevent.sleep(0)
        finished.append(number)

    shop.add("short", short)
    jobs = [a_job(number, "short", number) for number in range(count)]
    by_slot = {job[0]: number for number, job in enumerate(jobs)}
    storming, strikes = True, 0

    def storm() -> None:
        nonlocal strikes
        chance = random.Random(1)
        while storming:
            if chance.random() < 0.1:
                strikes += 1
                aimed.update(
                    by_slot[thread.job[0]] for thread in shop.pool.threads if thread.job is not None
                )
                shop.pool.kill_jobs("storm")
            gevent.sleep(0)

    stormer = gevent.spawn(storm)
    shop.run(*jobs)
    storming = False
    stormer.join()
    in_flight = shop.in_flight
    assert strikes > 3
    assert sorted(in_flight.ended, key=int) == [job[0] for job in jobs], "each ended once"
    assert sorted(began) == list(range(count))
    assert (in_flight.done, in_flight.failed) == (len(finished), count - len(finished))
    killed = {entry["payload"]["args"][0] for entry in shop.entries}
    assert len(shop.entries) == in_flight.failed > 0
    assert killed == set(range(count)) - set(finished)
    assert killed <= aimed
    assert not any(thread.dead for thread in shop.pool.threads)
    shop.run(*(a_job(count + number) for number in range(100)))
    assert in_flight.done == len(finished) + 100


def test_contextvars_do_not_pass_from_job_to_job(open_shop: OpenShop) -> None:
    shop, seen = open_shop(1), []
    user: ContextVar[str] = ContextVar("user", default="nobody")

    def job(name: str) -> None:
        seen.append(user.get())
        user.set(name)
        seen.append(user.get())

    shop.add("job", job)
    shop.run(a_job(0, "job", "ada"), a_job(1, "job", "bob"))
    assert seen == ["nobody", "ada", "nobody", "bob"]


# Critical sections


def test_a_kill_waits_for_the_end_of_the_outermost_section(open_shop: OpenShop) -> None:
    shop, seen = open_shop(1), []

    def guarded() -> None:
        with uninterruptible():
            with uninterruptible():
                gevent.sleep(0.05)
            gevent.sleep(0.05)
            seen.append("whole")
        seen.append("too far")

    shop.add("guarded", guarded)
    shop.put(a_job(0, "guarded"), a_job(1))
    shop.until(lambda: bool(shop.pool.words[0] & GUARDED))
    shop.pool.kill_jobs("an operator")
    shop.until(lambda: len(shop.in_flight.ended) == 2)
    assert seen == ["whole"]
    assert shop.counts == (1, 1, 0)
    assert shop.pool.words[0] == 2  # the next job's slot, not guarded


def test_a_section_that_was_never_left_guards_no_later_job(open_shop: OpenShop) -> None:
    shop = open_shop(1)
    left: list[Any] = []

    def leaves() -> None:
        left.append(uninterruptible())
        left[0].__enter__()

    shop.add("leaves", leaves)
    shop.add("wait", wait_long)
    shop.put(a_job(0, "leaves"), a_job(1, "wait"))
    shop.until(lambda: shop.in_flight.ended == [b"0"])
    shop.pool.kill_jobs("an operator")
    shop.until(lambda: len(shop.in_flight.ended) == 2)
    assert shop.counts == (1, 1, 0)


def test_outside_a_worker_a_section_does_nothing() -> None:
    with uninterruptible():
        pass


# Scoreboard


def test_the_scoreboard_shows_which_slot_a_thread_runs(open_shop: OpenShop) -> None:
    shop = open_shop(2)
    shop.add("wait", wait_long)
    shop.put(a_job(3, "wait"), a_job(0, "wait"))
    shop.until(lambda: sum(thread.job is not None for thread in shop.pool.threads) == 2)
    assert sorted(shop.pool.words) == [1, 4]
    shop.pool.kill_jobs("an operator")
    shop.until(lambda: len(shop.in_flight.ended) == 2)


# What ended threads for good, once


@pytest.mark.parametrize("args", [b"5", b"true", b"1.5", b'"x"', b"{}"])
def test_args_that_are_no_list_cost_one_job(open_shop: OpenShop, args: bytes) -> None:
    shop = open_shop(1)
    shop.run((b"0", "q", b'{"class":"ok","args":' + args + b"}"), a_job(1))
    assert shop.counts == (1, 1, 0)


@pytest.mark.parametrize(
    "error",
    [gevent.Timeout(1), gevent.GreenletExit(), SystemExit(1), JobKilled("x")],
    ids=lambda error: type(error).__name__,
)
def test_a_hook_may_raise_anything(open_shop: OpenShop, error: BaseException) -> None:
    shop = open_shop(1)
    hooks = type("Hooks", (), {"on_failure": fails_with(error)})
    shop.add("fail", fails_with(ValueError()), hooks)
    shop.run(a_job(0, "fail"), a_job(1))
    assert shop.counts == (1, 1, 0)


def hostile(base: type[BaseException]) -> BaseException:
    """An exception that raises whatever is asked of it."""

    def no(*args: Any) -> Any:
        raise gevent.GreenletExit

    asked = ["__str__", "__repr__", "__getattribute__", "__bool__", "__eq__", "__hash__"]
    properties = ["__context__", "__cause__", "__traceback__", "__class__", "__notes__", "args"]
    body = dict.fromkeys(asked, no) | dict.fromkeys(properties, property(no))
    return type("Hostile", (base,), body)()


@pytest.mark.parametrize("base", [Exception, BaseException, JobKilled, gevent.GreenletExit])
@pytest.mark.parametrize("in_hook", [True, False])
def test_an_exception_that_raises_whatever_is_asked(
    open_shop: OpenShop, base: type[BaseException], in_hook: bool
) -> None:
    shop = open_shop(1)
    hooks = type("Hooks", (), {"on_failure": fails_with(hostile(base))}) if in_hook else None
    shop.add("fail", fails_with(hostile(base)), hooks)
    shop.run(a_job(0, "fail"), a_job(1))
    assert shop.counts == (1, 1, 0)
    (entry,) = shop.entries
    assert entry["exception"] in (f"{__name__}.Hostile", "DirtyExit")
    assert "<no message: greenlet.GreenletExit in __str__>" in entry["error"]


def test_a_message_that_never_comes_is_ended_by_a_kill(open_shop: OpenShop) -> None:
    class Waits(Exception):
        def __str__(self) -> str:
            gevent.sleep(PATIENCE_SECONDS)
            return ""

    shop = open_shop(1)
    shop.add("fail", fails_with(Waits()))
    shop.put(a_job(0, "fail"))
    shop.until(lambda: not shop.in_flight.ready and shop.pool.threads[0].job is not None)
    shop.pool.kill_jobs("an operator")
    shop.until(lambda: shop.in_flight.ended == [b"0"])
    assert shop.counts == (0, 1, 0)
    assert shop.entries[0]["error"] == "<no message: JobKilled in __str__>"


def test_a_timeout_that_a_job_left_behind_hurts_no_thread(open_shop: OpenShop) -> None:
    shop = open_shop(2)
    left: list[Any] = []
    shop.add("leaves", lambda *args: left.append(gevent.Timeout.start_new(0.01)))
    shop.run(a_job(0, "leaves"))
    gevent.sleep(0.05)  # it goes off while the thread is parked
    shop.run(a_job(1), a_job(2))
    assert shop.counts == (3, 0, 0)


def test_a_job_that_raises_the_kill_of_a_shutdown_itself_fails(open_shop: OpenShop) -> None:
    shop = open_shop(1)
    shop.add("fail", fails_with(JobKilled("shutdown")))
    shop.run(a_job(0, "fail"))
    assert shop.counts == (0, 1, 0)


def test_a_killed_job_whose_finally_raises_goes_back_all_the_same(open_shop: OpenShop) -> None:
    def wait() -> None:
        try:
            gevent.sleep(60)
        finally:
            raise ValueError("on the way out")

    shop = open_shop(1)
    shop.add("wait", lambda *args: wait())
    shop.put(a_job(0, "wait"))
    shop.until(lambda: shop.in_flight.running == 1 and not shop.in_flight.ready)
    shop.pool.kill_jobs("shutdown", requeue=True)
    shop.until(lambda: shop.in_flight.ended == [b"0"])
    assert shop.counts == (0, 0, 1)


def test_of_several_cut_short_the_first_is_the_first_again(open_shop: OpenShop) -> None:
    shop = open_shop(3)
    shop.add("wait", wait_long)
    shop.put(*(a_job(n, "wait") for n in range(3)))
    shop.until(lambda: shop.in_flight.running == 3 and not shop.in_flight.ready)
    shop.pool.kill_jobs("shutdown", requeue=True)
    shop.until(lambda: len(shop.in_flight.ended) == 3)
    # The script pushes them to the head one by one: the last one comes first.
    assert [each.job[0] for each in shop.in_flight.settled] == [b"2", b"1", b"0"]


# Memory


def references(thing: object) -> int:
    """Of others than the caller's variable and the call itself."""
    return sys.getrefcount(thing) - 3


@pytest.mark.parametrize("ending", ["done", "failed", "hooks", "killed", "spawned", "timeout"])
def test_a_parked_thread_keeps_nothing_of_its_last_job(open_shop: OpenShop, ending: str) -> None:
    class Owner:
        def on_failure_keep(error: BaseException, text: str) -> None:
            seen.append(text)

    def perform(text: str) -> None:
        seen.append(text)
        marked.set(text)
        if ending == "spawned":
            gevent.spawn(int).join()
        if ending in ("failed", "hooks"):
            raise ValueError(text)
        if ending == "killed":
            with uninterruptible():
                gevent.sleep(0.01)
            gevent.sleep(60)

    seen: list[str] = []
    marked: ContextVar[str] = ContextVar("marked")
    shop = open_shop(3)
    timeout = {"timeout_seconds": 60} if ending == "timeout" else {}
    shop.add("large", perform, Owner if ending == "hooks" else None, **timeout)
    jobs = [a_job(number, "large", f"{number}" * 5000) for number in range(3)]
    shop.put(*jobs)
    if ending == "killed":
        shop.until(lambda: len(seen) == 3)
        shop.pool.kill_jobs("for the test")
    shop.until(lambda: len(shop.in_flight.ended) == 3)
    shop.in_flight.settled.clear()  # as the turn does that settles them
    gc.collect()
    # A kill is thrown again after half a second, unless it has landed.
    shop.until(lambda: all(references(job) == 1 for job in jobs))
    assert len(shop.pool.parked) == len(shop.pool.threads)
    for job in jobs:
        assert references(job) == 1, "the list of the test"
        assert references(job[2]) == 1, "the job"
    for text in {id(text): text for text in seen}.values():
        assert references(text) == sum(text is each for each in seen) + 1, "those of the test"


def test_a_job_may_print_the_greenlet_that_it_runs_in() -> None:
    pool: Any = None
    assert repr(WorkerThread(pool, 3)) == "<WorkerThread 3>"
