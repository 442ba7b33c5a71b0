"""The locks of unique jobs, from the turn of a process that starts and ends their jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gresque.jobs import payload
from gresque.jobs.ends import Attempt, End, EndedJob, EndRules, effects_of
from gresque.jobs.retry_policy import Again
from gresque.store.ledger import LedgerEntry, parse_entry
from gresque.store.store import Store
from gresque.worker.turns.in_flight import ReservedJob
from tests.support.turn_processes import Process
from tests.support.worker_scripts import run

DIGEST = "0123456789abcdef" * 2
LOCK, WAITING = f"resque:unique:{DIGEST}", f"resque:unique:{DIGEST}:waiting"
LATER, JOBS = "resque:later", "resque:later:jobs"


def job_id(number: int) -> str:
    return f"{0x19A0000000 + number:012x}7000" + "8" + "0" * 15


def job(number: int, mode: str, *more: str, args: tuple[Any, ...] = ()) -> bytes:
    mark = {"unique": [DIGEST, mode, *more]}
    return payload.encode("Sync", args or (number,), None, job_id(number), envelope=mark)


class Bench:
    """Processes without threads, and what stands in Redis."""

    def __init__(self, url: str, store: Store, client: redis.Redis) -> None:
        self.url, self.store, self.client = url, store, client
        self.rules = EndRules(store.keys)

    def process(self, number: int) -> Process:
        made = Process(self.url, self.store, number)
        keys = self.store.keys
        run(
            self.client, "register",
            [keys.workers, keys.worker_started("w"), keys.ledgers, keys.ledger(made.name),
             keys.heartbeats, keys.processes, keys.masters],
            "w", "now", made.name, "now", 1764000000000, "0 0 0 0 0", "machine 7",
        )  # fmt: skip
        return made

    def reserve(self, process: Process, *raws: bytes) -> list[ReservedJob]:
        """Push and reserve these; they have met a thread, which found what they need."""
        if raws:
            self.client.rpush("resque:queue:a", *raws)
        process.cycle.turn(6)
        ready = process.in_flight.ready
        found = [ready.popleft() for _ in range(len(ready))]
        ready.extend(each for each in found if not process.in_flight.waits_for_start(each))
        return found

    def start(self, process: Process) -> list[ReservedJob]:
        assert process.cycle.starter.start()
        ready = process.in_flight.ready
        found = [ready.popleft() for _ in range(len(ready))]
        assert not any(process.in_flight.waits_for_start(each) for each in found)
        process.running += found
        return found

    def end(self, process: Process, each: ReservedJob, end: End = End.DONE) -> None:
        process.running.remove(each)
        in_flight = process.in_flight
        if end is End.DONE:
            in_flight.done += 1
            in_flight.ended.append(each[0])
        elif end is End.CUT_SHORT:
            ended = EndedJob(each[1], each[2])
            in_flight.put_back(each, *effects_of(ended, end, None, self.rules).effects)
        else:
            ended = EndedJob(each[1], each[2])
            ending = effects_of(ended, end, None, self.rules, lambda way, raw: b"entry")
            in_flight.fail(each, *ending.effects)
        process.cycle.turn(0)

    def lock(self, number: int, mode: str, **fields: Any) -> None:
        ours = {"id": job_id(number), "mode": mode, "queue": "a", "class": "Sync", "ttl": 600_000}
        self.client.hset(LOCK, mapping=ours | fields)
        self.client.pexpire(LOCK, 600_000)

    @property
    def held(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.client.hgetall(LOCK).items()}

    @property
    def queue(self) -> list[bytes]:
        return self.client.lrange("resque:queue:a", 0, -1)

    @property
    def waiting(self) -> list[str]:
        return [each.decode() for each in self.client.zrange(WAITING, 0, -1)]


@pytest.fixture
def bench(redis_url: str, store: Store, redis_client: redis.Redis) -> Iterator[Bench]:
    return Bench(redis_url, store, redis_client)


def test_a_lock_that_a_server_has_again_goes_with_the_job(bench: Bench) -> None:
    """A replica that lags has forgotten the start of a job of mode `queued`. Its lock would drop
    every trigger to come."""
    one = bench.process(1)
    bench.lock(1, "queued")
    bench.reserve(one, job(1, "queued"))
    (each,) = bench.start(one)
    assert not bench.held
    bench.lock(1, "queued")
    bench.end(one, each)
    assert not bench.held


def test_a_queued_job_gives_up_its_lock_before_it_runs(bench: Bench) -> None:
    one = bench.process(1)
    bench.lock(1, "queued")
    (reserved,) = bench.reserve(one, job(1, "queued"))
    assert one.in_flight.starting == [reserved] and bench.held
    assert bench.start(one) == [reserved]
    assert not bench.held
    bench.lock(2, "queued")  # a trigger that comes while it runs
    bench.end(one, reserved)
    assert bench.held["id"] == job_id(2)
    assert one.in_flight.totals.done == 1


@pytest.mark.parametrize("end", [End.DONE, End.FAILED, End.KILLED, End.TIMED_OUT, End.UNKNOWN])
def test_a_lock_for_the_whole_time_goes_with_the_job(bench: Bench, end: End) -> None:
    one = bench.process(1)
    bench.lock(1, "both")
    (reserved,) = bench.reserve(one, job(1, "both"))
    assert not one.in_flight.starting  # no trip
    one.running.append(one.in_flight.ready.popleft())
    bench.end(one, reserved, end)
    assert not bench.held
    totals = one.in_flight.totals
    assert (totals.done, totals.failed) == ((1, 0) if end is End.DONE else (0, 1))
    assert bench.client.hlen(f"resque:ledger:{one.name}") == 1


def test_a_shutdown_leaves_it_the_lock(bench: Bench) -> None:
    one = bench.process(1)
    bench.lock(1, "both")
    (reserved,) = bench.reserve(one, job(1, "both"))
    one.running.append(one.in_flight.ready.popleft())
    bench.end(one, reserved, End.CUT_SHORT)
    assert bench.held["id"] == job_id(1) and bench.queue == [job(1, "both")]


def put_off(bench: Bench, process: Process, each: ReservedJob, seconds: float) -> None:
    attempt = Attempt("E", "no", 1.8e9, Again(seconds, counts=True))
    ending = effects_of(EndedJob(each[1], each[2]), End.FAILED, None, bench.rules, None, attempt)
    process.in_flight.put_off_job(each, *ending.effects)


@pytest.mark.parametrize("ttl", [60_000, 7_200_000])
def test_a_lock_outlives_the_wait_for_another_attempt_by_its_own_time(
    bench: Bench, ttl: int
) -> None:
    """And by an hour at least."""
    one = bench.process(1)
    bench.lock(1, "both", ttl=ttl)
    (reserved,) = bench.reserve(one, job(1, "both"))
    one.in_flight.ready.clear()
    put_off(bench, one, reserved, 1000.0)
    one.cycle.turn(0)
    expected = 1_000_000 + max(ttl, 3_600_000)
    assert expected - 5_000 < bench.client.pttl(LOCK) <= expected


@pytest.mark.parametrize("end", [End.DONE, End.FAILED])
def test_the_next_run_gets_the_lock_and_goes_to_the_queue(bench: Bench, end: End) -> None:
    one = bench.process(1)
    bench.lock(1, "both", again=job(2, "both"), again_id=job_id(2), first=5)
    (reserved,) = bench.reserve(one, job(1, "both"))
    one.running.append(one.in_flight.ready.popleft())
    bench.end(one, reserved, end)
    assert bench.queue == [job(2, "both")]
    held = bench.held
    assert int(held.pop("since")) / 1000 == pytest.approx(bench.store.now(), abs=5)
    assert held == {
        "id": job_id(2), "mode": "both", "queue": "a", "class": "Sync", "ttl": "600000",
    }  # fmt: skip
    assert 500_000 < bench.client.pttl(LOCK) <= 600_000
    (following,) = bench.reserve(one)
    one.running.append(one.in_flight.ready.popleft())
    bench.end(one, following)
    assert not bench.held and not bench.queue


def test_a_next_run_that_may_be_replaced_says_so_in_the_lock(bench: Bench) -> None:
    one = bench.process(1)
    following = job(2, "both", "replace")
    bench.lock(1, "both", again=following, again_id=job_id(2))
    (reserved,) = bench.reserve(one, job(1, "both", "replace"))
    bench.start(one)
    bench.end(one, reserved)
    assert bench.held["replace"] == "1"


def test_a_next_run_that_its_queue_refuses_stays_in_the_lock(bench: Bench) -> None:
    one = bench.process(1)
    bench.lock(1, "both", again=job(2, "both"), again_id=job_id(2))
    (reserved,) = bench.reserve(one, job(1, "both"))
    one.running.append(one.in_flight.ready.popleft())
    bench.client.set("resque:queue:a", "no list")
    bench.end(one, reserved)
    assert bench.held["again"] == job(2, "both").decode()
    assert bench.client.pttl(LOCK) > 80_000_000
    assert bench.client.hlen(f"resque:ledger:{one.name}") == 1


@pytest.mark.parametrize("mode", ["queued", "both"])
@pytest.mark.parametrize("loss", ["", "request", "reply"])
def test_the_latest_arguments_run(bench: Bench, mode: str, loss: str) -> None:
    """They stand in the ledger before they leave the lock, and are found there when the answer was
    lost."""
    one = bench.process(1)
    old, new = job(1, mode, "replace"), job(1, mode, "replace", args=("new",))
    bench.lock(1, mode, replace=1, payload=new)
    bench.client.pexpire(LOCK, 10**11)
    (reserved,) = bench.reserve(one, old)
    changed: list[tuple[ReservedJob, ReservedJob]] = []
    one.cycle.starter.on_replaced = lambda *jobs: changed.append(jobs)
    one.line.loss = loss
    (started,) = bench.start(one)
    assert started == (reserved[0], "a", new)
    assert changed == [(reserved, started)]
    entry = bench.client.hget(f"resque:ledger:{one.name}", started[0])
    assert parse_entry(entry)._replace(flag=b"") == LedgerEntry(b"resque:queue:a", new, b"")
    left = {"id", "mode", "queue", "class", "ttl"}
    assert bench.held.keys() == (set() if mode == "queued" else left)
    assert bench.client.pttl(LOCK) <= 600_000
    bench.end(one, started)
    assert not bench.held and not bench.queue


def test_a_job_whose_lock_is_gone_runs_all_the_same(bench: Bench) -> None:
    one = bench.process(1)
    (reserved,) = bench.reserve(one, job(1, "queued", "replace"))
    assert bench.start(one) == [reserved]


def test_of_running_jobs_one_at_a_time_in_their_order(bench: Bench) -> None:
    one, two = bench.process(1), bench.process(2)
    bench.reserve(one, job(1, "running"), job(3, "running"))
    bench.reserve(two, job(2, "running"), job(4, "running"))
    (first,) = bench.start(one)
    assert bench.held["id"] == job_id(1) and bench.held["by"] == f"{one.name} {first[0].decode()}"
    assert bench.start(two) == []
    for process in (one, two):
        process.cycle.turn(0)
        assert process.in_flight.held == len(process.running)
    assert bench.waiting == [job_id(2), job_id(3), job_id(4)]
    now = bench.store.now() * 1000
    dues = bench.client.zrange(LATER, 0, -1, withscores=True)
    # Should no end ever call them, they come one by one, and not before a minute is over.
    minutes = sorted(round((due - now) / 60_000) for _, due in dues)
    assert minutes[0] == 1 and minutes[-1] > 1
    bench.end(one, first)
    for number in (2, 3, 4):
        assert bench.queue == [job(number, "running")]
        assert bench.held["id"] == job_id(number) and "by" not in bench.held
        assert 50_000 < bench.client.pttl(LOCK) <= 60_000
        bench.reserve(two)
        (started,) = bench.start(two)
        assert started[2] == job(number, "running")
        assert bench.client.pttl(LOCK) > 80_000_000
        bench.end(two, started)
    assert not bench.client.exists(LOCK, WAITING, LATER, JOBS)


def test_a_later_job_does_not_overtake_the_one_that_was_called(bench: Bench) -> None:
    one, two = bench.process(1), bench.process(2)
    bench.reserve(one, job(1, "running"))
    (first,) = bench.start(one)
    bench.reserve(two, job(2, "running"))
    bench.start(two)
    two.cycle.turn(0)
    bench.reserve(two, job(3, "running"))  # it waits in the process
    bench.end(one, first)
    assert bench.start(two) == []
    two.cycle.turn(0)
    assert bench.waiting == [job_id(3)]
    bench.reserve(one)
    assert [each[2] for each in bench.start(one)] == [job(2, "running")]


def test_a_lock_that_was_freed_meanwhile_calls_the_job_at_once(bench: Bench) -> None:
    """The holder ends between the answer to the start and the turn that puts the other one off. In
    a burst no process may be left to promote it."""
    one, two = bench.process(1), bench.process(2)
    bench.reserve(one, job(1, "running"))
    (first,) = bench.start(one)
    bench.reserve(two, job(2, "running"))
    assert bench.start(two) == []
    bench.end(one, first)
    assert not bench.held
    two.cycle.turn(0)
    assert bench.queue == [job(2, "running")]
    assert not bench.client.exists(WAITING, LATER, JOBS)


def test_jobs_of_one_millisecond_wait_in_the_order_in_which_they_came(bench: Bench) -> None:
    one, two = bench.process(1), bench.process(2)
    same = [job_id(7)[:16] + f"{place:016x}" for place in (9, 4, 7, 1)]
    mark = {"unique": [DIGEST, "running"]}
    raws = [payload.encode("Sync", (), None, each, envelope=mark) for each in same]
    bench.reserve(one, job(1, "running"))
    bench.start(one)
    for raw in raws:  # each of them is put off by a turn of its own
        bench.reserve(two, raw)
        assert bench.start(two) == []
        two.cycle.turn(0)
    assert bench.waiting == same


def test_one_that_is_to_be_killed_does_not_wait_for_its_lock(bench: Bench) -> None:
    one = bench.process(1)
    bench.reserve(one, job(1, "running"), job(2, "running"), job(3, "running"))
    asked = []

    def end_second(each: ReservedJob) -> bool:
        asked.append(each[2])
        return len(asked) == 1 and not one.in_flight.fail(each)

    one.cycle.starter.on_locked_out = end_second
    bench.start(one)
    assert asked == [job(2, "running"), job(3, "running")]
    one.cycle.turn(0)
    assert bench.waiting == [job_id(3)] and bench.client.hlen(JOBS) == 1
    assert one.in_flight.totals.failed == 1


def test_the_same_job_twice_runs_once_at_a_time(bench: Bench) -> None:
    one, two = bench.process(1), bench.process(2)
    bench.reserve(one, job(1, "running"))
    (first,) = bench.start(one)
    bench.reserve(two, job(1, "running"))
    assert bench.start(two) == []
    two.cycle.turn(0)
    bench.end(one, first)
    assert bench.queue == [job(1, "running")]
    bench.reserve(two)
    assert len(bench.start(two)) == 1


@pytest.mark.parametrize("loss", ["request", "reply"])
def test_a_start_that_is_sent_again_says_the_same(bench: Bench, loss: str) -> None:
    one = bench.process(1)
    bench.reserve(one, job(1, "running"), job(2, "running"))
    one.line.loss = loss
    (first,) = bench.start(one)
    assert first[2] == job(1, "running")
    one.cycle.turn(0)
    assert bench.waiting == [job_id(2)]


@pytest.mark.parametrize("end", [End.CUT_SHORT, End.FAILED])
def test_one_that_goes_back_or_fails_calls_the_next(bench: Bench, end: End) -> None:
    one = bench.process(1)
    bench.reserve(one, job(1, "running"), job(2, "running"))
    (first,) = bench.start(one)
    one.cycle.turn(0)
    bench.end(one, first, end)
    back = [job(1, "running")] if end is End.CUT_SHORT else []
    assert bench.queue == [job(2, "running"), *back]
    assert bench.held["id"] == job_id(2)


def test_what_was_started_and_is_given_back_unrun_calls_the_next(bench: Bench) -> None:
    one = bench.process(1)
    (first, second) = bench.reserve(one, job(1, "running"), job(2, "running"))
    assert bench.start(one) == [first]
    one.running.clear()
    one.in_flight.ready.append(first)
    one.in_flight.give_back_ready()
    one.cycle.turn(0)
    assert bench.held["id"] == job_id(2)
    assert [payload.id_of(raw) for raw in bench.queue] == [job_id(2), job_id(1)]
    assert not bench.waiting and one.in_flight.held == 0
    assert second[2] in bench.queue


def test_what_waits_for_its_start_is_given_back_with_its_lock(bench: Bench) -> None:
    one = bench.process(1)
    bench.lock(1, "queued")
    bench.reserve(one, job(1, "queued"))
    one.in_flight.give_back_ready()
    one.cycle.turn(0)
    assert bench.queue == [job(1, "queued")] and bench.held["id"] == job_id(1)


def test_a_process_that_is_dead_starts_nothing(bench: Bench) -> None:
    one = bench.process(1)
    bench.lock(1, "queued")
    bench.reserve(one, job(1, "queued"))
    bench.store.recovery.fence(one.name)
    assert not one.cycle.starter.start()
    assert bench.held and one.in_flight.starting


def test_a_lock_of_another_type_lets_a_queued_job_run_and_no_running_one(bench: Bench) -> None:
    one = bench.process(1)
    bench.client.set(LOCK, "x")
    bench.reserve(one, job(1, "queued"), job(2, "running"))
    assert [each[2] for each in bench.start(one)] == [job(1, "queued")]
    one.cycle.turn(0)
    assert bench.client.zrange(LATER, 0, -1) == [job_id(2).encode()]


def test_four_hundred_at_once(bench: Bench) -> None:
    one = bench.process(1)
    one.in_flight.starting = [(b"%d" % n, "a", job(n, "queued")) for n in range(900)]
    for left in (500, 100, 0):
        assert one.cycle.starter.start()
        assert len(one.in_flight.starting) == left
    assert [each[0] for each in one.in_flight.ready][:1] == [b"800"]


@pytest.mark.parametrize("forgets_start", [False, True])
def test_a_server_that_forgets_the_start_loses_no_job(bench: Bench, forgets_start: bool) -> None:
    """The slot holds the payload from before the start again, and the job went to `later`."""
    one = bench.process(1)
    ledger = f"resque:ledger:{one.name}"
    old, new = job(1, "both", "replace"), job(1, "both", "replace", args=("new",))
    bench.lock(1, "both", replace=1, payload=new)
    bench.reserve(one, old)
    before = bench.client.dump(ledger)
    (started,) = bench.start(one)
    if not forgets_start:
        before = bench.client.dump(ledger)
    one.running.clear()
    put_off(bench, one, started, 60.0)
    one.cycle.turn(0)
    bench.client.delete(LATER, JOBS, ledger)
    bench.client.restore(ledger, 0, before)
    one.cycle.turn(0)
    (entry,) = bench.client.hvals(JOBS)
    assert b'"args":["new"]' in entry
    assert bench.client.hlen(ledger) == 1
