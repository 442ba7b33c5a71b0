"""Retrying and removing failed jobs: what is done is in the log, with who wanted it."""

from __future__ import annotations

import logging

import pytest
import redis

from gresque.control.remove import (
    clear_retried,
    remove_all_failed,
    remove_failed,
    remove_oldest_failed,
)
from gresque.control.retry import retry_all_failed, retry_failed
from gresque.failure.backend import RedisBackend
from gresque.failure.entry import encode_entry
from gresque.failure.search import Wanted
from gresque.store.store import Store


def fail(client: redis.Redis, count: int) -> None:
    for number in range(count):
        raw = b'{"class":"A","args":[],"id":"%d"}' % number
        client.rpush("resque:failed", encode_entry(raw, "E", "text", [], "w", "mail"))


def test_who_did_what(
    store: Store, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    fail(redis_client, 8)
    backend = RedisBackend(store)
    newest = [*backend.newest(count=3)]
    with caplog.at_level(logging.INFO, "gresque.control"):
        assert retry_failed(backend, newest[:2], by="ana") == [True, True]
        assert clear_retried(backend, by="ana") == 2
        assert remove_failed(backend, [*backend.newest(count=1)], by="ben") == 1
        assert remove_oldest_failed(backend, {"": 1}, by="ben") == 1
        assert retry_all_failed(backend, by="cy").retried == 4
        assert remove_all_failed(backend, Wanted(job_class="A"), by="cy") == 4
    assert [record.getMessage() for record in caplog.records] == [
        "ana retried 2 failed jobs",
        "ana removed 2 failed jobs",
        "ben removed 1 failed jobs",
        "ben removed 1 failed jobs",
        "cy retried 4 failed jobs",
        "cy removed 4 failed jobs",
    ]
    assert {record.event for record in caplog.records} == {  # type: ignore[attr-defined]
        "failed_retried", "failed_removed",
    }  # fmt: skip
    assert redis_client.llen("resque:failed") == 0
