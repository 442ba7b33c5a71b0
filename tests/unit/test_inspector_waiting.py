"""Delayed jobs and retries, page by page."""

from __future__ import annotations

import time

import pytest

import gresque
from gresque.inspector import waiting
from gresque.inspector.waiting import delayed_page, retries_page
from gresque.jobs import payload
from gresque.jobs.attempts import failed_attempt
from gresque.store.later_job import LaterJob
from gresque.store.store import Store

NOW = time.time()


def put(store: Store, number: int, *, is_retry: bool) -> None:
    raw = payload.encode(f"Job{number}", (number,), None, f"{number:032x}")
    if is_retry:
        found = failed_attempt(raw, "ValueError", "no", NOW, 60)
        assert found is not None
        raw = found
    keys, name = store.keys, f"{number:032x}"
    store.redis.zadd(keys.later, {name: int((NOW + number) * 1000)})
    store.redis.hset(keys.later_jobs, name, LaterJob("", 0, "mail", raw).entry(keys))


@pytest.fixture
def mixed(store: Store) -> Store:
    """Twelve jobs; each third one is to be tried again."""
    for number in range(12):
        put(store, number, is_retry=number % 3 == 0)
    return store


def test_pages_follow_each_other_without_gap(mixed: Store) -> None:
    names, start = [], 0
    while True:
        page = delayed_page(mixed, start, 3)
        assert page.total == 12
        names += [job.name for job in page.rows]
        if page.next is None:
            break
        start = page.next
    assert names == [f"Job{number}" for number in range(12) if number % 3]
    assert [each.name for each in retries_page(mixed).rows] == ["Job0", "Job3", "Job6", "Job9"]


def test_a_page_reads_so_far_and_says_where_to_go_on(
    mixed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOKED_AT", 5)
    page = delayed_page(mixed, 0, 50, lambda job: job.name == "Job11")
    assert (page.rows, page.looked_at, page.next) == ([], 5, 5)
    page = delayed_page(mixed, 10, 50, lambda job: job.name == "Job11")
    assert ([job.name for job in page.rows], page.next) == (["Job11"], None)


def test_jobs_of_other_programs_stand_among_the_delayed_ones(mixed: Store) -> None:
    due = int(NOW) + 5
    mixed.redis.zadd("resque:delayed_queue_schedule", {str(due): due})
    mixed.redis.rpush(f"resque:delayed:{due}", '{"class":"Ruby","args":[],"queue":"web"}')
    first = delayed_page(mixed, 0, 3)
    assert first.total == 13
    assert first.next is not None
    names = [job.name for job in first.rows]
    names += [job.name for job in delayed_page(mixed, first.next, 50).rows]
    assert sorted(str(name) for name in names) == sorted(
        ["Ruby", *(f"Job{number}" for number in range(12) if number % 3)]
    )


def test_an_empty_page(client: gresque.Client, store: Store) -> None:
    page = delayed_page(store, 40, 50)
    assert (page.rows, page.looked_at, page.next, page.total) == ([], 0, None, 0)
