"""The backend of `resque:failed`: reading, retrying, removing. Tables: Redis before, the call,
Redis after."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from gresque.errors import InvalidPayload
from gresque.failure.backend import RedisBackend, Retries
from gresque.failure.entry import encode_entry
from gresque.failure.failed_list import PAGE, FailedList, read_entry
from gresque.failure.retry import prepare_retry
from gresque.jobs import payload
from gresque.store.failed import FailedLists
from gresque.store.store import Store

FAILED = "resque:failed"
NOW = "2026/11/23 15:33:36"

WIRE = Path(__file__).parents[1] / "wire"
FORK = (WIRE / "fork_failed_entry.json").read_bytes().strip()
FORK_RETRIED = (WIRE / "fork_failed_entry_retried.json").read_bytes().strip()
FORK_ITEM_RETRIED = (WIRE / "fork_queue_item_retried.json").read_bytes().strip()
STOCK = (WIRE / "stock_failed_entry.json").read_bytes().strip()
GARBAGE = [b"garbage \xff", b"", b"[1]", b"{}", b'{"payload":{"class":"A"}}', b"[" * 100_000]


@pytest.fixture
def failed_list(store: Store) -> FailedList:
    return FailedList(store, FAILED)


Fill = Callable[..., list[bytes]]


@pytest.fixture
def fill(redis_client: redis.Redis) -> Fill:
    """Fill the failed list with `count` entries, those at the indexes `retried` marked so."""

    def fill(count: int, retried: Any = ()) -> list[bytes]:
        entries = [entry(n, retried=n in retried) for n in range(count)]
        for start in range(0, count, 5000):
            redis_client.rpush(FAILED, *entries[start : start + 5000])
        return entries

    return fill


def entry(number: int, *, retried: bool = False, queue: str = "q") -> bytes:
    item = json.dumps({"class": "Noop", "args": [number], "id": f"id{number}", "generation": 1})
    raw = encode_entry(item.encode(), "ValueError", "no", [], "host:1:q:1:1:1", queue)
    return prepare_retry(raw, NOW).marked if retried else raw


def numbers(raws: list[bytes]) -> list[int]:
    """Which jobs these entries or queue items are, by their argument."""
    found = [json.loads(raw) for raw in raws]
    return [item.get("payload", item)["args"][0] for item in found]


class TestReading:
    def test_nothing(self, backend: RedisBackend, failed_list: FailedList) -> None:
        assert backend.count() == 0
        assert failed_list.page(0, 10) == []
        assert list(backend.newest()) == []
        assert backend.find(0) is None
        assert backend.find_ids(["x"]) == {}

    def test_pages(self, backend: RedisBackend, failed_list: FailedList, fill: Fill) -> None:
        fill(5)
        assert backend.count() == 5
        assert [job.index for job in failed_list.page(1, 3)] == [1, 2, 3]
        assert [job.index for job in failed_list.page(4, 3)] == [4]

    @pytest.mark.parametrize(
        ("offset", "count", "indexes"),
        [
            (0, 2, [4, 3]),
            (2, 2, [2, 1]),
            (4, 2, [0]),
            (5, 2, []),
            (99, 2, []),
            (0, 0, []),
            (0, 99, [4, 3, 2, 1, 0]),
        ],
    )
    def test_newest(
        self, backend: RedisBackend, fill: Fill, offset: int, count: int, indexes: list[int]
    ) -> None:
        fill(5)
        assert [job.index for job in backend.newest(offset, count)] == indexes

    def test_newest_goes_in_pages(self, backend: RedisBackend, fill: Fill) -> None:
        fill(2 * PAGE + 5)
        found = list(backend.newest(3, 2 * PAGE))
        assert [job.index for job in found] == list(range(2 * PAGE + 1, 1, -1))
        assert all(job.item["args"] == [job.index] for job in found)

    def test_find(self, backend: RedisBackend, fill: Fill) -> None:
        fill(PAGE + 5)
        job = backend.find(7)
        assert job is not None and job.job_id == "id7"
        assert backend.find(PAGE + 5) is None

    def test_find_by_id_finds_the_newest_entry_of_each(
        self, backend: RedisBackend, fill: Fill, redis_client: redis.Redis
    ) -> None:
        fill(PAGE + 5)
        redis_client.rpush(FAILED, entry(3))
        found = backend.find_ids(["id3", "id4", "id", "nope"])
        assert {job_id: job.index for job_id, job in found.items()} == {"id3": PAGE + 5, "id4": 4}

    def test_ids_of_other_types(self, backend: RedisBackend, redis_client: redis.Redis) -> None:
        redis_client.rpush(FAILED, b'{"payload":{"class":"A","id":77},"queue":"q"}')
        assert backend.find_ids(["77"])["77"].index == 0

    @pytest.mark.parametrize("raw", GARBAGE)
    def test_what_is_no_entry_is_read_all_the_same(
        self, failed_list: FailedList, redis_client: redis.Redis, raw: bytes
    ) -> None:
        redis_client.rpush(FAILED, raw)
        (job,) = failed_list.page(0, 10)
        assert (job.raw, job.entry, job.retried, job.job_id) == (raw, None, False, "")
        assert job.as_dict()["index"] == 0

    def test_as_dict_keeps_unknown_fields(self) -> None:
        job = read_entry(3, FORK[:-1] + b',"index":9,"mine":{"a":1}}')
        assert job.as_dict() == {**json.loads(FORK), "mine": {"a": 1}, "index": 3}


class TestRetry:
    def test_pushes_then_marks(
        self, backend: RedisBackend, failed_list: FailedList, redis_client: redis.Redis
    ) -> None:
        redis_client.rpush(FAILED, STOCK, FORK)
        assert backend.retry(failed_list.page(1, 1)) == [True]
        (item,) = redis_client.lrange("resque:queue:bench", 0, -1)
        assert json.loads(item)["generation"] == 2
        assert redis_client.smembers("resque:queues") == {b"bench"}
        first, second = redis_client.lrange(FAILED, 0, -1)
        assert first == STOCK
        assert second.startswith(FORK[:-1] + b',"retried_at":"')

    def test_an_entry_that_moved_is_left_alone(
        self, backend: RedisBackend, failed_list: FailedList, fill: Fill, redis_client: redis.Redis
    ) -> None:
        entries = fill(3)
        jobs = failed_list.page(0, 3)
        redis_client.lpop(FAILED)
        assert backend.retry(jobs) == [False, False, False]
        assert redis_client.lrange(FAILED, 0, -1) == entries[1:]
        assert redis_client.llen("resque:queue:q") == 0

    def test_one_that_cannot_be_retried_stops_all(
        self, backend: RedisBackend, failed_list: FailedList, redis_client: redis.Redis
    ) -> None:
        redis_client.rpush(FAILED, FORK, b"garbage")
        with pytest.raises(InvalidPayload, match="failed job 1 cannot be retried"):
            backend.retry(failed_list.page(0, 2))
        assert redis_client.lrange(FAILED, 0, -1) == [FORK, b"garbage"]
        assert redis_client.keys("resque:queue*") == []


class TestRetryAll:
    @pytest.mark.parametrize("count", [0, 1, PAGE, 2 * PAGE + 500])
    def test_all_of_them_in_order(
        self, backend: RedisBackend, fill: Fill, redis_client: redis.Redis, count: int
    ) -> None:
        retried = set(range(0, count, 3))
        fill(count, retried)
        fresh = [number for number in range(count) if number not in retried]
        assert backend.retry_all() == Retries(len(fresh), len(retried), 0)
        assert numbers(redis_client.lrange("resque:queue:q", 0, -1)) == fresh
        assert numbers(redis_client.lrange(FAILED, 0, -1)) == list(range(count))
        assert all(job.retried for job in backend.newest(0, count))
        assert backend.retry_all() == Retries(0, count, 0)
        assert redis_client.llen("resque:queue:q") == len(fresh)

    def test_what_cannot_be_retried_stays_as_it_is(
        self, backend: RedisBackend, redis_client: redis.Redis
    ) -> None:
        garbage = [raw for raw in GARBAGE if raw]
        redis_client.rpush(FAILED, *garbage, FORK)
        assert backend.retry_all() == Retries(1, 0, len(garbage))
        assert redis_client.lrange(FAILED, 0, -2) == garbage

    def test_a_queue_that_is_no_list_loses_nothing(
        self, backend: RedisBackend, redis_client: redis.Redis
    ) -> None:
        redis_client.set("resque:queue:odd", "x")
        entries = [entry(0), entry(1, queue="odd"), entry(2)]
        redis_client.rpush(FAILED, *entries)
        assert backend.retry_all() == Retries(2, 0, 1)
        assert numbers(redis_client.lrange("resque:queue:q", 0, -1)) == [0, 2]
        assert redis_client.lindex(FAILED, 1) == entries[1]
        assert redis_client.smembers("resque:queues") == {b"q"}

    def test_a_tracked_job_that_is_not_pushed_stays_failed(
        self, backend: RedisBackend, redis_client: redis.Redis
    ) -> None:
        redis_client.set("resque:queue:odd", "x")
        for name in ("q", "odd"):
            raw = payload.encode("A", (), None, name, envelope={"track": 60})
            redis_client.rpush(FAILED, encode_entry(raw, "ValueError", "no", [], "host:1", name))
            redis_client.hset(f"resque:job:{name}", "s", "failed")
        assert backend.retry_all() == Retries(1, 0, 1)
        assert redis_client.hget("resque:job:q", "s") == b"queued"
        assert redis_client.hget("resque:job:odd", "s") == b"failed"

    def test_without_the_set_of_queues_nothing_is_pushed(
        self, backend: RedisBackend, redis_client: redis.Redis
    ) -> None:
        redis_client.set("resque:queues", "x")
        redis_client.rpush("resque:queue:q", "waiting")
        redis_client.rpush(FAILED, *(entries := [entry(0), entry(1)]))
        assert backend.retry_all() == Retries(0, 0, 2)
        assert redis_client.lrange("resque:queue:q", 0, -1) == [b"waiting"]
        assert redis_client.lrange(FAILED, 0, -1) == entries
        with pytest.raises(redis.ResponseError, match="resque:queues"):
            backend.retry([backend.find(0)])
        assert redis_client.lrange("resque:queue:q", 0, -1) == [b"waiting"]

    def test_an_incomplete_entry_is_retried_once(
        self, backend: RedisBackend, redis_client: redis.Redis
    ) -> None:
        redis_client.rpush(FAILED, b'{"payload":{"class":"A"},"queue":"q"}')
        assert backend.retry_all().retried == 1
        assert backend.retry_all() == Retries(0, 1, 0)

    def test_when_others_remove_at_the_same_time(
        self,
        backend: RedisBackend,
        fill: Fill,
        redis_client: redis.Redis,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An entry vanishes between reading and writing: read again, none twice, none left out."""
        fill(PAGE + 10)
        read, disturbances = FailedList.read, iter([True, False, True])

        def disturbed(self: FailedList, start: int, count: int) -> list[bytes]:
            found = read(self, start, count)
            if next(disturbances, False):
                redis_client.lpop(FAILED)
            return found

        monkeypatch.setattr(FailedList, "read", disturbed)
        backend.retry_all()
        monkeypatch.undo()
        pushed = numbers(redis_client.lrange("resque:queue:q", 0, -1))
        assert len(pushed) == len(set(pushed))
        assert all(job.retried for job in backend.newest(0, 5 * PAGE))

    def test_failures_that_come_meanwhile_wait(
        self,
        backend: RedisBackend,
        fill: Fill,
        redis_client: redis.Redis,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fill(PAGE)
        rewrite, calls = FailedLists.rewrite, []

        def failing_again(self: FailedLists, *arguments: Any) -> int:
            calls.append(redis_client.rpush(FAILED, entry(7777)))
            return rewrite(self, *arguments)

        monkeypatch.setattr(FailedLists, "rewrite", failing_again)
        assert backend.retry_all().retried == PAGE
        assert redis_client.llen(FAILED) == PAGE + len(calls)
        assert 7777 not in numbers(redis_client.lrange("resque:queue:q", 0, -1))


class TestRemove:
    @pytest.mark.parametrize(
        ("indexes", "left"),
        [
            ([0], [1, 2, 3, 4]),
            ([0, 1, 3], [2, 4]),
            ([3, 1, 0], [2, 4]),
            ([4, 4], [0, 1, 2, 3]),
            ([0, 1, 2, 3, 4], []),
            ([], [0, 1, 2, 3, 4]),
        ],
    )
    def test_several_at_once(
        self,
        backend: RedisBackend,
        failed_list: FailedList,
        fill: Fill,
        redis_client: redis.Redis,
        indexes: list[int],
        left: list[int],
    ) -> None:
        fill(5)
        jobs = [job for index in indexes for job in failed_list.page(index, 1)]
        assert backend.remove(jobs) == len(set(indexes))
        assert numbers(redis_client.lrange(FAILED, 0, -1)) == left

    def test_more_than_a_round_trip_takes(
        self, backend: RedisBackend, failed_list: FailedList, fill: Fill, redis_client: redis.Redis
    ) -> None:
        fill(500)
        assert backend.remove(failed_list.page(0, 500)[::2]) == 250
        assert numbers(redis_client.lrange(FAILED, 0, -1)) == list(range(1, 500, 2))

    def test_never_another_entry(
        self, backend: RedisBackend, failed_list: FailedList, fill: Fill, redis_client: redis.Redis
    ) -> None:
        entries = fill(4)
        jobs = failed_list.page(1, 2)
        redis_client.lpop(FAILED)
        assert backend.remove(jobs) == 0
        assert redis_client.lrange(FAILED, 0, -1) == entries[1:]

    def test_garbage(
        self, backend: RedisBackend, failed_list: FailedList, redis_client: redis.Redis
    ) -> None:
        redis_client.rpush(FAILED, FORK, *GARBAGE, STOCK)
        assert backend.remove(failed_list.page(1, len(GARBAGE))) == len(GARBAGE)
        assert redis_client.lrange(FAILED, 0, -1) == [FORK, STOCK]


class TestClear:
    @pytest.mark.parametrize("count", [0, 5, 2 * PAGE + 500])
    @pytest.mark.parametrize("every", [1, 2, 7, 10**9])
    def test_removes_only_what_was_retried(
        self,
        backend: RedisBackend,
        fill: Fill,
        redis_client: redis.Redis,
        count: int,
        every: int,
    ) -> None:
        retried = set(range(every - 1, count, every))
        fill(count, retried)
        assert backend.clear() == len(retried)
        left = numbers(redis_client.lrange(FAILED, 0, -1))
        assert left == [number for number in range(count) if number not in retried]

    def test_remove_oldest(
        self, backend: RedisBackend, fill: Fill, redis_client: redis.Redis
    ) -> None:
        fill(5)
        assert backend.remove_oldest({"": 3}) == 3
        assert numbers(redis_client.lrange(FAILED, 0, -1)) == [3, 4]
        assert backend.remove_oldest({"": 9}) == 2
        assert backend.count() == 0
