"""What is known of tracked jobs, on a server that goes back to an earlier state."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis

from gresque.store.effects import failed, noted, put_off
from gresque.worker.turns.in_flight import Settled
from tests.support.snapshot import Snapshot
from tests.unit.test_catch_up import FAILED, Place


@pytest.fixture
def place(redis_url: str, redis_client: redis.Redis) -> Iterator[Place]:
    place = Place(redis_url, redis_client)
    yield place
    close(place)


def close(place: Place) -> None:
    place.process.line.close()
    place.store.close()


def settle(place: Place, raw: str, state: str, ended: int) -> None:
    """The job ends in this turn, with a state that says when."""
    job, keys = place.take(raw), place.store.keys
    effect = noted(keys, raw, state, b'{"ended":%d}' % ended, 60_000)
    if state == "failed":
        place.in_flight.fail(job, failed(FAILED, b"entry of " + raw.encode()), effect)
    elif state == "retrying":
        place.in_flight.put_off_job(job, put_off("later", keys, "a", 60_000, raw, b"again"), effect)
    else:
        place.in_flight.done += 1
        place.in_flight.settled.append(Settled(job, (effect,)))
    place.turn()


def known(place: Place, raw: str) -> tuple[str, int] | None:
    state, details = place.redis.hmget(place.store.keys.job(raw), "s", "d")
    if state is None:
        return None
    return state.decode(), int(re.sub(rb"\D", b"", details or b"") or 0)


def test_a_result_of_forgotten_turns_is_there_again(place: Place) -> None:
    place.push("1", "2", "3")
    for raw in "123":
        place.redis.hset(place.store.keys.job(raw), "s", "queued")
    place.turn(3)
    before = Snapshot(place.redis)
    for raw, state in (("1", "done"), ("2", "failed"), ("3", "retrying")):
        settle(place, raw, state, 5)
    before.restore(place.redis)
    assert known(place, "1") == ("queued", 0)
    place.turn()
    assert [known(place, raw) for raw in "123"] == [("done", 5), ("failed", 5), ("retrying", 5)]
    assert 0 < place.redis.pttl(place.store.keys.job("1")) <= 60_000
    assert (place.failed, [*place.later], place.held) == (["2"], ["3"], [])
    place.check_totals()


def test_a_job_that_runs_again_has_no_result_before(place: Place) -> None:
    """Its reservation is forgotten, and so it waits in its queue."""
    place.push("1", "2")
    for raw in "12":
        place.redis.hset(place.store.keys.job(raw), "s", "queued")
    before = Snapshot(place.redis)
    place.turn(2)
    settle(place, "1", "done", 5)
    settle(place, "2", "failed", 5)
    before.restore(place.redis)
    place.turn()
    assert [known(place, raw) for raw in "12"] == [("queued", 0)] * 2
    assert place.waiting == ["1", "2"]


def test_a_job_whose_push_is_forgotten_too_has_its_end(place: Place) -> None:
    """It will not run again, so those who wait for it must hear what became of it."""
    before = Snapshot(place.redis)
    place.push("1", "2", "3")
    place.turn(3)
    settle(place, "1", "done", 5)
    settle(place, "2", "failed", 5)
    settle(place, "3", "retrying", 5)
    before.restore(place.redis)
    place.turn()
    assert [known(place, raw) for raw in "123"] == [("done", 5), ("failed", 5), None]
    assert 0 < place.redis.pttl(place.store.keys.job("1")) <= 60_000
    assert not place.later


@pytest.mark.parametrize("older_first", [True, False])
def test_of_a_server_that_lost_everything_the_later_end_counts(
    place: Place, redis_url: str, older_first: bool
) -> None:
    """A job failed in one process, was retried by hand, and is done in another one."""
    other = Place(redis_url, place.redis, 2)
    place.push("1")
    place.turn(1)
    settle(place, "1", "failed", 5)
    place.push("1")
    other.turn(1)
    settle(other, "1", "done", 6)
    place.redis.flushdb()
    for each in (place, other) if older_first else (other, place):
        each.turn()
    assert known(place, "1") == ("done", 6)
    assert place.failed == ["1"]
    close(other)


def test_a_retry_by_hand_after_the_gap_stays(place: Place) -> None:
    place.push("1")
    place.turn(1)
    before = Snapshot(place.redis)
    settle(place, "1", "failed", 5)
    before.restore(place.redis)
    place.turn()
    assert known(place, "1") == ("failed", 5)
    place.redis.delete(FAILED)  # retried by hand
    place.redis.hset(place.store.keys.job("1"), mapping={"s": "queued", "d": "{}"})
    place.push("1")
    after = Snapshot(place.redis)
    place.turn(1)
    after.restore(place.redis)
    place.turn()
    assert known(place, "1") == ("queued", 0)
    assert (place.waiting, place.failed) == (["1"], [])
