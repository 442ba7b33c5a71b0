"""Running jobs by ids of any length."""

from __future__ import annotations

import pytest
import redis

from benchmarks.held import hold, job_id, process_name
from gresque.control.targets import find_running
from gresque.errors import AmbiguousId
from gresque.store.store import Store


def found(store: Store, wanted: str) -> tuple[str, list[str]]:
    job, held = find_running(store, wanted, store.processes.ids())
    return job, [each.process for each in held]


@pytest.mark.parametrize("digits", [32, 20])
def test_the_only_one(store: Store, redis_client: redis.Redis, digits: int) -> None:
    hold(redis_client, 3, 2)
    assert found(store, job_id(1, 1)[-digits:]) == (job_id(1, 1), [process_name(1)])


def test_several_with_one_end(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 3, 2)
    with pytest.raises(AmbiguousId, match="the ids of 3 running jobs end with 00000001; give more"):
        found(store, "00000001")


def test_none(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 3, 2)
    # Part of an argument, of an id's beginning, and of none.
    for wanted in ("xxxx", job_id(1, 1)[:20], "00000009", ""):
        assert found(store, wanted) == (wanted, [])


def test_one_id_in_two_processes(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 1)
    value = redis_client.hget(f"resque:ledger:{process_name(0)}", "0")
    assert isinstance(value, bytes)
    redis_client.hset(f"resque:ledger:{process_name(1)}", "7", value)
    assert found(store, job_id(0, 0)) == (job_id(0, 0), [process_name(0), process_name(1)])
