"""Looking for a text in the failed jobs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from gresque.failure.backend import RedisBackend, RedisMultiQueueBackend
from gresque.inspector import failed_search
from gresque.inspector.failed_search import MOST_SEARCHES, FailedSearch, FailedSearches
from gresque.inspector.filters import TEXT, Filter, Term, WantedFailed, parse
from tests.process.support import wait_for
from tests.support.failed_jobs import FAILED, Redis, entry, keep, numbers


@pytest.fixture
def searches(backend: RedisBackend) -> Iterator[FailedSearches]:
    with closing(FailedSearches(backend)) as searches:
        yield searches


def wanted(text: str, queue: str | None = None) -> WantedFailed:
    return WantedFailed(queue=queue, filter=Filter((Term(TEXT, text),)))


def hits(search: FailedSearch, page: int = 0) -> list[int]:
    search.page(page)
    wait_for(lambda: not search.is_looking)
    return numbers([job.raw for job in search.page(page)])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TIMED out", [2]),
        ('a "b"', [3]),
        ("größe", [4]),
        ("Straße", [5]),
        ('"args": [1]', [1]),
        ("id5", [5]),
        ("nowhere", []),
    ],
)
def test_it_finds_a_text_anywhere_in_the_entry(
    searches: FailedSearches, redis_client: Redis, text: str, found: list[int]
) -> None:
    errors = ["", "", "Timed Out", 'a "b"', "", "STRASSE"]
    redis_client.rpush(FAILED, *(entry(n, error=error) for n, error in enumerate(errors)))
    # Another program escapes what is not ASCII.
    escaped = json.dumps(json.loads(entry(4, error="Größe"))).encode()
    redis_client.lset(FAILED, 4, escaped)
    search = searches.of(wanted(text))
    assert hits(search) == found
    assert search.is_over
    assert (search.looked_at, search.total) == (6, 6)


def test_it_finds_by_id_and_group_and_retries_find_the_same(
    searches: FailedSearches, backend: RedisBackend, redis_client: Redis
) -> None:
    redis_client.rpush(FAILED, *(entry(n, queue="ab"[n % 2], error="no") for n in range(20)))
    found = WantedFailed(queue="a", filter=parse("no id:id12"))
    assert hits(searches.of(found)) == [12]
    found = WantedFailed(queue="a", exception="ValueError", filter=parse('"[1" queue:a'))
    assert hits(searches.of(found)) == [18, 16, 14, 12, 10]
    assert backend.retry_all(found).retried == 5


def test_it_looks_no_further_than_the_page_that_is_asked_for(
    searches: FailedSearches, redis_client: Redis
) -> None:
    redis_client.rpush(FAILED, *(entry(n, error="no") for n in range(200)))
    search = searches.of(wanted("no"))
    assert hits(search) == [*range(199, 149, -1)]
    assert search.looked_at == search.found == 51
    assert hits(search, 1) == [*range(149, 99, -1)]
    assert search.looked_at == 101
    assert not search.is_over
    search.cancel()
    wait_for(lambda: search.is_over)
    assert search.page(3) == []


def test_a_search_that_nobody_asks_for_ends(
    searches: FailedSearches, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_search, "UNASKED_SECONDS", 0.01)
    redis_client.rpush(FAILED, *(entry(n, error="no") for n in range(200)))
    search = searches.of(wanted("no"))
    search.page(0)
    wait_for(lambda: search.is_over)
    assert search.looked_at <= 51


def test_pages_share_a_search_and_too_many_are_cancelled(
    searches: FailedSearches, redis_client: Redis
) -> None:
    redis_client.rpush(FAILED, *(entry(n, queue="ab"[n % 2], error="no") for n in range(200)))
    first = searches.of(wanted("no", queue="a"))
    assert hits(first)[:3] == [198, 196, 194]
    assert searches.of(wanted("no", queue="a")) is first
    first.cancel()
    assert searches.of(wanted("no", queue="a"), again=False) is first
    second = searches.of(wanted("no", queue="a"))
    assert second is not first
    others = [searches.of(wanted(str(number))) for number in range(MOST_SEARCHES)]
    assert len({id(each) for each in others}) == MOST_SEARCHES
    assert second.is_over


def test_lists_of_several_queues_are_searched_together(
    multi: RedisMultiQueueBackend, redis_client: Redis
) -> None:
    for number in range(6):
        at = f"2026/11/23 15:00:0{number} UTC"
        keep(redis_client, "ab"[number % 2], entry(number, error="no", failed_at=at))
    with closing(FailedSearches(multi)) as searches:
        search = searches.of(wanted("no"))
        assert hits(search) == [5, 4, 3, 2, 1, 0]
        assert search.page(0)[0].list_name == "b_failed"


def test_close_ends_all_threads(searches: FailedSearches, redis_client: Redis) -> None:
    redis_client.rpush(FAILED, *(entry(n, error="no") for n in range(200)))
    found = [searches.of(wanted(str(number))) for number in range(MOST_SEARCHES + 2)]
    found.append(searches.of(wanted("no")))
    assert hits(found[-1])  # its thread waits for the question for another page
    assert "failed search" in [thread.name for thread in threading.enumerate()]
    searches.close()
    assert all(each.has_ended for each in found)
    assert "failed search" not in [thread.name for thread in threading.enumerate()]
