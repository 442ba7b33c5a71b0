"""Counts of jobs in flight: they follow the entries of the ledgers, whatever happens to those."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.jobs.registry import Registry
from gresque.processes.spec import DeadProcess
from gresque.store.effects import failed
from gresque.store.keys import Keys
from gresque.store.ledger import (
    COUNTED,
    COUNTED_BOTH,
    COUNTED_OWN,
    IN_ALL,
    IN_OWN,
    UNCOUNTED,
    write_entry,
)
from gresque.worker.recovery import BATCH, Recovery
from tests.support.ledgers import counted, counts
from tests.support.snapshot import Snapshot
from tests.support.turn_processes import WORKER
from tests.unit.test_catch_up import FAILED, QUEUE, Place

KEYS = Keys("resque")
ALL, OWN = KEYS.inflight, KEYS.inflight_of(WORKER)


class CountingPlace(Place):
    """Its jobs are counted as soon as they are reserved."""

    def reserve(self, *flags: bytes) -> None:
        """A turn that reserves one job for each flag."""
        ready = self.in_flight.ready
        self.cycle.turn(len(flags))
        assert len(ready) == len(flags)
        for job, flag in zip(ready, flags, strict=True):
            slot, queue, raw = job
            if flag == UNCOUNTED:
                continue
            self.in_flight.counted[slot] = flag, queue
            key = KEYS.queue(queue).encode()
            self.redis.hset(self.ledger, slot, write_entry(key, raw, flag))  # type: ignore[arg-type]
            for counter in self._counters(flag):
                self.redis.hincrby(counter, queue, 1)
        self.process.running += ready
        ready.clear()
        self.check()

    @staticmethod
    def _counters(flag: bytes) -> list[str]:
        return [ALL] * (flag in IN_ALL) + [OWN] * (flag in IN_OWN)

    def end(self, raw: str) -> None:
        self.in_flight.done += 1
        self.in_flight.ended.append(self.take(raw)[0])

    def fail_counted(self, raw: str) -> None:
        self.in_flight.fail(self.take(raw), failed(FAILED, raw.encode()))

    def check(self) -> None:
        assert counts(self.store) == counted(self.store)


@pytest.fixture
def place(redis_url: str, redis_client: redis.Redis) -> Iterator[CountingPlace]:
    place = CountingPlace(redis_url, redis_client)
    yield place
    place.process.line.close()
    place.store.close()


FLAGS = (COUNTED, COUNTED_OWN, COUNTED_BOTH, UNCOUNTED)


def test_a_job_that_is_settled_is_counted_off(place: CountingPlace) -> None:
    place.push(*"12345")
    place.reserve(*FLAGS, COUNTED)
    assert counts(place.store) == {ALL: {"a": 3}, OWN: {"a": 2}}
    for raw in "1234":
        place.end(raw)
    place.fail_counted("5")
    place.turn(0)
    assert (place.held, place.failed) == ([], ["5"])
    assert counts(place.store) == {}
    place.check_totals()


def test_a_process_says_itself_what_counts_until_a_server_forgets_a_turn(
    place: CountingPlace,
) -> None:
    """Then what it holds may have been counted off when the server was brought up to date."""
    announced = []
    run = place.process.line.run

    def noted_run(found: Any, keys: int, *arguments: Any) -> Any:
        if found is script("cycle"):
            announced.append(str(arguments[keys + 15]))
        return run(found, keys, *arguments)

    place.push(*"12345")
    place.reserve(COUNTED, COUNTED_BOTH, COUNTED, COUNTED, COUNTED)
    place.process.line.run = noted_run  # type: ignore[method-assign]
    place.end("1")
    place.end("2")
    place.turn(0)
    before = Snapshot(place.redis)
    place.end("3")
    place.turn(0)
    assert announced == ["1 2/1", "1 1/0"]
    before.restore(place.redis)
    announced.clear()
    place.end("4")
    place.turn(0)
    assert (announced[0], announced[-1]) == ("1 1/0", "1")
    assert counts(place.store) == {ALL: {"a": 1}}
    place.check()


def test_a_turn_that_is_sent_again_counts_off_once(place: CountingPlace) -> None:
    place.push(*"123")
    place.reserve(COUNTED, COUNTED, COUNTED)
    place.end("1")
    place.process.line.loss = "reply"
    place.turn(0)
    assert counts(place.store) == {ALL: {"a": 2}}


def test_a_job_that_stays_in_its_slot_stays_counted(place: CountingPlace) -> None:
    place.push(*"12")
    place.reserve(COUNTED_BOTH, COUNTED)
    place.redis.set(FAILED, "no list")
    place.fail_counted("1")
    place.end("2")
    place.turn(0)
    assert (place.held, counts(place.store)) == (["1"], {ALL: {"a": 1}, OWN: {"a": 1}})
    place.check()
    place.redis.delete(FAILED)
    place.turn(0, retry=True)
    assert (place.failed, counts(place.store)) == (["1"], {})


def test_who_found_the_queue_full_is_told_once_a_turn(place: CountingPlace, redis_url: str) -> None:
    place.push(*"123")
    place.reserve(COUNTED_BOTH, COUNTED, UNCOUNTED)
    waiting = TrackedConnection(redis_url, "resque")
    waiting.connect()
    waiting.call(b"GET", KEYS.freed("a"))
    place.end("3")
    place.turn(0)
    waiting.call(b"PING")
    assert not waiting.invalidated
    for raw in "12":
        place.end(raw)
    place.turn(0)
    waiting.call(b"PING")  # what was to be announced came before this reply
    assert waiting.invalidated == [KEYS.freed("a").encode()]
    assert not place.redis.exists(KEYS.freed("a"))
    waiting.close()


@pytest.mark.parametrize("broken", ["a string", "no number", "too low"])
def test_a_broken_counter_stops_no_job(
    place: CountingPlace, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    place.push(*"12")
    place.reserve(COUNTED, COUNTED)
    if broken == "a string":
        place.redis.set(ALL, "x")
    elif broken == "no number":
        place.redis.hset(ALL, "a", "many")
    else:
        place.redis.hset(ALL, "a", 1)
    place.end("1")
    place.end("2")
    place.turn(0)
    assert place.held == []
    (logged,) = caplog.messages
    assert ALL in logged
    if broken == "too low":
        assert "counts from 0 again" in logged
        assert not place.redis.exists(ALL)
    place.check_totals()


# Recovery

DEAD = DeadProcess(f"{WORKER}:1:1764000000000", "it was killed by SIGKILL", None, blameless=False)


@pytest.mark.parametrize("on_dirty_exit", ["requeue", "fail"])
@pytest.mark.parametrize("max_recoveries", [1, 3])
def test_what_a_dead_process_held_is_counted_off(
    place: CountingPlace, on_dirty_exit: str, max_recoveries: int
) -> None:
    """Given back, failed, as a suspect, as poison, or not to be read as a job at all."""
    items = [f'{{"class":"A","args":[{number}]}}' for number in range(3)]
    place.push(*items, "no job")
    place.reserve(*FLAGS[:3], COUNTED)
    recoveries = [Recovery(place.store, Registry(), on_dirty_exit, max_recoveries) for _ in "12"]
    recoveries[0].recover(DEAD)
    assert counts(place.store) == counted(place.store) == {}
    recoveries[1].recover(DEAD)
    assert counts(place.store) == {}


def test_two_that_recover_a_ledger_at_once_count_off_once(place: CountingPlace) -> None:
    place.push(*"1234")
    place.reserve(COUNTED, COUNTED_BOTH, COUNTED, UNCOUNTED)
    place.redis.hincrby(ALL, "a", 10)  # those of other processes
    recovery = Recovery(place.store, Registry(), "requeue", max_recoveries=3)
    held = place.store.recovery.fence(DEAD.process_id)
    moves = [recovery._move(DEAD, "noon", slot, entry) for slot, entry in held.entries.items()]
    counting = recovery._counting(DEAD.process_id, held.entries.values())
    assert counting == (WORKER, ["a"])
    place.store.recovery.move(DEAD.process_id, moves[:2], counting)
    assert counts(place.store) == {ALL: {"a": 11}}
    for _ in range(2):
        place.store.recovery.move(DEAD.process_id, moves, counting)
        assert counts(place.store) == {ALL: {"a": 10}}
    recovery.recover(DEAD)
    assert counts(place.store) == {ALL: {"a": 10}}


def test_counted_jobs_of_very_many_queues(place: CountingPlace) -> None:
    """More than the keys of one call: no job is left, and none stays counted."""
    names = [f"q{number}" for number in range(1500)]
    entries = {
        str(slot): write_entry(KEYS.queue(name).encode(), b"x", COUNTED)
        for slot, name in enumerate(names)
    }
    place.redis.hset(place.ledger, mapping=entries)  # type: ignore[arg-type]
    place.redis.hset(ALL, mapping=dict.fromkeys(names, 1))  # type: ignore[arg-type]
    Recovery(place.store, Registry(), "requeue", max_recoveries=3).recover(DEAD)
    assert counts(place.store) == counted(place.store) == {}
    assert not place.redis.keys("resque:freed:*")
    assert place.redis.llen(KEYS.queue("q1499"))


def test_many_counted_jobs_take_several_calls(place: CountingPlace) -> None:
    place.redis.hset(
        place.ledger,
        mapping={str(slot): b"14#" + QUEUE.encode() + b"x" for slot in range(BATCH)},  # type: ignore[dict-item]
    )
    for counter in (ALL, OWN):
        place.redis.hset(counter, "a", BATCH)
    Recovery(place.store, Registry(), "requeue", max_recoveries=3).recover(DEAD)
    assert counts(place.store) == {}
    assert place.redis.llen(QUEUE) == BATCH


def test_who_found_the_queue_full_is_told_by_a_recovery(
    place: CountingPlace, redis_url: str
) -> None:
    place.push(*"12")
    place.reserve(COUNTED_BOTH, COUNTED)
    waiting = TrackedConnection(redis_url, "resque")
    waiting.connect()
    waiting.call(b"GET", KEYS.freed("a"))
    Recovery(place.store, Registry(), "requeue", max_recoveries=3).recover(DEAD)
    waiting.call(b"PING")
    assert waiting.invalidated == [KEYS.freed("a").encode()]
    assert not place.redis.exists(KEYS.freed("a"))
    waiting.close()


def test_a_job_that_a_recovery_cannot_move_stays_counted(place: CountingPlace) -> None:
    place.push(*"12")
    place.reserve(COUNTED, COUNTED_OWN)
    place.redis.set(QUEUE, "no list")
    Recovery(place.store, Registry(), "requeue", max_recoveries=3).recover(DEAD)
    assert counts(place.store) == {ALL: {"a": 1}, OWN: {"a": 1}}
    place.check()


def test_a_broken_counter_stops_no_recovery(
    place: CountingPlace, caplog: pytest.LogCaptureFixture
) -> None:
    place.push(*"12")
    place.reserve(COUNTED, COUNTED)
    place.redis.set(ALL, "x")
    Recovery(place.store, Registry(), "requeue", max_recoveries=3).recover(DEAD)
    assert sorted(place.waiting) == ["1", "2"]
    assert any(f"{ALL} is not a hash" in message for message in caplog.messages)


# A server that has forgotten turns


def test_a_server_that_forgets_turns_counts_as_its_ledger_does(place: CountingPlace) -> None:
    place.push(*"12345678")
    place.reserve(COUNTED, COUNTED_BOTH, COUNTED, COUNTED_OWN, UNCOUNTED)
    before = Snapshot(place.redis)
    place.fail_counted("1")
    place.end("2")
    place.end("4")
    place.turn(0)
    place.reserve(COUNTED_BOTH, COUNTED)
    now = counts(place.store)
    before.restore(place.redis)
    place.check()
    place.end("3")
    place.turn(0)  # finds the gap
    place.check()
    assert now == {ALL: {"a": 3}, OWN: {"a": 1}}
    assert counts(place.store) == {ALL: {"a": 2}, OWN: {"a": 1}}
    for raw in "567":
        place.end(raw)
    place.turn(0)
    assert counts(place.store) == {}
    place.check_totals()


def test_a_server_that_is_empty_counts_what_is_held(place: CountingPlace, redis_url: str) -> None:
    place.push(*"12345")
    place.reserve(*FLAGS, COUNTED)
    place.end("1")
    place.fail_counted("5")
    place.redis.flushall()
    place.turn(0)
    place.check()
    assert (place.held, place.failed) == (["2", "3", "4"], ["5"])
    assert counts(place.store) == {ALL: {"a": 1}, OWN: {"a": 2}}


def test_where_only_the_ledger_is_gone_its_jobs_are_counted_still(place: CountingPlace) -> None:
    place.push(*"123")
    place.reserve(COUNTED, COUNTED_BOTH, UNCOUNTED)
    place.redis.delete(place.ledger)
    place.end("1")
    place.turn(0)
    place.check()
    assert counts(place.store) == {ALL: {"a": 1}, OWN: {"a": 1}}


def test_what_goes_back_from_an_old_server_is_counted_off(
    place: CountingPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turns are forgotten here, too: it is not known what became of the jobs."""
    monkeypatch.setattr("gresque.worker.turns.history.KEPT_BYTES", 0)
    place.push(*"123")
    place.reserve(COUNTED_BOTH, COUNTED, UNCOUNTED)
    before = Snapshot(place.redis)
    place.fail_counted("1")
    place.end("2")
    place.turn(0)
    before.restore(place.redis)
    place.turn(0)
    place.check()
    assert (place.held, place.waiting, counts(place.store)) == (["3"], ["1", "2"], {})


def test_a_job_that_a_server_refuses_to_move_again_is_not_counted(place: CountingPlace) -> None:
    place.push("1")
    place.reserve(COUNTED)
    before = Snapshot(place.redis)
    place.fail_counted("1")
    place.turn(0)
    before.restore(place.redis)
    place.redis.set(FAILED, "no list")
    place.turn(0)
    place.check()
    assert (place.held, counts(place.store)) == (["1"], {})
    place.redis.delete(FAILED)
    place.turn(0, retry=True)
    assert (place.failed, place.held, counts(place.store)) == (["1"], [], {})


def test_entries_are_counted_by_their_list(place: CountingPlace) -> None:
    """Those of suspects for their queue, and those of other programs for none."""
    jobs = {
        "0": b"21+resque:suspects:1:a:bx", "1": b"21@resque:suspects:2:a:bx",
        "2": b"14+other1:queue:ax", "3": b"13+resque:queue:x", "4": b"14+resque:queue",
        "5": b"16#resque:queue:a\n\xffx",
    }  # fmt: skip
    keys = [KEYS.workers, "s", KEYS.ledgers, "new", KEYS.heartbeats, KEYS.fenced, KEYS.processes]
    arguments = [WORKER, "now", "p", "now", 1, "0 0 0 0 0", "", 0, "0 0 0 0 0"]
    flat = [part for job in jobs.items() for part in job]
    place.redis.eval(script("revive").text, 9, *keys, ALL, OWN, *arguments, *flat)
    assert place.redis.hgetall(ALL) == {b"a:b": b"1", b"a\n\xff": b"1"}
    assert place.redis.hgetall(OWN) == {b"a:b": b"1", b"a\n\xff": b"1"}
