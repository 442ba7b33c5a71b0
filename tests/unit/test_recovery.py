"""Recovery: what a dead process held, moved once, where it is to go."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import Registry
from gresque.store.data_store import DataStore, Move
from gresque.store.ledger import Totals
from gresque.worker.birth import Guilty
from gresque.worker.recovery import BATCH, Recovery
from gresque.worker.scoreboard import Verdict

Redis = redis.Redis
WORKER = "vm:1:q:1:1:1"
PROCESS = f"{WORKER}:22:1764000000000"
LEDGER = f"resque:ledger:{PROCESS}"


@pytest.fixture
def store(redis_url: str) -> Iterator[DataStore]:
    store = DataStore(redis_url, "resque")
    yield store
    store.redis.close()


def recovery(store: DataStore, on_dirty_exit: str = "requeue") -> Recovery:
    registry = Registry()
    for name, wish, skip in (
        ("plain", None, False), ("fails", "fail", False), ("returns", "requeue", False),
        ("quiet", "fail", True),
    ):  # fmt: skip
        registry.add(JobDefinition(name, "q", print, on_dirty_exit=wish, skip_failed_queue=skip))
    return Recovery(store, registry, on_dirty_exit)


def item(name: str = "plain", *args: Any) -> bytes:
    return json.dumps({"class": name, "args": args}).encode()


def hold(client: Redis, *raws: bytes, queue: str = "q", state: str = "9 0 0 0 0") -> None:
    """A dead process that holds these jobs."""
    key = f"resque:queue:{queue}".encode()
    fields = {str(slot): b"%d:%s%s" % (len(key), key, raw) for slot, raw in enumerate(raws)}
    client.hset(LEDGER, mapping={"state": state, **fields})  # type: ignore[dict-item]
    client.zadd("resque:ledgers", {PROCESS: 1})
    client.sadd("resque:queues", queue)


def queue(client: Redis, name: str = "q") -> list[bytes]:
    return client.lrange(f"resque:queue:{name}", 0, -1)


def failed(client: Redis) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in client.lrange("resque:failed", 0, -1)]


def gone(client: Redis) -> bool:
    return not client.exists(LEDGER, "resque:ledgers", f"resque:running:{PROCESS}")


# the worker's wish, the job, is it back in its queue, does it leave an entry
WISHES = [
    ("requeue", "plain", True, False),
    ("requeue", "returns", True, False),
    ("requeue", "fails", False, True),
    ("requeue", "quiet", False, False),
    ("requeue", "unknown", True, False),
    ("fail", "plain", False, True),
    ("fail", "returns", True, False),
    ("fail", "fails", False, True),
    ("fail", "quiet", False, False),
    ("fail", "unknown", False, True),
]


@pytest.mark.parametrize(("wish", "name", "back", "entry"), WISHES)
def test_each_job_goes_where_it_wants(
    store: DataStore, redis_client: Redis, wish: str, name: str, back: bool, entry: bool
) -> None:
    hold(redis_client, item(name, 1), state="9 3 1 1 0")
    redis_client.rpush("resque:queue:q", "waiting")
    totals = recovery(store, wish).recover(PROCESS)
    assert totals == Totals(3, 1, 2 - back, int(back))
    assert totals.reserved == totals.done + totals.failed + totals.requeued
    assert queue(redis_client) == [item(name, 1)] * back + [b"waiting"]
    assert len(failed(redis_client)) == entry
    assert store.stats([store.keys.processed, store.keys.failures]) == [1 - back, 1 - back]
    assert gone(redis_client)


def test_the_entry_tells_of_the_death(store: DataStore, redis_client: Redis) -> None:
    hold(redis_client, item("fails", "é"), queue="a:b")
    recovery(store).recover(PROCESS)
    (entry,) = failed(redis_client)
    assert entry["exception"] == "DirtyExit"
    assert entry["error"] == f"its process died: {PROCESS}"
    assert (entry["worker"], entry["queue"], entry["backtrace"]) == (WORKER, "a:b", [])
    assert entry["payload"] == {"class": "fails", "args": ["é"]}


@pytest.mark.parametrize(
    ("verdict", "exception"), [(Verdict.KILLED, "DirtyExit"), (Verdict.TIMED_OUT, "JobTimeout")]
)
def test_the_job_for_whose_sake_the_process_died_fails(
    store: DataStore, redis_client: Redis, verdict: Verdict, exception: str
) -> None:
    hold(redis_client, item("plain", 0), item("returns", 1), item("plain", 2))
    guilty = Guilty(1, verdict, ("jobs.py:3:in `spin'",))
    totals = recovery(store).recover(PROCESS, guilty)
    assert totals == Totals(0, 0, 1, 2)
    assert sorted(queue(redis_client)) == [item("plain", 0), item("plain", 2)]
    (entry,) = failed(redis_client)
    assert entry["payload"]["args"] == [1]
    assert entry["exception"] == exception
    assert f"without its process: {PROCESS}" in entry["error"]
    assert entry["backtrace"] == ["jobs.py:3:in `spin'"]


@pytest.mark.parametrize("raw", [b"", b"not json", b"\xff", b"[]", b"{}", b'{"class":5}'])
@pytest.mark.parametrize("wish", ["requeue", "fail"])
def test_what_is_no_job_is_recovered_too(
    store: DataStore, redis_client: Redis, raw: bytes, wish: str
) -> None:
    hold(redis_client, raw)
    recovery(store, wish).recover(PROCESS)
    assert queue(redis_client) == [raw] * (wish == "requeue")
    assert len(failed(redis_client)) == (wish == "fail")
    assert gone(redis_client)


@pytest.mark.parametrize("name", ["a:b", "日本", "a b", "5:x", "x\ny"])
def test_queues_of_any_name(store: DataStore, redis_client: Redis, name: str) -> None:
    hold(redis_client, item(), item("fails"), queue=name)
    recovery(store).recover(PROCESS)
    assert queue(redis_client, name) == [item()]
    assert failed(redis_client)[0]["queue"] == name


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 7])
def test_many_jobs(
    store: DataStore, redis_client: Redis, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    hold(redis_client, *(item("plain", number) for number in range(count)))
    with caplog.at_level(logging.WARNING, "gresque"):
        totals = recovery(store).recover(PROCESS)
    assert totals.requeued == count
    assert sorted(queue(redis_client)) == sorted(item("plain", n) for n in range(count))
    assert gone(redis_client)
    assert len(caplog.records) == bool(count)


def test_nothing_to_recover(store: DataStore, redis_client: Redis) -> None:
    assert recovery(store).recover(PROCESS) == Totals()
    assert redis_client.keys() == []


def test_again_after_it_broke_off(store: DataStore, redis_client: Redis) -> None:
    """What was not moved stands in the ledger still, and whoever comes next moves it."""
    hold(redis_client, *(item("plain", number) for number in range(10)), state="9 12 1 1 0")
    store.fence(PROCESS)
    move = Move(b"3", "requeue", b"resque:queue:q", item("plain", 3), "q")
    store.recover(PROCESS, [move])
    assert not gone(redis_client)
    totals = recovery(store).recover(PROCESS)
    assert totals.requeued == 10  # what was moved before counts, too
    assert len(queue(redis_client)) == 10
    assert gone(redis_client)


def test_two_that_recover_the_same_process(
    redis_url: str, store: DataStore, redis_client: Redis
) -> None:
    count = 2 * BATCH
    names = ("plain", "fails")
    hold(redis_client, *(item(names[number % 2], number) for number in range(count)))
    start = threading.Barrier(2)

    def recover() -> None:
        own = DataStore(redis_url, "resque")
        start.wait()
        recovery(own).recover(PROCESS)
        own.redis.close()

    threads = [threading.Thread(target=recover) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue(redis_client)) == len(failed(redis_client)) == BATCH
    assert store.stats([store.keys.processed, store.keys.failures]) == [BATCH, BATCH]
    assert gone(redis_client)


def test_another_namespace(redis_url: str, redis_client: Redis) -> None:
    store = DataStore(redis_url, "app")
    key = b"app:queue:q"
    redis_client.hset(
        f"app:ledger:{PROCESS}",
        mapping={"state": "1 2 0 0 0", "0": b"%d:%s%s" % (len(key), key, item()),
                 "1": b"%d:%s%s" % (len(key), key, item("fails"))},
    )  # fmt: skip
    recovery(store).recover(PROCESS)
    assert redis_client.lrange("app:queue:q", 0, -1) == [item()]
    assert json.loads(redis_client.lindex("app:failed", 0))["queue"] == "q"
    store.redis.close()


def test_a_class_that_is_no_text_stops_nothing(store: DataStore, redis_client: Redis) -> None:
    hold(redis_client, b'{"class":[]}', b'{"class":{}}', b"[1]", item())
    assert recovery(store).recover(PROCESS).requeued == 4
    assert gone(redis_client)


def test_what_is_recovered_is_in_a_listing_again(store: DataStore, redis_client: Redis) -> None:
    hold(redis_client, item())
    redis_client.srem("resque:queues", "q")
    recovery(store).recover(PROCESS)
    assert store.queue_sizes() == {"q": 1}


def test_jobs_come_back_in_their_order(store: DataStore, redis_client: Redis) -> None:
    raws = [item("plain", number) for number in range(30)]
    hold(redis_client, *raws)
    recovery(store).recover(PROCESS)
    assert queue(redis_client) == raws
