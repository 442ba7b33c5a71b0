"""A crash counts on each job it may be due to, and the last one fails it as poison."""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime

import pytest
import redis

from gresque.jobs.crash_history import deaths, recoveries
from gresque.jobs.registry import Registry
from gresque.processes.scoreboard import KillReason
from gresque.processes.spec import BlamedJob, DeadProcess
from gresque.store.effects import requeued
from gresque.store.keys import Keys
from gresque.store.recovery import Move
from gresque.store.store import Store
from gresque.worker.recovery import BATCH, Recovery
from tests.support.dead_process import DEAD, PROCESS, failed, hold, item, queue, recovery
from tests.support.deaths import without_deaths

Redis = redis.Redis

CRASHED = DEAD._replace(blameless=False)
FIRST = BlamedJob(0, KillReason.KILLED, ())


def test_a_crash_counts_on_every_job(store: Store, redis_client: Redis) -> None:
    raws = [item("plain", number) for number in range(3)]
    hold(redis_client, *raws)
    recovery(store).recover(CRASHED)
    back = queue(redis_client)
    assert [without_deaths(raw) for raw in back] == raws
    assert [recoveries(raw) for raw in back] == [1, 1, 1]
    process, _, at = deaths(back[0])[0].partition(" at ")
    assert process == PROCESS
    assert abs(datetime.fromisoformat(at).timestamp() - store.now()) < 5
    assert redis_client.smembers("resque:suspects") == {b"q"}
    assert redis_client.llen("resque:suspects:1:q") == 3


@pytest.mark.parametrize(
    "dead", [DEAD, CRASHED._replace(blamed=FIRST), DEAD._replace(blamed=FIRST)], ids=str
)
def test_it_counts_on_nobody_when_it_is_known_whose_fault_it_was(
    store: Store, redis_client: Redis, dead: DeadProcess
) -> None:
    hold(redis_client, item("plain", 0), item("plain", 1))
    recovery(store).recover(dead)
    assert queue(redis_client)[-1:] == [item("plain", 1)]
    assert not redis_client.exists("resque:suspects")


@pytest.mark.parametrize("raw", [b"", b"not json", b"[]", b"7", b'"text"', b"\xff"])
def test_what_is_no_object_goes_back_unchanged(
    store: Store, redis_client: Redis, raw: bytes
) -> None:
    hold(redis_client, raw)
    recovery(store).recover(CRASHED)
    assert queue(redis_client) == [raw]
    assert not redis_client.exists("resque:suspects")


def test_after_the_last_death_it_fails_with_its_history(
    store: Store, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    raw = b'{"class":"plain","args":[5],"id":"j1"}'
    for number in (1, 2, 3):
        hold(redis_client, raw)
        with caplog.at_level(logging.ERROR, "gresque"):
            recovery(store).recover(CRASHED)
        if number < 3:
            (raw,) = queue(redis_client)
            redis_client.delete(*Keys("resque").places("q"))
    assert not queue(redis_client)
    (entry,) = failed(redis_client)
    assert entry["exception"] == "PoisonJob"
    assert entry["error"] == (
        "3 processes died while holding it, the last: it was killed by SIGKILL"
    )
    assert entry["payload"]["gresque"]["recoveries"] == 3
    assert entry["backtrace"] == entry["payload"]["gresque"]["deaths"][::-1]
    assert len(entry["backtrace"]) == 3
    assert [record.message for record in caplog.records] == [
        "given up as poison, 3 processes died while holding it, the last: "
        "it was killed by SIGKILL: plain j1 from q; gresque failed show j1"
    ]
    assert [record.job_id for record in caplog.records] == ["j1"]  # type: ignore[attr-defined]
    assert store.stats.values([store.keys.processed, store.keys.failures]) == [1, 1]
    assert [json.loads(raw)["poison"] for raw in store.recovery.log(9)] == [1, 0, 0]


def test_poison_that_json_does_not_allow_is_named(
    store: Store, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    hold(redis_client, b'{"class":"plain","prefix":"\xff"}')
    Recovery(store, Registry(), "requeue", max_recoveries=1).recover(CRASHED)
    assert caplog.messages[0].endswith(": plain without an id from q")


def test_the_log_tells_of_a_recovery_once_and_of_all_its_jobs(
    store: Store, redis_client: Redis
) -> None:
    """Also when it broke off, and somebody else came to its end."""
    hold(
        redis_client, *(item("fails" if n % 5 == 0 else "plain", n) for n in range(2 * BATCH // 9))
    )
    store.recovery.fence(PROCESS)
    store.recovery.move(
        PROCESS, [Move(b"3", "requeue", item("plain", 3), requeued(store.keys, "q"))]
    )
    assert store.recovery.log(9) == []
    recovery(store).recover(CRASHED)
    recovery(store).recover(CRASHED)
    (entry,) = map(json.loads, store.recovery.log(9))
    at = entry.pop("at")
    assert abs(datetime.fromisoformat(at).timestamp() - store.now()) < 5
    assert entry.pop("by").endswith(f":{os.getpid()}")
    assert entry == {
        "process": PROCESS, "cause": "it was killed by SIGKILL", "requeued": 672, "failed": 168,
        "poison": 0, "retried": 0,
    }  # fmt: skip
