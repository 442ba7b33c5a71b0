"""A shard that has jobs and no process is named in the log."""

from __future__ import annotations

import logging

import pytest

import gresque
from gresque.maintenance.task import NEVER
from gresque.maintenance.unserved_shards import LOOK_SECONDS, UnservedShards
from gresque.queue_list import QueueList
from gresque.settings import Settings
from gresque.store.store import Store


def settings_of(redis_url: str, *serve: str) -> list[Settings]:
    urls = (redis_url, f"b={redis_url}?db=1", "c=redis://127.0.0.1:1")
    settings = Settings(queues=QueueList.parse("q"), redis_urls=urls, serve_shards=serve)
    return [settings.of_shard(shard) for shard in settings.all_shards()]


def test_a_shard_with_jobs_and_no_process(
    redis_url: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    task = UnservedShards(settings_of(redis_url, "0")[0])
    assert 0 < task.due(0) <= LOOK_SECONDS + task.due(LOOK_SECONDS)
    with caplog.at_level(logging.INFO):
        task.run(store)
        assert not caplog.records, "no jobs, and a server that is away"
        with_b = gresque.Client(f"{redis_url}?db=1")
        with_b.enqueue_to("q", "Any")
        task.run(store)
        (record,) = caplog.records
        assert record.getMessage().startswith("shard b has 1 waiting job and no worker process;")
        with_b.store.server.redis.zadd("resque:ledgers", {"vm:1:q:1:1:1:2:3": 1})
        task.run(store)
        assert len(caplog.records) == 1
    with_b.close()


def test_one_process_looks_and_only_where_some_are_left_out(redis_url: str) -> None:
    _, second, third = settings_of(redis_url, "b", "c")
    assert UnservedShards(second).due(0) < NEVER
    assert UnservedShards(third).due(0) == NEVER
    assert UnservedShards(settings_of(redis_url)[0]).due(0) == NEVER
    assert UnservedShards(Settings()).due(0) == NEVER
