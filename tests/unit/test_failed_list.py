"""A failed list: the sizes of its pages."""

from __future__ import annotations

import os
import tracemalloc

import pytest

from gresque.failure.backend import RedisBackend
from gresque.failure.failed_list import PAGE, FailedList, PageSize
from gresque.failure.search import Wanted
from gresque.store.store import Store
from tests.support.failed_jobs import (
    FAILED,
    Redis,
    entry,
)


class TestPageSize:
    @pytest.mark.parametrize(
        ("entry_bytes", "settles_at"), [(1, PAGE), (500, PAGE), (10_000, 52), (10**6, 1)]
    )
    def test_it_settles_at_half_a_megabyte(self, entry_bytes: int, settles_at: int) -> None:
        size = PageSize()
        for _ in range(6):
            size.saw([b"x" * entry_bytes] * min(size.entries, 3))
        assert size.entries == settles_at

    def test_it_grows_by_and_by_and_survives_emptiness(self) -> None:
        size = PageSize()
        for expected in (200, 800, PAGE, PAGE):
            size.saw([b"", b""])
            assert size.entries == expected
        size.saw([])
        assert size.entries == PAGE

    def test_large_entries_are_never_in_memory_together(
        self, backend: RedisBackend, redis_client: Redis
    ) -> None:
        raw = entry(1, error="x")[:-1] + b',"more":"' + b"x" * 500_000 + b'"}'
        for _ in range(4):
            redis_client.rpush(FAILED, *([raw] * 50))
        tracemalloc.start()
        assert sum(1 for _ in backend.newest(0, 1000, Wanted(text="x"))) == 200
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # The first page of 50 is 25 MB; all of them would be 100.
        assert peak < 60_000_000


def test_reading_one_list_keeps_no_more_than_a_page(store: Store, redis_client: Redis) -> None:
    redis_client.rpush(FAILED, *(os.urandom(10) for _ in range(5000)))
    reads: list[int] = []
    read = FailedList.read

    class Watched(FailedList):
        def read(self, start: int, count: int) -> list[bytes]:
            reads.append(count)
            return read(self, start, count)

    found = [index for index, _ in Watched(store, FAILED).backwards(5000)]
    assert found == list(range(4999, -1, -1))
    assert max(reads) == PAGE
