"""The lists of failed jobs."""

from __future__ import annotations

import pytest
import redis

from gresque.store.store import Store

Redis = redis.Redis


def test_failed_pages(store: Store, redis_client: Redis) -> None:
    redis_client.rpush("f", *"abcde")
    assert store.failed.count("f") == 5
    assert store.failed.count("none") == 0
    assert store.failed.page("f", 1, 2) == [b"b", b"c"]
    assert store.failed.page("f", 4, 9) == [b"e"]
    assert store.failed.page("f", 9, 9) == []


@pytest.mark.parametrize(("count", "removed", "left"), [(0, 0, 3), (2, 2, 1), (3, 3, 0), (9, 3, 0)])
def test_trim_failed(
    store: Store, redis_client: Redis, count: int, removed: int, left: int
) -> None:
    redis_client.rpush("f", *"abc")
    assert store.failed.trim("f", count) == removed
    assert redis_client.llen("f") == left
