"""Jobs that expire: what is written, what a worker makes of it, what a retry does."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import JobDeclarationError, JobExpired
from gresque.failure.failure_reporter import FailureReporter
from gresque.failure.retry import prepare_retry
from gresque.jobs import payload
from gresque.jobs.definition import JobDefinition, expiry
from gresque.jobs.ends import EndRules
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.threads.outcome import Outcome
from gresque.worker.turns.in_flight import InFlight


@gresque.job(queue="q", name="test_expiry.brief", expires_seconds=60)
def brief(n: int) -> None: ...


class Brief(gresque.Job):
    queue = "q"
    name = "test_expiry.Brief"
    expires_seconds = 60.5
    on_expire = "drop"

    def perform(n: int) -> None: ...


@gresque.job(queue="q", name="test_expiry.lasting")
def lasting(n: int) -> None: ...


def test_it_stands_last_in_the_payload_and_only_there(
    redis_url: str, redis_client: redis.Redis
) -> None:
    client = gresque.Client(redis_url)
    before = time.time()
    client.enqueue(brief, n=1)
    client.enqueue_many(brief, [(1,)])
    client.enqueue(lasting, 1)
    client.enqueue_many(lasting, [(1,)])
    client.close()
    one, many, *others = map(json.loads, redis_client.lrange("resque:queue:q", 0, -1))
    assert list(one) == ["class", "args", "id", "generation", "expires_at"]
    for item in (one, many):
        assert before + 59.9 <= item["expires_at"] <= time.time() + 60.1
    for item in others:
        assert list(item) == ["class", "args", "id", "generation"]


def test_a_class_declares_it_too() -> None:
    assert Brief.definition.on_expire == "drop"
    told = expiry(Brief.definition)
    assert told is not None and 0 < told - time.time() <= 60.6
    assert expiry(lasting.definition) is None


NO_TIMES = {
    "none": 0, "negative": -1, "negative delta": -timedelta(1), "endless": float("inf"),
    "nan": float("nan"), "text": "60", "bool": True, "over a float": 10**400,
}  # fmt: skip


@pytest.mark.parametrize("option", ["timeout_seconds", "expires_seconds"])
@pytest.mark.parametrize("what", NO_TIMES)
def test_what_is_no_time(option: str, what: str) -> None:
    wrong: dict[str, Any] = {option: NO_TIMES[what]}
    with pytest.raises(JobDeclarationError, match=rf"{option}=.* is no time to "):
        JobDefinition("a", "q", print, **wrong)


def test_a_timedelta_is_seconds() -> None:
    times: dict[str, Any] = dict.fromkeys(
        ("timeout_seconds", "expires_seconds"), timedelta(hours=1)
    )
    definition = JobDefinition("a", "q", print, **times)
    assert (definition.timeout_seconds, definition.expires_seconds) == (3600, 3600)


def test_what_is_no_end() -> None:
    with pytest.raises(JobDeclarationError, match="on_expire='ignore' is unknown; give 'fail' or"):
        JobDefinition("a", "q", print, on_expire="ignore")


class TestOutcome:
    def drop(self, on_expire: str, expires_at: Any) -> bool:
        outcome = Outcome(
            InFlight(Totals(), Keys("resque")),
            FailureReporter("redis"),
            "vm:1:q:1:1:1",
            EndRules(Keys("resque")),
        )
        raw = payload.encode("A", [1], None, "1")
        definition = JobDefinition("A", "q", print, on_expire=on_expire)
        return outcome.drop_expired((b"0", "q", raw), definition, expires_at)

    @pytest.mark.parametrize("on_expire", ["fail", "drop"])
    @pytest.mark.parametrize("late", [-100, "soon", "1", [], {}])
    def test_in_time_or_no_time_at_all(self, on_expire: str, late: Any) -> None:
        at = time.time() - late if isinstance(late, int) else late
        assert self.drop(on_expire, at) is False

    def test_too_late(self) -> None:
        assert self.drop("drop", time.time() - 1) is True
        with pytest.raises(
            JobExpired, match=r"it was to start \d+\.\d s before a worker took it up"
        ):
            self.drop("fail", time.time() - 1)


class TestRetry:
    def retried(self, item: bytes) -> bytes:
        return prepare_retry(b'{"payload":' + item + b',"queue":"q"}', "now").item

    @pytest.mark.parametrize(
        ("item", "pushed"),
        [
            (b'{"class":"A","args":[1.0e+2],"id":"1","generation":1,"expires_at":5.25}',
             b'{"class":"A","args":[1.0e+2],"id":"1","generation":2}'),
            (b'{"class":"A","expires_at":5}', b'{"class":"A"}'),
            (b'{"class":"A","expires_at":"x"}', b'{"class":"A"}'),
            (b'{"class":"A" , "args":[]}', b'{"class":"A" , "args":[]}'),
            (b'"expires_at"', b'"expires_at"'),
        ],
    )  # fmt: skip
    def test_it_drops_the_expiry(self, item: bytes, pushed: bytes) -> None:
        assert self.retried(item) == pushed


@pytest.mark.parametrize("value", [b"null", b'"x"', b"[]", b"true", b"-1e300"])
def test_any_value_of_other_programs_decodes(value: bytes) -> None:
    assert payload.decode(b'{"class":"A","expires_at":' + value + b"}").name == "A"
