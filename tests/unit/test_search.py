"""Searching the failed jobs: by group, and by text."""

from __future__ import annotations

from typing import Any

import pytest

from gresque.failure.backend import RedisBackend, Retries
from gresque.failure.failed_list import PAGE
from gresque.failure.search import EVERYTHING, Group, Wanted, glance
from tests.support.failed_jobs import (
    FAILED,
    Redis,
    Stopper,
    entry,
    numbers,
)


class TestGlance:
    @pytest.mark.parametrize(
        "raw",
        [b"", b"garbage", b"\xff", b"[1]", b"{}", b'{"payload":null}', b'{"payload":7}',
         b'{"payload":{"class":7},"exception":[],"retried_at":true}', b"[" * 100_000],
    )  # fmt: skip
    def test_whatever_stands_there(self, raw: bytes) -> None:
        seen = glance(raw)
        assert seen.error is None
        assert EVERYTHING.matches(seen)
        assert not Wanted(job_class="A").matches(seen)

    def test_fields_of_other_types_are_read_as_text(self) -> None:
        seen = glance(b'{"payload":{"class":7},"queue":5,"retried_at":true,"error":null}')
        assert (seen.job_class, seen.queue, seen.retried_at) == ("7", "5", "True")
        assert glance(b'{"retried_at":false,"queue":5}').retried_at is None

    @pytest.mark.parametrize(
        ("wanted", "matches"),
        [
            (Wanted(), True),
            (Wanted(job_class="Näme"), True),
            (Wanted(job_class="Näm"), False),
            (Wanted(exception="E"), True),
            (Wanted(exception="e"), False),
            (Wanted(queue="q", exception="E"), True),
            (Wanted(queue="p", exception="E"), False),
            (Wanted(text="TIMED out"), True),
            (Wanted(text="straße"), True),
            (Wanted(text="STRASSE"), True),
            (Wanted(text="in time"), False),
        ],
    )
    def test_what_is_wanted(self, wanted: Wanted, matches: bool) -> None:
        raw = entry(1, name="Näme", exception="E", error="Timed out in der Straße")
        assert wanted.matches(glance(raw)) == matches
        assert bool(wanted) == (wanted != Wanted())


class TestSearch:
    @pytest.fixture(autouse=True)
    def _entries(self, redis_client: Redis) -> None:
        """A of queue q, B of queue p, in turn; every tenth times out; garbage amid them."""
        raws = [
            entry(
                number, name="AB"[number % 2], queue="qp"[number % 2], retried=number % 7 == 0,
                exception="TimeoutError" if number % 10 == 0 else "ValueError",
                error=f"error {number}",
            )
            for number in range(2 * PAGE + 500)
        ]  # fmt: skip
        raws[501] = b"garbage"
        redis_client.rpush(FAILED, *raws)

    @pytest.mark.parametrize(
        ("wanted", "is_one"),
        [
            (Wanted(), lambda n: True),
            (Wanted(job_class="A"), lambda n: n % 2 == 0),
            (Wanted(exception="TimeoutError", queue="q"), lambda n: n % 10 == 0),
            (Wanted(exception="TimeoutError", queue="p"), lambda n: False),
            (Wanted(text="ERROR 77"), lambda n: str(n).startswith("77")),
        ],
    )
    @pytest.mark.parametrize(("offset", "count"), [(0, 20), (3, 1200), (10**6, 5), (0, 10**6)])
    def test_pages_from_the_newest(
        self, backend: RedisBackend, wanted: Wanted, is_one: Any, offset: int, count: int
    ) -> None:
        indexes = [
            n for n in range(2 * PAGE + 499, -1, -1) if is_one(n) and (not wanted or n != 501)
        ]
        found = [job.index for job in backend.newest(offset, count, wanted)]
        assert found == indexes[offset : offset + count]

    def test_groups(self, backend: RedisBackend) -> None:
        groups = backend.groups()
        assert [(group, counted.count) for group, counted in groups.items()] == [
            (Group("B", "ValueError", "p"), 1249),
            (Group("A", "ValueError", "q"), 1000),
            (Group("A", "TimeoutError", "q"), 250),
            (Group(None, None, None), 1),
        ]
        timed_out = groups[Group("A", "TimeoutError", "q")]
        assert timed_out.retried == len(range(0, 2500, 70))
        assert timed_out.last_failed_at.endswith(" UTC")
        assert list(backend.groups(Wanted(text="error 77"))) == [
            Group("B", "ValueError", "p"), Group("A", "ValueError", "q"),
            Group("A", "TimeoutError", "q"),
        ]  # fmt: skip

    def test_groups_tell_how_far_they_have_come(self, backend: RedisBackend) -> None:
        whole, cut = Stopper(99), Stopper(1)
        backend.groups(progress=whole)
        assert whole.seen == [(1000, 2500), (2000, 2500), (2500, 2500)]
        assert sum(group.count for group in backend.groups(progress=cut).values()) == 999 + 1

    def test_only_the_wanted_are_retried(self, backend: RedisBackend, redis_client: Redis) -> None:
        wanted = Wanted(exception="TimeoutError")
        before = redis_client.lrange(FAILED, 0, -1)
        assert backend.retry_all(wanted) == Retries(214, 36, 0)
        expected = [n for n in range(0, 2500, 10) if n % 7]
        assert numbers(redis_client.lrange("resque:queue:q", 0, -1)) == expected
        assert not redis_client.exists("resque:queue:p")
        after = redis_client.lrange(FAILED, 0, -1)
        assert [n for n in range(2500) if after[n] != before[n]] == expected
        assert backend.retry_all(wanted) == Retries(0, 250, 0)

    def test_only_the_wanted_are_removed(self, backend: RedisBackend, redis_client: Redis) -> None:
        before = redis_client.lrange(FAILED, 0, -1)
        assert backend.remove_all(Wanted(job_class="A", exception="ValueError")) == 1000
        left = [raw for n, raw in enumerate(before) if n % 2 or n % 10 == 0]
        assert redis_client.lrange(FAILED, 0, -1) == left
        assert backend.remove_all(EVERYTHING) == 1500
        assert not redis_client.exists(FAILED)
