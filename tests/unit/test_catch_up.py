"""A server that goes back to an earlier state, and how it is brought up to date."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gresque.connection.scripts import script
from gresque.queue_list import QueueList
from gresque.store.effects import failed, pushed, put_off, requeued
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.worker.turns import history
from gresque.worker.turns.catch_up import MOST_SLOTS, CatchUp
from gresque.worker.turns.history import History
from gresque.worker.turns.in_flight import ReservedJob, Settled
from gresque.worker.turns.served_lists import ServedLists
from tests.support.ledgers import read_ledger
from tests.support.snapshot import Snapshot
from tests.support.turn_processes import SLOTS, LastingProcess

FAILED, QUEUE = "resque:failed", "resque:queue:a"


class Place:
    """One process at work on queue `a`, and its server."""

    def __init__(self, url: str, client: redis.Redis, number: int = 1) -> None:
        self.redis = client
        self.store = Store(url, "resque")
        self.process = LastingProcess(url, self.store, number)
        self.cycle, self.in_flight = self.process.cycle, self.process.in_flight
        keys = self.store.keys
        self.cycle.lists = ServedLists(keys, QueueList.parse("a,b"))  # without caps
        self.ledger = keys.ledger(self.process.name)
        client.hset(self.ledger, "state", "0 0 0 0 0 0")
        client.zadd(keys.ledgers, {self.process.name: 1})

    def push(self, *raws: str) -> None:
        self.redis.rpush(QUEUE, *raws)

    def turn(self, want: int = 0, **options: Any) -> None:
        self.cycle.turn(want, **options)
        self.process.running += self.in_flight.ready
        self.in_flight.ready.clear()

    def take(self, raw: str) -> ReservedJob:
        (job,) = [job for job in self.process.running if job[2] == raw.encode()]
        self.process.running.remove(job)
        return job

    def fail(self, *raws: str) -> None:
        for raw in raws:
            self.in_flight.fail(self.take(raw), failed(FAILED, b"entry of " + raw.encode()))

    def done(self, *raws: str) -> None:
        for raw in raws:
            self.in_flight.ended.append(self.take(raw)[0])
            self.in_flight.done += 1

    def give_back(self, *raws: str) -> None:
        for raw in raws:
            self.in_flight.put_back(self.take(raw))

    def retry(self, *raws: str, delay_ms: int = 60_000) -> None:
        """In a while, or at once."""
        for raw in raws:
            job, again = self.take(raw), raw.encode() + b" again"
            keys = self.store.keys
            effect = put_off("later", keys, "a", delay_ms, raw, again)
            self.in_flight.put_off_job(job, effect if delay_ms else pushed(keys, "a", again))

    @property
    def later(self) -> dict[str, float]:
        """Member -> due time."""
        keys = self.store.keys
        found = dict(self.redis.zrange(keys.later, 0, -1, withscores=True))
        assert self.redis.hkeys(keys.later_jobs) == list(found)
        return {member.decode(): due for member, due in found.items()}

    @property
    def held(self) -> list[str]:
        found = read_ledger(self.store, self.process.name).entries.values()
        return sorted(entry.raw.decode() for entry in found)

    @property
    def failed(self) -> list[str]:
        return [raw.decode().removeprefix("entry of ") for raw in self.redis.lrange(FAILED, 0, -1)]

    @property
    def waiting(self) -> list[str]:
        return [raw.decode() for raw in self.redis.lrange(QUEUE, 0, -1)]

    @property
    def effects(self) -> tuple[Any, ...]:
        """What turns have brought about, but for jobs in their queue: those that were taken in
        forgotten turns stand there still, and run again."""
        return Counter(self.failed), self.counted, self.held

    @property
    def counted(self) -> tuple[int, int]:
        processed, failed = self.redis.mget("resque:stat:processed", "resque:stat:failed")
        return int(processed or 0), int(failed or 0)

    def check_totals(self) -> None:
        reserved, *ended = read_ledger(self.store, self.process.name).totals
        assert reserved == sum(ended) + len(self.held)
        assert tuple(ended) == self.in_flight.totals[1:]
        assert self.redis.hget(self.ledger, "state").startswith(b"%d " % self.cycle.number)


@pytest.fixture
def place(redis_url: str, redis_client: redis.Redis) -> Iterator[Place]:
    place = Place(redis_url, redis_client)
    yield place
    place.process.line.close()
    place.store.close()


def test_every_way_out_of_the_ledger_is_gone_again(place: Place) -> None:
    place.push(*"12345678")
    place.turn(5)
    before = Snapshot(place.redis)
    place.fail("1")
    place.done("2")
    place.give_back("3")
    place.turn(0)
    place.fail("4")
    place.turn(2)  # takes 3 again, and 6
    before.restore(place.redis)
    assert (place.failed, place.counted, place.held) == ([], (0, 0), list("12345"))
    place.done("6")
    place.turn(0)
    assert place.failed == ["1", "4"]
    assert place.counted == (4, 2)
    assert place.held == ["3", "5"]
    assert place.waiting == ["3", "6", "7", "8"], "reserved in the forgotten turns: they run again"
    place.check_totals()


def test_a_retry_waits_once_and_for_no_longer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its delay goes on from where it was when the server forgot it."""
    place.push("1", "2", "3")
    place.turn(2)
    before = Snapshot(place.redis)
    place.retry("1")
    place.retry("2", delay_ms=0)
    place.turn(1)
    due = place.later
    assert place.waiting == ["2 again"]
    place.retry("3")
    place.turn(0)
    assert place.later.keys() == {"1", "3"}
    for seconds in (20, 40):
        before.restore(place.redis)
        monkeypatch.setattr(
            history.time, "monotonic", lambda s=seconds, now=time.monotonic: now() + s
        )
        at = place.store.now()
        place.turn(0)
        monkeypatch.undo()
        left = place.later["1"] / 1000 - at
        assert 60 - seconds - 5 < left <= 60 - seconds + 1
        assert place.later.keys() == due.keys(), "of 3 the reservation is forgotten, too"
        assert place.waiting == ["3", "2 again"]
        assert place.redis.get("resque:stat:retried") == b"3"
        place.check_totals()


def test_the_same_server_again_loses_nothing(place: Place) -> None:
    """It forgets the turns, is brought up to date, and forgets that, too."""
    place.push("1", "2")
    place.turn(2)
    before = Snapshot(place.redis)
    place.fail("1")
    place.turn(0)
    for _ in range(3):
        before.restore(place.redis)
        place.turn(0)
        assert (place.failed, place.counted, place.held) == (["1"], (1, 1), ["2"])
        place.check_totals()


def test_a_call_that_arrives_twice_or_late_does_nothing(place: Place) -> None:
    place.push(*"1234")
    place.turn(4)
    before = Snapshot(place.redis)
    place.fail("1")
    place.turn(0)
    place.give_back("2")
    place.turn(0)
    before.restore(place.redis)
    calls: list[tuple[Any, ...]] = []
    run = place.process.line.run

    def twice(found: Any, keys: int, *arguments: Any) -> Any:
        if found is not script("catch_up"):
            return run(found, keys, *arguments)
        answer = run(found, keys, *arguments)
        after = Snapshot(place.redis)
        for call in [*calls, (found, keys, *arguments)]:
            assert run(*call) == answer
        assert Snapshot(place.redis)._values == after._values
        calls.append((found, keys, *arguments))
        return answer

    place.process.line.run = twice  # type: ignore[method-assign]
    place.turn(0)
    assert len(calls) == 2
    assert (place.failed, place.waiting, place.held) == (["1"], ["2"], ["3", "4"])


@pytest.mark.parametrize("loss", ["", "request", "reply"])
@pytest.mark.parametrize("call", range(3))
def test_one_to_five_turns_are_forgotten_at_each_step(place: Place, loss: str, call: int) -> None:
    """Of the turn that finds it out, the call that closes the gap, or the turn that is sent again
    after that, the request or the reply is lost. Each effect is there once, no job is missing, and
    the number of the turns rises."""
    names = [str(number) for number in range(40)]
    place.push(*names)
    place.turn(SLOTS)
    moments, done = [Snapshot(place.redis)], set[str]()
    for turn in range(5):
        fails, gives_back, retries, ends = (job[2].decode() for job in place.process.running[:4])
        place.fail(fails)
        place.give_back(gives_back)
        place.retry(retries, delay_ms=60_000 if turn % 2 else 0)
        place.done(ends)
        done.add(ends)
        place.turn(4)
        moments.append(Snapshot(place.redis))
        effects = place.effects
        for back in range(1, turn + 2):
            moments[-1 - back].restore(place.redis)
            number = place.cycle.number
            place.process.line.loss, place.process.line.skip = loss, call
            place.turn(0)
            assert place.cycle.number > number
            place.process.line.loss = ""
            assert place.effects == effects
            place.check_totals()
            found = {*place.waiting, *place.failed, *place.later, *place.held, *done}
            assert {raw.removesuffix(" again") for raw in found} == set(names)
            retried = Counter(raw for raw in place.waiting if raw.endswith("again"))
            assert max(retried.values(), default=0) <= 1
        moments[-1].restore(place.redis)


def test_another_server_is_promoted_after_any_call(place: Place) -> None:
    """Each call is followed by one more fail-over, to a server that knows as much as one of those
    before it."""
    place.push(*(str(number) for number in range(10)))
    place.turn(6)
    moments = [Snapshot(place.redis)]
    for raw in "012":
        place.fail(raw)
        place.turn(0)
    place.give_back("3")
    place.turn(0)
    moments[0].restore(place.redis)
    run = place.process.line.run
    answered = 0

    def forgetful(found: Any, keys: int, *arguments: Any) -> Any:
        nonlocal answered
        answer = run(found, keys, *arguments)
        if found is script("catch_up"):
            answered += 1
            moments.append(Snapshot(place.redis))
            if answered in (1, 2, 4):
                moments[answered // 2].restore(place.redis)
        return answer

    place.process.line.run = forgetful  # type: ignore[method-assign]
    place.turn(0)
    assert place.failed == ["0", "1", "2"]
    assert place.waiting == ["3", "6", "7", "8", "9"]
    assert place.held == ["4", "5"]
    assert place.counted == (3, 3)
    place.check_totals()


def test_a_server_that_has_forgotten_the_process_knows_it_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """All that it failed and gave back is there, and counts as what it did."""
    place.push(*"1234")
    place.turn(4)
    place.fail("1")
    place.done("2")
    place.turn(0)
    place.give_back("3")
    place.turn(0)
    place.redis.flushdb()
    place.turn(0)
    assert (place.failed, place.waiting, place.held) == (["1"], ["3"], ["4"])
    assert place.counted == (2, 1)
    place.check_totals()
    assert "lost the ledger" in caplog.text


def test_a_ledger_that_was_deleted_is_no_lost_server(place: Place) -> None:
    """Nothing that stands elsewhere is pushed or counted once more."""
    place.push(*"1234")
    place.turn(4)
    place.fail("1")
    place.give_back("2")
    place.turn(0)
    place.redis.delete(place.ledger)
    place.turn(0)
    assert (place.failed, place.waiting, place.held) == (["1"], ["2"], ["3", "4"])
    assert place.counted == (1, 1)
    place.check_totals()


def test_a_process_that_was_declared_dead_is_not_revived(place: Place) -> None:
    from gresque.errors import Fenced

    place.turn(0)
    place.redis.delete(place.ledger)
    place.redis.zadd("resque:fenced", {place.process.name: 1})
    with pytest.raises(Fenced):
        place.turn(0)


def test_a_retry_that_is_refused_is_sent_again(place: Place) -> None:
    """It counts as held until then, and as one attempt after."""
    place.push("1", "2")
    place.turn(2)
    place.redis.set("resque:later:jobs", "of another program")
    place.retry("1")
    place.done("2")
    place.turn()
    assert (place.held, len(place.cycle.refused)) == (["1"], 1)
    assert place.redis.get("resque:stat:retried") is None
    assert place.redis.hget(place.ledger, "state") == b"2!1 2 1 0 0 0"
    place.redis.delete("resque:later:jobs")
    place.turn(retry=True)
    assert (place.held, place.later.keys(), len(place.cycle.refused)) == ([], {"1"}, 0)
    assert place.redis.get("resque:stat:retried") == b"1"
    place.check_totals()


def test_what_is_refused_meanwhile_stays_held(place: Place) -> None:
    place.push(*"123")
    place.turn(3)
    before = Snapshot(place.redis)
    place.fail("1", "2")
    place.turn(0)
    before.restore(place.redis)
    place.redis.set(FAILED, "x")
    place.turn(0)
    assert place.held == ["1", "2", "3"]
    assert place.counted == (0, 0)
    place.check_totals()
    place.redis.delete(FAILED)
    place.turn(0, retry=True)
    assert (place.failed, place.held, place.counted) == (["1", "2"], ["3"], (2, 2))
    place.check_totals()


def test_turns_that_are_not_kept_any_more_run_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What became of their jobs is not known: rather twice than not at all."""
    monkeypatch.setattr(history, "KEPT_BYTES", 20)
    place.push(*"1234")
    place.turn(4)
    before = Snapshot(place.redis)
    place.give_back("1")
    place.done("2")
    place.turn(0)
    place.fail("3")
    place.turn(0)
    place.cycle._session.keep([Settled((b"9", "a", b"x" * 30), (failed(FAILED, b""),))])
    before.restore(place.redis)
    place.turn(0)
    assert sorted(place.waiting) == ["1", "2", "3"]
    assert place.held == ["4"]
    assert "some may be missing" in caplog.text
    assert "should Redis fail over now" in caplog.text


def test_those_whose_slots_are_taken_by_now_run_again_as_well(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT_BYTES", 1)
    place.push(*"1234")
    place.turn(2)
    before = Snapshot(place.redis)
    place.fail("1", "2")
    place.turn(1)
    place.turn(1)
    before.restore(place.redis)
    place.turn(0)
    assert place.held == ["3", "4"]
    assert {"1", "2"} <= set(place.waiting)
    place.check_totals()


def test_a_state_that_is_none_is_written_anew(place: Place) -> None:
    place.push("1", "2")
    place.turn(2)
    place.redis.hset(place.ledger, "state", "rubbish")
    place.fail("1")
    place.turn(0)
    assert (place.failed, place.held) == (["1"], ["2"])
    place.check_totals()


def test_a_process_that_leaves_finds_out(place: Place) -> None:
    """Unregistering says so, though the ledger is empty."""
    place.push("1")
    before = Snapshot(place.redis)
    place.turn(1)
    place.fail("1")
    place.turn(0)
    before.restore(place.redis)
    keys, name = place.store.keys, place.process.name

    def unregister() -> Any:
        return place.process.line.run(
            script("unregister"), 6,
            keys.ledgers, place.ledger, keys.running(name), keys.commands(name), keys.processes,
            keys.vitals, name, place.cycle.number,
        )  # fmt: skip

    assert unregister() == 1
    place.turn(0)
    assert place.failed == ["1"]
    assert unregister() == 0
    assert not place.redis.exists(place.ledger)


# Large


def test_a_turn_settles_as_many_jobs_as_fit_into_its_arguments(place: Place) -> None:
    count = 1400
    place.cycle._slots.free = [b"%d" % slot for slot in range(count)]
    place.push(*(str(number) for number in range(count)))
    place.turn(count)
    raws = [job[2].decode() for job in place.process.running]
    place.give_back(*raws[:10])
    place.fail(*raws[10:])
    turns = 0
    before = Snapshot(place.redis)
    while place.in_flight.held:
        place.turn(0)
        turns += 1
    assert turns == 3
    before.restore(place.redis)
    place.turn(0)
    assert sorted(map(int, place.failed + place.waiting)) == list(range(count))
    assert place.counted == (count - 10, count - 10)
    place.check_totals()


def test_many_slots_take_many_calls() -> None:
    keys, slots = Keys("resque"), 2 * MOST_SLOTS + 5
    held = [(b"%d" % slot, b"1:ax") for slot in range(0, slots, 3)]
    catch_up = CatchUp(keys, History(), 7, Totals(), held, slots, unknown=False)
    word, calls = b"5", []
    while (call := catch_up.next_call(word)) is not None:
        word = call.to
        calls.append(call)
    assert [call.to for call in calls] == [b"5~1800", b"5~3600", b"7"]
    assert all(len(call.arguments) < 3900 for call in calls)
    big = [(b"%d" % slot, b"1:a" + b"x" * (9 << 20)) for slot in range(4)]
    call = CatchUp(keys, History(), 7, Totals(), big, 4, unknown=False).next_call(b"5")
    assert call is not None
    assert call.to == b"5~2"


def test_history_is_kept_for_30_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(history.time, "monotonic", lambda: now)
    kept, job = History(), (b"0", "a", b"x")
    kept.keep(1, [Settled(job, (failed(FAILED, b"e"),))])
    now += history.KEPT_SECONDS + 1
    assert [turn.number for turn in kept.after(0)] == [1], "not while nothing happens: an outage"
    kept.keep(5, [Settled(job, (requeued(Keys("resque"), "a"),))])
    assert [turn.number for turn in kept.after(0)] == [5]
    assert kept.complete_after == 1
