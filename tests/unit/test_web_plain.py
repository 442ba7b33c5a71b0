"""What monitoring programs ask for."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from gresque.inspector import exported
from gresque.processes.vitals import Vitals
from gresque.store.store import Store
from gresque.web import totals as totals_module
from gresque.web.totals import JobTotals, Recovered, RecoveryTotals, TimeTotals
from tests.support.cli import PROCESS, fail, register
from tests.support.server import OwnServer
from tests.support.web import bearer, open_app, with_users

ME = bearer("read")


@pytest.fixture
def app(redis_url: str) -> Any:
    with open_app(redis_url, **with_users()) as app:
        yield app


def fill(client: redis.Redis) -> None:
    register(client, held=2)
    vitals = Vitals("ready", 2, 2, 0.25, 1, "mail", "0.1.0", rss=50_000_000)
    client.hset("resque:vitals", PROCESS, vitals.encode())
    client.mset({"resque:stat:processed": 9, "resque:stat:failed": 4, "resque:stat:retried": 2})
    client.sadd("resque:queues", "mail", 'a"b\n')
    client.rpush("resque:queue:mail", '{"class":"A","args":[]}', '{"class":"B","args":[]}')
    client.hset("resque:policies", "mail", "p c5")
    fail(client, 1, 2, 3)


def scrape(app: Flask) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = app.test_client().get("/metrics", headers=ME)
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics(app: Flask, redis_client: redis.Redis) -> None:
    fill(redis_client)
    found = scrape(app)
    mail = (("queue", "mail"),)
    assert found["gresque_processed_total", ()] == 9
    assert found["gresque_failed_total", ()] == 4
    assert found["gresque_retried_total", ()] == 2
    assert found["gresque_failed_jobs", ()] == 3
    assert found["gresque_queue_length", mail] == 2
    assert found["gresque_queue_running", mail] == 2
    assert found["gresque_queue_paused", mail] == 1
    assert found["gresque_queue_limit", mail] == 5
    assert ("gresque_queue_latency_seconds", mail) not in found, "the payload has no time"
    assert found["gresque_queue_latency_seconds", (("queue", 'a"b\\n'),)] == 0
    assert (found["gresque_threads", ()], found["gresque_threads_busy", ()]) == (4, 2)
    assert found["gresque_processes", (("state", "ready"),)] == 1
    assert found["gresque_process_rss_bytes", (("slot", "0"),)] == 50_000_000
    assert found["gresque_loop_lag_seconds", (("slot", "0"),)] == 0.25
    assert 0 < found["gresque_redis_trip_seconds", ()] < 10
    assert found["gresque_maintenance_holder", ()] == 0
    assert not any("vm" in str(labels) for _, labels in found), "no label is a host or a pid"


def test_further_queues_count_together(
    app: Flask, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "QUEUES", 3)
    for name in "abcde":
        redis_client.sadd("resque:queues", name)
        redis_client.rpush(f"resque:queue:{name}", "x")
    found = scrape(app)
    lengths = {
        labels[0][1]: value for (name, labels), value in found.items()
        if name == "gresque_queue_length"
    }  # fmt: skip
    assert lengths == {"a": 1, "b": 1, "other": 3}


MINUTE = 29_930_000


def test_jobs_are_added_once_minute_by_minute(store: Store, redis_client: redis.Redis) -> None:
    def count(minute: int, **fields: int) -> None:
        key = store.keys.metrics("minute", minute)
        redis_client.hset(key, mapping={f"{kind}|mail|A": n for kind, n in fields.items()})

    count(MINUTE, d=100)
    totals = JobTotals(store, now=(MINUTE + 3) * 60)
    assert totals.counts(now=(MINUTE + 3) * 60) == {}, "from the start on"
    count(MINUTE + 1, d=5, f=1)
    count(MINUTE + 2, d=7, r=2)
    for _ in range(2):
        assert totals.counts(now=(MINUTE + 4) * 60) == {
            ("mail", "A", "done"): 5, ("mail", "A", "failed"): 1, ("mail", "A", "retried"): 0,
        }  # fmt: skip
    assert totals.counts(now=(MINUTE + 5) * 60)["mail", "A", "done"] == 12


def test_histograms_grow_with_each_ten_minutes(store: Store, redis_client: redis.Redis) -> None:
    span = MINUTE // 10

    def count(number: int, **buckets: int) -> None:
        mapping = {f"t|A|{name[1:]}": n for name, n in buckets.items()}
        redis_client.hset(store.keys.metrics("times", number), mapping=mapping)

    count(span - 1, b0=1000)
    count(span, b0=5, b3=1)
    redis_client.hset(store.keys.metrics("times", span), "w|mail|2", 7)
    totals = TimeTotals(store, now=span * 600 + 30)
    assert totals.runs(now=span * 600 + 60)["A"][:4] == [5, 0, 0, 1]
    count(span, b0=6)
    assert totals.runs(now=span * 600 + 70)["A"][:4] == [6, 0, 0, 1]
    count(span + 1, b0=2)
    count(span + 2, b1=1)
    for _ in range(2):
        assert totals.runs(now=(span + 2) * 600 + 300)["A"][:4] == [8, 1, 0, 1]
    assert totals.waits(now=(span + 2) * 600 + 300)["mail"][:3] == [0, 0, 7]


def test_histograms_in_a_scrape(app: Flask, store: Store, redis_client: redis.Redis) -> None:
    key = store.keys.metrics("times", int(time.time()) // 600)
    redis_client.hset(key, mapping={"t|A|0": 5, "t|A|2": 2, "t|A|3": 1, "w|mail|25": 4})
    found = scrape(app)
    bucket = "gresque_job_duration_seconds_bucket"
    assert found[bucket, (("job", "A"), ("le", "0.005"))] == 5
    assert found[bucket, (("job", "A"), ("le", "0.02"))] == 7
    assert found[bucket, (("job", "A"), ("le", "0.08"))] == 8
    assert found[bucket, (("job", "A"), ("le", "+Inf"))] == 8
    waits = [n for (name, _), n in found.items() if name == "gresque_job_wait_seconds_bucket"]
    assert waits == [0] * 13 + [4]


def test_recoveries_are_counted_from_the_first_question_on(
    store: Store, redis_client: redis.Redis
) -> None:
    def log(process: str, **counts: int) -> None:
        entry = {"at": "2026-11-23T15:33:10Z", "process": process, "cause": "killed", "by": "vm:1",
                 "requeued": 0, "failed": 0, "poison": 0} | counts  # fmt: skip
        redis_client.rpush("resque:recoveries", json.dumps(entry))

    totals = RecoveryTotals(store)
    log("before", requeued=5)
    assert totals.counts() == Recovered(0, 0, 0)
    log("a", requeued=3, failed=1, poison=1)
    log("b", requeued=2)
    for _ in range(2):
        assert totals.counts() == Recovered(2, 6, 1)


def test_classes_above_a_number_count_together(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals_module, "NAMES", 3)
    totals = JobTotals(store, now=MINUTE * 60)
    fields = {f"d|mail|{name}": 10 - number for number, name in enumerate("ABCD")}
    redis_client.hset(store.keys.metrics("minute", MINUTE), mapping=fields)
    found = totals.counts(now=(MINUTE + 4) * 60)
    done = {job: count for (_, job, outcome), count in found.items() if outcome == "done"}
    assert done == {"A": 10, "B": 9, "other": 15}


def test_stats_as_resque_writes_them(app: Flask, redis_client: redis.Redis) -> None:
    fill(redis_client)
    answer = app.test_client().get("/stats.txt", headers=ME)
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.text.split("\n") == [
        "resque.pending=2", "resque.processed+=9", "resque.failed+=4", "resque.workers=1",
        "resque.working=2", 'queues.a"b\\n=0', "queues.mail=2",
    ]  # fmt: skip


def test_health_is_open_to_all(app: Flask) -> None:
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_health_of_a_redis_that_hangs(own: OwnServer) -> None:
    with open_app(own.url) as app:
        browser = app.test_client()
        assert browser.get("/healthz").status_code == 200
        own.stop()
        asked = time.monotonic()
        assert browser.get("/healthz").status_code == 503
        assert time.monotonic() - asked < 15
        own.resume()
        assert browser.get("/healthz").status_code == 200


@pytest.mark.parametrize("address", ["/metrics", "/stats.txt"])
def test_errors_are_one_line_of_plain_text(app: Flask, address: str) -> None:
    """A scraper logs what it gets."""
    unknown = app.test_client().get(address, headers={"Authorization": "Bearer none"})
    assert unknown.status_code == 401 and unknown.headers["WWW-Authenticate"] == "Bearer"
    with open_app("redis://127.0.0.1:1", **with_users()) as away:
        answer = away.test_client().get(address, headers=ME)
    assert answer.status_code == 503
    for each in (unknown, answer):
        assert each.mimetype == "text/plain" and each.text.count("\n") == 1
    assert answer.text.startswith("Redis does not answer: No answer from Redis at 127.0.0.1:1")
    assert "page" not in answer.text


def test_errors_of_the_api_speak_of_no_page(app: Flask) -> None:
    with open_app("redis://127.0.0.1:1", **with_users()) as away:
        answer = away.test_client().get("/api/queues", headers=ME)
    assert answer.status_code == 503 and answer.mimetype == "application/problem+json"
    assert "page" not in answer.get_json()["detail"]
