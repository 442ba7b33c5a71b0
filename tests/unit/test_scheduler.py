"""Jobs are put into `later` once, through faults of the way to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

from gresque.connection.scripts import script
from gresque.errors import NotEnqueued
from gresque.store.later_job import Times
from gresque.store.scheduler import Scheduler
from gresque.store.store import Store
from tests.support.faults import FaultyProxy
from tests.support.server import OwnServer

HOUR = 3_600_000
NAMES = ["a" * 32, "b" * 32, "c" * 32]
RAWS = [b'{"class":"A"}', b'{"class":"B"}', b"\xff"]


@pytest.fixture
def through(proxy: FaultyProxy, store: Store) -> Iterator[Scheduler]:
    with closing(Scheduler(proxy.url, store.keys, retry_seconds=5)) as scheduler:
        yield scheduler


def waiting(store: Store) -> list[tuple[str, bytes]]:
    return [(job.member, job.raw) for job in store.later.page(0, 99)]


def test_a_delay_counts_from_the_servers_time(store: Store) -> None:
    before = store.now()
    store.scheduler.schedule("q", NAMES, RAWS, Times(True, [3 * HOUR, HOUR, 2 * HOUR]))
    after = store.now()
    jobs = store.later.page(0, 9)
    assert [job.raw for job in jobs] == [RAWS[1], RAWS[2], RAWS[0]]
    assert [job.queue for job in jobs] == ["q"] * 3
    for hours, job in enumerate(jobs, 1):
        assert before <= job.due_ms / 1000 - hours * 3600 <= after + 0.001
    assert store.queues.names() == []


def test_what_is_due_goes_to_its_queue(store: Store) -> None:
    now = int(store.now() * 1000)
    store.scheduler.schedule("q", NAMES, RAWS, Times(False, [now - HOUR, now + HOUR, 0]))
    assert store.queues.peek("q", 0, 9) == [RAWS[0], RAWS[2]]
    assert store.queues.names() == ["q"]
    assert waiting(store) == [(NAMES[1], RAWS[1])]
    store.scheduler.schedule("q", NAMES[:1], RAWS[:1], Times(True, [0]))
    assert store.queues.size("q") == 3


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_at_every_place_neither_loses_nor_doubles(
    through: Scheduler, proxy: FaultyProxy, store: Store, direction: str
) -> None:
    """Also the jobs that are due at once."""
    through.schedule("q", ["first"], [b"first"], Times(True, [HOUR]))
    expected = 1
    for after in [*range(5), *range(5, 500, 43)]:
        cut = proxy.cut(script("schedule").sha, direction, after)
        names = [f"{after}{kind}" for kind in ("later", "now")]
        through.schedule("q", names, [b"%d" % after] * 2, Times(True, [HOUR, 0]))
        expected += 1
        assert cut.done.wait(5)
    raws = [raw for _, raw in waiting(store)]
    assert len(raws) == len(set(raws)) == expected
    assert sorted([b"first", *store.queues.peek("q", 0, 999)]) == sorted(raws)


def test_one_id_may_wait_twice(store: Store) -> None:
    """Two payloads may have it."""
    store.scheduler.schedule("q", ["x"] * 3, RAWS, Times(True, [HOUR] * 3))
    assert sorted(waiting(store)) == [("x", RAWS[0]), ("x+", RAWS[1]), ("x++", RAWS[2])]


@pytest.mark.parametrize("kind", ["later", "later:jobs", "queue:q"])
def test_what_is_refused_takes_all_back(store: Store, redis_client: redis.Redis, kind: str) -> None:
    redis_client.set(f"resque:{kind}", "x")
    times = Times(True, [HOUR, 0, 2 * HOUR])
    with pytest.raises(NotEnqueued, match=f"resque:{kind}"):
        store.scheduler.schedule("q", NAMES, RAWS, times)
    found = {key for key in redis_client.keys("*") if b"producer" not in key}
    assert found <= {f"resque:{kind}".encode(), b"resque:queues"}
    redis_client.delete(f"resque:{kind}")
    store.scheduler.schedule("q", NAMES, RAWS, times)
    assert len(waiting(store)) == 2
    assert store.queues.size("q") == 1


def test_a_full_server_takes_no_job(own: OwnServer) -> None:
    with closing(Store(own.url, "resque", 0.2)) as store:
        own.redis.config_set("maxmemory", 1)
        with pytest.raises(NotEnqueued, match="maxmemory"):
            store.scheduler.schedule("q", NAMES, RAWS, Times(True, [0, HOUR, HOUR]))
        own.redis.config_set("maxmemory", 0)
        assert own.redis.keys("resque:[lq]*") == []


def test_without_scripts_it_says_so(store: Store, redis_client: redis.Redis) -> None:
    redis_client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    try:
        with pytest.raises(NotEnqueued, match="a delayed job needs EVALSHA and EVAL"):
            store.scheduler.schedule("q", NAMES, RAWS, Times(True, [HOUR] * 3))
    finally:
        redis_client.execute_command("ACL", "SETUSER", "default", "+@all")
