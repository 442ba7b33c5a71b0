"""The lease of the maintenance processes: one has it, others try, a successor has it at once."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import redis

from gresque.maintenance import lease as module
from gresque.maintenance.lease import (
    LEASE_SECONDS,
    OFFER_SECONDS,
    RENEW_SECONDS,
    SPREAD_SECONDS,
    Lease,
)
from gresque.store.store import Store
from tests.support.registered import KEYS, Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def holder(client: redis.Redis) -> bytes | None:
    return client.get(KEYS.maintenance)


def test_one_has_it_and_renews_it(store: Store, redis_client: redis.Redis, clock: Clock) -> None:
    one, other = Lease("one"), Lease("other")
    assert one.due(clock.now) <= 0
    one.run(store)
    other.run(store)
    assert (one.held, other.held, holder(redis_client)) == (True, False, b"one")
    assert one.due(clock.now) == pytest.approx(RENEW_SECONDS)
    assert LEASE_SECONDS / 2 <= other.due(clock.now) <= LEASE_SECONDS + SPREAD_SECONDS
    redis_client.pexpire(KEYS.maintenance, 100)
    one.run(store)
    assert redis_client.pttl(KEYS.maintenance) > 2000
    assert one.held


def test_others_try_when_it_would_expire(
    store: Store, redis_client: redis.Redis, clock: Clock
) -> None:
    """So it is taken over soon after the death of its holder, and asked for seldom."""
    Lease("one").run(store)
    redis_client.pexpire(KEYS.maintenance, 4000)
    other = Lease("other")
    other.run(store)
    assert 1.5 <= other.due(clock.now) <= 4.0 + SPREAD_SECONDS


def test_of_many_masters_each_tries_seldom(
    store: Store, redis_client: redis.Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda least, most: most)
    Lease("one").run(store)
    other = Lease("other")
    for masters, longest in ((3, 0.4), (4, 0.4), (100, 10.0)):
        redis_client.delete(KEYS.masters)
        redis_client.hset(KEYS.masters, mapping={f"m{n}": "then" for n in range(masters)})
        other.run(store)
        left = redis_client.pttl(KEYS.maintenance) / 1000
        assert other.due(clock.now) == pytest.approx(left + longest, abs=1.0)
    redis_client.delete(KEYS.masters)
    redis_client.set(KEYS.masters, "another program's")
    other.run(store)
    assert other.due(clock.now) < 6.0


def test_it_is_taken_over_when_it_has_expired(store: Store, redis_client: redis.Redis) -> None:
    one, other = Lease("one"), Lease("other")
    one.run(store)
    redis_client.delete(KEYS.maintenance)
    other.run(store)
    one.run(store)
    assert (one.held, other.held, holder(redis_client)) == (False, True, b"other")


def test_one_that_leaves_lets_another_take_it_at_once(
    store: Store, redis_client: redis.Redis
) -> None:
    one, other = Lease("one"), Lease("other")
    one.run(store)
    one.release(store)
    assert holder(redis_client) is None
    other.run(store)
    one.release(store)
    assert other.held
    assert holder(redis_client) == b"other", "it releases what it holds"


def test_the_successor_of_a_dead_process_has_it_at_once(
    store: Store, redis_client: redis.Redis
) -> None:
    Lease("one").run(store)
    redis_client.pexpire(KEYS.maintenance, 1000)
    successor = Lease("one")
    successor.run(store)
    assert successor.held
    assert redis_client.pttl(KEYS.maintenance) > 2000


def test_a_stand_by_does_not_prolong_the_lease_of_another(
    store: Store, redis_client: redis.Redis
) -> None:
    Lease("one").run(store)
    redis_client.pexpire(KEYS.maintenance, 3000)
    other = Lease("other")
    other.run(store)
    other.run(store)
    assert redis_client.pttl(KEYS.maintenance) <= 3000


def test_it_is_not_held_while_redis_does_not_answer(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Lease("one")
    one.run(store)

    def away(*args: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(store.maintenance, "renew_lease", away)
    with pytest.raises(redis.ConnectionError):
        one.run(store)
    assert not one.held


def test_a_clock_of_the_server_that_is_set_back_keeps_it_from_nobody(
    store: Store, redis_client: redis.Redis
) -> None:
    """The holder has died, and the lease would last for an hour."""
    redis_client.set(KEYS.maintenance, "gone", px=3_600_000)
    Lease("one").run(store)
    assert redis_client.pttl(KEYS.maintenance) <= LEASE_SECONDS * 1000


def test_one_that_is_offered_is_done_until_another_takes_it(
    store: Store, redis_client: redis.Redis, clock: Clock
) -> None:
    one, other = Lease("one"), Lease("other")
    one.run(store)
    other.run(store)
    one.offer(store)
    assert (one.held, holder(redis_client)) == (True, None)
    assert one.due(clock.now) > other.due(clock.now), "the others come first"
    other.run(store)
    one.run(store)
    assert (one.held, other.held, holder(redis_client)) == (False, True, b"other")


def test_one_that_nobody_takes_is_kept_for_a_while(
    store: Store, redis_client: redis.Redis, clock: Clock
) -> None:
    """Two machines that lack the same do not hand it to and fro."""
    one = Lease("one")
    one.run(store)
    one.offer(store)
    one.run(store)
    assert (one.held, holder(redis_client)) == (True, b"one")
    one.offer(store)
    assert holder(redis_client) == b"one"
    clock.now += OFFER_SECONDS
    one.offer(store)
    assert holder(redis_client) is None


def test_one_that_is_offered_and_released_leaves_the_key_to_its_new_holder(
    store: Store, redis_client: redis.Redis
) -> None:
    one, other = Lease("one"), Lease("other")
    one.run(store)
    one.offer(store)
    other.run(store)
    one.release(store)
    assert holder(redis_client) == b"other"


@pytest.mark.parametrize(
    "occupy",
    [
        lambda client: client.rpush(KEYS.maintenance, "x"),
        lambda client: client.set(KEYS.maintenance, "x"),
    ],
    ids=["a list", "a string for ever"],
)
def test_where_another_program_has_the_key_every_master_does_the_work(
    store: Store,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    occupy: Callable[[redis.Redis], object],
) -> None:
    occupy(redis_client)
    one, other = Lease("one"), Lease("other")
    for _ in range(2):
        one.run(store)
        other.run(store)
        assert (one.held, other.held) == (True, True)
        assert redis_client.ttl(KEYS.maintenance) == -1, "it is left alone"
    logged = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) <= 1  # others may have named the key before
