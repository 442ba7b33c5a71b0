"""Recovery: what a dead process held, moved once, where it is to go."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time

import pytest
import redis

from gresque.jobs import payload
from gresque.jobs.definition import JobDefinition
from gresque.jobs.retry_policy import retry_policy
from gresque.processes.scoreboard import KillReason
from gresque.processes.spec import BlamedJob
from gresque.store.commands import Fate, Kill, KillAnswer, read_kill_answer
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.worker.recovery import BATCH
from tests.support.dead_process import (
    DEAD,
    LEDGER,
    PROCESS,
    WORKER,
    failed,
    gone,
    hold,
    item,
    queue,
    recovery,
)

Redis = redis.Redis

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
    store: Store, redis_client: Redis, wish: str, name: str, back: bool, entry: bool
) -> None:
    hold(redis_client, item(name, 1), state="9 3 1 1 0 0")
    redis_client.rpush("resque:queue:q", "waiting")
    totals = recovery(store, wish).recover(DEAD)
    assert totals == Totals(3, 1, 2 - back, int(back))
    assert totals.reserved == totals.done + totals.failed + totals.requeued
    assert queue(redis_client) == [item(name, 1)] * back + [b"waiting"]
    assert len(failed(redis_client)) == entry
    assert store.stats.values([store.keys.processed, store.keys.failures]) == [1 - back, 1 - back]
    assert gone(redis_client)


def test_the_entry_tells_of_the_death(store: Store, redis_client: Redis) -> None:
    hold(redis_client, item("fails", "é"), queue="a:b")
    recovery(store).recover(DEAD)
    (entry,) = failed(redis_client)
    assert entry["exception"] == "DirtyExit"
    assert entry["error"] == f"its process died: {PROCESS} (it was killed by SIGKILL)"
    assert (entry["worker"], entry["queue"], entry["backtrace"]) == (WORKER, "a:b", [])
    assert entry["payload"] == {"class": "fails", "args": ["é"]}


@pytest.mark.parametrize(
    ("kill_reason", "exception"),
    [(KillReason.KILLED, "DirtyExit"), (KillReason.TIMED_OUT, "JobTimeout")],
)
def test_the_job_for_whose_sake_the_process_died_fails(
    store: Store, redis_client: Redis, kill_reason: KillReason, exception: str
) -> None:
    hold(redis_client, item("plain", 0), item("returns", 1), item("plain", 2))
    blamed = BlamedJob(1, kill_reason, ("jobs.py:3:in `spin'",))
    totals = recovery(store).recover(DEAD._replace(blamed=blamed))
    assert totals == Totals(0, 0, 1, 2)
    assert sorted(queue(redis_client)) == [item("plain", 0), item("plain", 2)]
    (entry,) = failed(redis_client)
    assert entry["payload"]["args"] == [1]
    assert entry["exception"] == exception
    assert f"without its process: {PROCESS}" in entry["error"]
    assert entry["backtrace"] == ["jobs.py:3:in `spin'"]


def test_one_that_ran_over_its_time_is_tried_again(store: Store, redis_client: Redis) -> None:
    """By what its payload says: this process may lack its code. The neighbour goes back."""
    raw = payload.encode("unknown", (), None, "id1", envelope={"retries": 1})
    hold(redis_client, raw, item("plain", 2))
    dead = DEAD._replace(blamed=BlamedJob(0, KillReason.TIMED_OUT, ()))
    assert recovery(store).recover(dead) == Totals(requeued=1, retried=1)
    assert failed(redis_client) == []
    (entry,) = redis_client.hvals("resque:later:jobs")
    envelope = json.loads(entry.removeprefix(b"14:resque:queue:q"))["gresque"]
    assert (envelope["attempt"], envelope["errors"][0]["class"]) == (2, "JobTimeout")
    assert store.stats.values([store.keys.retried, store.keys.failures]) == [1, 0]
    assert gone(redis_client)


def test_a_back_off_that_raises_holds_up_no_recovery(store: Store, redis_client: Redis) -> None:
    hold(redis_client, item("broken", 1), item("plain", 2))
    one = recovery(store)
    policy = retry_policy("broken", retries=1, backoff=lambda attempt: sys.exit())
    one._registry.add(JobDefinition("broken", "q", print, retry=policy))
    dead = DEAD._replace(blamed=BlamedJob(0, KillReason.TIMED_OUT, ()))
    assert one.recover(dead) == Totals(requeued=1, retried=1)
    assert gone(redis_client)


def test_a_back_off_that_waits_holds_up_no_recovery(store: Store, redis_client: Redis) -> None:
    """The job gets the delay that all jobs have by default."""
    hold(redis_client, item("waits", 1), item("plain", 2))
    one = recovery(store)
    end = threading.Event()
    policy = retry_policy("waits", retries=1, backoff=lambda attempt: float(end.wait(60)))
    one._registry.add(JobDefinition("waits", "q", print, retry=policy))
    dead = DEAD._replace(blamed=BlamedJob(0, KillReason.TIMED_OUT, ()))
    started = time.monotonic()
    try:
        assert one.recover(dead) == Totals(requeued=1, retried=1)
    finally:
        end.set()
    assert time.monotonic() - started < 30
    ((_, due),) = redis_client.zrange("resque:later", 0, -1, withscores=True)
    assert due > 1000 * (time.time() + 5)
    assert gone(redis_client)


@pytest.mark.parametrize("raw", [b"", b"not json", b"\xff", b"[]", b"{}", b'{"class":5}'])
@pytest.mark.parametrize("wish", ["requeue", "fail"])
def test_what_is_no_job_is_recovered_too(
    store: Store, redis_client: Redis, raw: bytes, wish: str
) -> None:
    hold(redis_client, raw)
    recovery(store, wish).recover(DEAD)
    assert queue(redis_client) == [raw] * (wish == "requeue")
    assert len(failed(redis_client)) == (wish == "fail")
    assert gone(redis_client)


@pytest.mark.parametrize("name", ["a:b", "日本", "a b", "5:x", "x\ny"])
def test_queues_of_any_name(store: Store, redis_client: Redis, name: str) -> None:
    hold(redis_client, item(), item("fails"), queue=name)
    recovery(store).recover(DEAD)
    assert queue(redis_client, name) == [item()]
    assert failed(redis_client)[0]["queue"] == name


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 7])
def test_many_jobs(
    store: Store, redis_client: Redis, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    hold(redis_client, *(item("plain", number) for number in range(count)))
    with caplog.at_level(logging.WARNING, "gresque"):
        totals = recovery(store).recover(DEAD)
    assert totals.requeued == count
    assert sorted(queue(redis_client)) == sorted(item("plain", n) for n in range(count))
    assert gone(redis_client)
    assert len(caplog.records) == bool(count)


def test_nothing_to_recover(store: Store, redis_client: Redis) -> None:
    assert recovery(store).recover(DEAD) == Totals()
    assert redis_client.keys() == []


def test_a_ledger_that_lost_its_state_is_emptied_too(store: Store, redis_client: Redis) -> None:
    hold(redis_client, item())
    redis_client.hdel(LEDGER, "state")
    redis_client.zadd("resque:ledgers", {"nothing:1:2": 1})
    assert recovery(store).recover(DEAD) == Totals(requeued=1)
    recovery(store).recover(DEAD._replace(process_id="nothing:1:2"))
    assert queue(redis_client) == [item()]
    assert gone(redis_client)


def test_another_namespace(redis_url: str, redis_client: Redis) -> None:
    store = Store(redis_url, "app")
    key = b"app:queue:q"
    redis_client.hset(
        f"app:ledger:{PROCESS}",
        mapping={"state": "1 2 0 0 0 0", "0": b"%d:%s%s" % (len(key), key, item()),
                 "1": b"%d:%s%s" % (len(key), key, item("fails"))},
    )  # fmt: skip
    recovery(store).recover(DEAD)
    assert redis_client.lrange("app:queue:q", 0, -1) == [item()]
    assert json.loads(redis_client.lindex("app:failed", 0))["queue"] == "q"
    store.close()


def test_a_class_that_is_no_text_stops_nothing(store: Store, redis_client: Redis) -> None:
    hold(redis_client, b'{"class":[]}', b'{"class":{}}', b"[1]", item())
    assert recovery(store).recover(DEAD).requeued == 4
    assert gone(redis_client)


def test_what_is_recovered_is_in_a_listing_again(store: Store, redis_client: Redis) -> None:
    hold(redis_client, item())
    redis_client.srem("resque:queues", "q")
    recovery(store).recover(DEAD)
    assert store.queues.sizes() == {"q": 1}


def test_jobs_come_back_in_their_order(store: Store, redis_client: Redis) -> None:
    raws = [item("plain", number) for number in range(30)]
    hold(redis_client, *raws)
    recovery(store).recover(DEAD)
    assert queue(redis_client) == raws


# What it answers in place of the dead

FATES = [
    # name of the job, the guilty slot, the answer
    ("plain", None, KillAnswer(Fate.DIED_REQUEUED)),
    ("fails", None, KillAnswer(Fate.DIED_FAILED, in_failed=True)),
    ("quiet", None, KillAnswer(Fate.DIED_FAILED)),
    ("plain", 1, KillAnswer(Fate.REPLACED, in_failed=True)),
    ("plain", 0, KillAnswer(Fate.DIED_REQUEUED)),
    ("", None, KillAnswer(Fate.DIED_WITHOUT)),
]


@pytest.mark.parametrize(("name", "blamed", "answer"), FATES)
def test_kills_that_the_dead_did_not_answer(
    store: Store, redis_client: Redis, name: str, blamed: int | None, answer: KillAnswer
) -> None:
    wanted = json.dumps({"class": name, "args": [], "id": "a"}).encode()
    hold(redis_client, item(), wanted if name else item())
    store.commands.ask_kills([Kill(PROCESS, "token", "a", "")], 10)
    culprit = None if blamed is None else BlamedJob(blamed, KillReason.KILLED, ())
    recovery(store).recover(DEAD._replace(blamed=culprit))
    assert read_kill_answer(redis_client.lrange("resque:answer:token", 0, -1)) == answer


def test_a_key_of_another_type_holds_up_no_recovery(store: Store, redis_client: Redis) -> None:
    hold(redis_client, item())
    redis_client.set(f"resque:kills:{PROCESS}", "something")
    recovery(store).recover(DEAD)
    assert gone(redis_client)


def test_a_process_without_the_code_goes_by_the_payload(store: Store, redis_client: Redis) -> None:
    """The worker that recovers may be one of another application."""
    raws = [
        payload.encode("test_recovery.elsewhere", [n], None, str(n), envelope=envelope)
        for n, envelope in enumerate([{"dirty_exit": "fail"}, {"dirty_exit": "requeue"}, None])
    ]
    hold(redis_client, *raws)
    recovery(store, "requeue").recover(DEAD)
    assert [json.loads(raw)["args"] for raw in queue(redis_client)] == [[1], [2]]
    assert [entry["payload"]["args"] for entry in failed(redis_client)] == [[0]]
    hold(redis_client, *raws)
    redis_client.delete("resque:queue:q", "resque:failed")
    recovery(store, "fail").recover(DEAD)
    assert [json.loads(raw)["args"] for raw in queue(redis_client)] == [[1]]
