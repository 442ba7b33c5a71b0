"""Worker processes as the read side shows them."""

from __future__ import annotations

import redis

from benchmarks.held import Traffic, hold, process_name
from gresque.inspector.processes import ProcessStatus
from gresque.processes.vitals import Vitals
from gresque.store.store import Store

VITALS = Vitals("ready", 3, 3, 0.25, 1_795_485_960, "mail", "1.2.3", rss=50_000_000, cpu=1.5)


def test_what_each_holds_and_how_it_is(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 3)
    redis_client.hset("resque:vitals", process_name(0), VITALS.encode())
    first, second = ProcessStatus.all(store)
    assert (first.process, first.host, first.pid) == (process_name(0), "vm", 5000)
    assert (first.held, first.queues, first.reserved) == (3, {"mail": 3}, 3)
    assert first.longest_seconds is not None and 2 <= first.longest_seconds < 30
    assert (first.vitals, second.vitals) == (VITALS, None)


def test_jobs_that_come_from_the_suspects_of_a_queue_are_its_jobs(
    store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 1, 2)
    suspects = store.keys.suspects_of("mail", 1)
    redis_client.hset(f"resque:ledger:{process_name(0)}", "9", f"{len(suspects)}:{suspects}{{}}")
    (found,) = ProcessStatus.all(store)
    assert (found.held, found.queues) == (3, {"mail": 3})


def test_no_payload_is_sent(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 25, 40)
    with Traffic(redis_client) as traffic:
        found = ProcessStatus.all(store)
    assert sum(each.held for each in found) == 1000
    assert all(each.queues == {"mail": 40} for each in found)
    published = 25 * 40 * 30
    assert traffic.bytes_sent < published + 25 * 300 + 10_000


def test_what_others_keep_there(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 1, 1)
    redis_client.hset("resque:vitals", process_name(0), "{")
    redis_client.zadd("resque:ledgers", {"odd": 1})
    redis_client.set("resque:ledger:odd", "text")
    odd, own = sorted(ProcessStatus.all(store), key=lambda each: each.process)
    assert (odd.held, odd.queues, odd.vitals, own.vitals) == (0, {}, None, None)
