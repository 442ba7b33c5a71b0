"""The index of failed jobs says at any time what a reader of the whole lists would say."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from gresque.failure.backend import RedisBackend, RedisMultiQueueBackend
from gresque.failure.failed_list import FailedJob
from gresque.failure.search import Wanted, glance
from gresque.inspector import failed_index
from gresque.inspector.failed_index import FailedIndex
from gresque.store.failed_changes import MOST
from gresque.store.store import Store
from tests.support.failed_jobs import FAILED, RUBY, Redis, entry, keep, numbers

FRAMES = [
    "/venv/lib/python3.13/site-packages/requests/api.py:3:in `get'",
    "/srv/shop/sync.py:88:in `pull'",
    "/srv/shop/jobs.py:12:in `perform'",
]


def failure(number: int, **fields: object) -> bytes:
    at = f"2026/11/23 15:{number // 60 % 60:02d}:{number % 60:02d} UTC"
    found = json.loads(entry(number, failed_at=at))
    return json.dumps(found | {"backtrace": FRAMES} | fields).encode()


@pytest.fixture
def index(store: Store, backend: RedisBackend) -> Iterator[FailedIndex]:
    yield from open_index(store, backend)


def open_index(store: Store, backend: RedisBackend) -> Iterator[FailedIndex]:
    index = FailedIndex(store, backend)
    index._wake = lambda: None  # type: ignore[method-assign]  # tests say when it looks
    yield index
    index.close()


def shown(index: FailedIndex) -> dict[object, tuple[int, int]]:
    return {each.key: (each.count, each.retried) for each in index.groups()}


def truth(backend: RedisBackend) -> dict[object, tuple[int, int]]:
    seen = [glance(raw) for _, _, raw in backend.scan()]
    keys = [(each.job_class, each.exception, each.queue, each.frame) for each in seen]
    retried = Counter(key for key, each in zip(keys, seen, strict=True) if each.retried_at)
    return {key: (count, retried[key]) for key, count in Counter(keys).items()}


def test_a_group_is_what_broke_where_in_the_users_code(
    index: FailedIndex, redis_client: Redis
) -> None:
    redis_client.rpush(FAILED, *(failure(n, queue="ab"[n % 2], error=f"e{n}") for n in range(5)))
    redis_client.rpush(FAILED, failure(5, backtrace=None, exception="KeyError", retried_at="x"))
    index.follow()
    first, second, third = index.groups()
    assert first.key == ("Noop", "ValueError", "a", "/srv/shop/sync.py:88:in `pull'")
    assert (first.count, second.count, third.count) == (3, 2, 1)
    assert (first.error, second.error) == ("e4", "e3")
    assert third.key.frame is None
    assert (third.retried, third.waiting, first.waiting) == (1, 0, 3)
    assert first.last == 1795446000
    assert first.by_hour(1795448000, 2) == [0, 3]
    assert index.groups(Wanted(exception="KeyError")) == [third]


def test_a_page_shows_the_newest_of_a_group(index: FailedIndex, redis_client: Redis) -> None:
    redis_client.rpush(FAILED, *(failure(n, queue="ab"[n % 3 == 0]) for n in range(300)))
    index.follow()
    page = index.page(Wanted(queue="b"), offset=1, count=3)
    assert numbers([job.raw for job in page.jobs]) == [294, 291, 288]
    assert [job.index for job in page.jobs] == [294, 291, 288]
    assert (page.total, page.has_more) == (100, True)
    last = index.page(Wanted(queue="b"), offset=98, count=3)
    assert numbers([job.raw for job in last.jobs]) == [3, 0]
    assert not last.has_more
    assert index.page(Wanted(queue="c")).jobs == ()
    assert numbers([job.raw for job in index.page(count=2).jobs]) == [299, 298]


def test_an_entry_that_has_moved_is_not_shown_for_another(
    index: FailedIndex, redis_client: Redis
) -> None:
    redis_client.rpush(FAILED, *(failure(n, queue="ab"[n % 2]) for n in range(10)))
    index.follow()
    redis_client.lpop(FAILED)
    assert index.page(Wanted(queue="a")).jobs == ()


def test_it_works_from_the_first_step_on(
    index: FailedIndex, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_client.rpush(FAILED, *(failure(n) for n in range(1000)))
    steps = 0

    def two_steps() -> bool:
        nonlocal steps
        steps += 1
        return steps < 3 and FailedIndex._step(index)

    monkeypatch.setattr(index, "_step", two_steps)
    index.follow()
    progress = index.progress()
    assert (progress.read, progress.total, progress.is_complete) == (250, 1000, False)
    assert progress.percent == 25
    page = index.page(count=2)
    assert numbers([job.raw for job in page.jobs]) == [999, 998]
    assert page.total == 250


def act(backend: RedisBackend, client: Redis, dice: random.Random, fresh: Iterator[int]) -> None:
    """Something that happens to failed jobs."""
    jobs = [*backend.newest(0, 1000)]
    some: list[FailedJob] = dice.sample(jobs, min(len(jobs), 5))
    match dice.randrange(9):
        case 0:
            backend.retry(some)
        case 1:
            backend.remove(some)
        case 2:
            backend.retry_all(Wanted(queue="q1"))
        case 3:
            backend.remove_all(Wanted(exception="E2"))
        case 4:
            backend.remove_oldest(dict.fromkeys(backend.counts(), 7))
        case 5:
            backend.clear()
        case 6 if jobs:  # as Ruby removes one
            key = "resque:" + (jobs[-1].list_name or "failed")
            client.lset(key, 0, "")
            client.lrem(key, 1, "")
        case _:
            for number in range(dice.randrange(60)):
                raw = failure(
                    next(fresh), queue=f"q{number % 3}", exception=f"E{dice.randrange(4)}"
                )
                if isinstance(backend, RedisMultiQueueBackend):
                    keep(client, f"q{number % 3}", raw)
                else:
                    client.rpush(FAILED, raw)


@pytest.mark.parametrize("kind", [RedisBackend, RedisMultiQueueBackend])
@pytest.mark.parametrize("seed", range(4))
def test_it_follows_whatever_happens(
    store: Store, redis_client: Redis, kind: type[RedisBackend], seed: int
) -> None:
    backend, dice, fresh = kind(store), random.Random(seed), iter(range(10**6))
    for index in open_index(store, backend):
        for _ in range(60):
            for _ in range(dice.randrange(3)):
                act(backend, redis_client, dice, fresh)
            index.follow()
            assert shown(index) == truth(backend)
            jobs = index.page(count=1000).jobs
            assert len(jobs) == index.page().total == backend.count()
            at = [(job.entry.failed_at[:16], job.list_name) for job in jobs if job.entry]
            assert [each for each, _ in at] == sorted((each for each, _ in at), reverse=True)


def test_a_change_while_a_page_is_read_is_noticed(
    store: Store, backend: RedisBackend, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_client.rpush(FAILED, *(failure(n, queue=f"q{n % 3}") for n in range(2000)))
    look = store.failed_changes.look
    looks = 0

    def looks_late(*arguments: object) -> object:
        nonlocal looks
        looks += 1
        if looks in (3, 5):
            backend.remove_all(Wanted(queue="q1" if looks == 3 else "q2"))
            redis_client.rpush(FAILED, failure(1))
        if looks == 4:
            backend.retry_all(Wanted(queue="q0"))
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store.failed_changes, "look", looks_late)
    for index in open_index(store, backend):
        index.follow()
        assert looks > 5
        assert shown(index) == truth(backend)
        assert sum(count for count, _ in shown(index).values()) == 669


def test_only_what_is_new_is_read_again(
    index: FailedIndex, backend: RedisBackend, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_client.rpush(FAILED, *(failure(n) for n in range(3000)))
    index.follow()
    sizes: list[int] = []
    monkeypatch.setattr(index._page_size, "saw", lambda page: sizes.append(len(page)))
    backend.retry([*backend.newest(10, 2)])
    backend.remove([*backend.newest(20, 3)])
    backend.remove_all(Wanted(text="nowhere"))
    backend.remove_oldest({"": 500})
    redis_client.rpush(FAILED, *(failure(n) for n in range(30)))
    index.follow()
    assert shown(index) == truth(backend)
    assert sum(sizes) == 30


def test_an_index_that_missed_changes_reads_all_again(
    index: FailedIndex, backend: RedisBackend, redis_client: Redis
) -> None:
    redis_client.rpush(FAILED, *(failure(n, queue="ab"[n % 2]) for n in range(10)))
    index.follow()
    for number in range(2 * MOST):
        redis_client.xadd("resque:failed_changes", {"list": "x", "n": number}, maxlen=MOST)
    backend.remove_oldest({"": 1})
    redis_client.rpush(FAILED, failure(1, queue="c"))
    index.follow()
    index.follow()
    assert shown(index) == truth(backend)


def test_foreign_entries(store: Store, redis_client: Redis) -> None:
    """Of Ruby, of programs that write other fields, and bytes that are no entry."""
    for key, raws in RUBY.items():
        if key.endswith("_failed"):
            keep(redis_client, key.removesuffix("_failed"), *(raw.encode() for raw in raws))
    keep(redis_client, "odd", b"", b"null", b'{"payload":[1],"failed_at":1795447980}', b"\xff{")
    backend = RedisMultiQueueBackend(store)
    for index in open_index(store, backend):
        index.follow()
        assert shown(index) == truth(backend)
        assert index.page().total == backend.count() >= 4


def test_the_thread_builds_it_and_rests_when_nobody_asks(
    store: Store, backend: RedisBackend, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_index, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(failed_index, "IDLE_SECONDS", 0.05)
    redis_client.rpush(FAILED, *(failure(n) for n in range(300)))
    index = FailedIndex(store, backend)
    assert index.wait(60).is_complete
    assert index.page().total == 300
    rests = threading.Event()
    monkeypatch.setattr(index._asked, "wait", lambda: rests.wait(60))
    while index._asked.is_set():
        pass
    redis_client.rpush(FAILED, failure(1))
    assert index._looked_at
    index._wake()
    rests.set()
    while index.page().total != 301:
        pass
    index.close()
    assert index._thread is not None
    index._thread.join(60)
    assert not index._thread.is_alive()
