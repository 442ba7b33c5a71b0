"""One command at a time works through the failed jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gresque.errors import SweepLockLost
from gresque.failure import failed_list, sweep_lock
from gresque.failure.backend import RedisBackend, Retries
from gresque.failure.failed_list import PAGE
from gresque.failure.progress import Progress
from gresque.failure.search import EVERYTHING, Wanted
from gresque.store.store import Store
from tests.support.failed_jobs import (
    FAILED,
    Redis,
    Stopper,
    entry,
    numbers,
)


class TestRound:
    def test_stopped_half_way_it_leaves_the_list_in_its_order(
        self, backend: RedisBackend, redis_client: Redis
    ) -> None:
        count = 3 * PAGE
        redis_client.rpush(FAILED, *(entry(number) for number in range(count)))
        progress = Stopper(3)
        done = backend.retry_all(progress=progress).retried
        assert progress.seen[-1] == (done, count)
        assert 0 < done < count
        assert numbers(redis_client.lrange(FAILED, 0, -1)) == list(range(count))
        assert numbers(redis_client.lrange("resque:queue:q", 0, -1)) == list(range(done))
        assert backend.retry_all() == Retries(count - done, done, 0)
        assert numbers(redis_client.lrange("resque:queue:q", 0, -1)) == list(range(count))

    def test_one_goes_round_at_a_time(
        self, backend: RedisBackend, store: Store, redis_client: Redis
    ) -> None:
        redis_client.rpush(FAILED, entry(1))
        assert store.failed.begin_sweep("other", 60_000)
        assert backend.retry_all(progress=Stopper(9)) == Retries()
        assert backend.clear(Stopper(9)) == 0
        store.failed.end_sweep("somebody's")
        assert redis_client.get("resque:failed_sweep") == b"other"
        store.failed.end_sweep("other")
        assert backend.retry_all() == Retries(1, 0, 0)
        assert not redis_client.exists("resque:failed_sweep")

    def test_the_second_one_waits_for_the_first(
        self, backend: RedisBackend, store: Store, redis_client: Redis
    ) -> None:
        redis_client.rpush(FAILED, entry(1))
        store.failed.begin_sweep("other", 60_000)

        class Waiting(Progress):
            times = 0

            def waiting(self) -> bool:
                self.times += 1
                if self.times == 2:
                    store.failed.end_sweep("other")
                return True

        progress = Waiting()
        assert backend.retry_all(progress=progress) == Retries(1, 0, 0)
        assert progress.times == 2

    def test_the_round_of_a_dead_one_ends_by_itself(
        self, backend: RedisBackend, store: Store, redis_client: Redis
    ) -> None:
        redis_client.rpush(FAILED, entry(1))
        store.failed.begin_sweep("dead", 200)
        assert backend.retry_all() == Retries(1, 0, 0)

    def test_the_round_of_a_dead_one_ends_though_the_clock_was_set_back(
        self, store: Store, redis_client: Redis
    ) -> None:
        store.failed.begin_sweep("dead", 3_600_000)
        assert not store.failed.begin_sweep("mine", 20_000)
        assert redis_client.pttl("resque:failed_sweep") <= 20_000
        assert redis_client.get("resque:failed_sweep") == b"dead"

    def test_one_that_stood_still_for_too_long_changes_nothing_more(
        self, backend: RedisBackend, redis_client: Redis
    ) -> None:
        redis_client.rpush(FAILED, *(entry(number) for number in range(PAGE)))

        class TakenOver(Progress):
            def advanced(self, done: int, total: int) -> bool:
                redis_client.set("resque:failed_sweep", "another's")
                return True

        with pytest.raises(SweepLockLost, match="run it again for the rest"):
            backend.retry_all(progress=TakenOver())
        pushed = redis_client.llen("resque:queue:q")
        assert 0 < pushed < PAGE
        assert redis_client.get("resque:failed_sweep") == b"another's"
        redis_client.delete("resque:failed_sweep")
        assert backend.retry_all() == Retries(PAGE - pushed, pushed, 0)

    def test_its_right_lasts_as_long_as_it_steps(
        self, backend: RedisBackend, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        redis_client.rpush(FAILED, *(entry(number) for number in range(PAGE)))
        left: list[int] = []
        monkeypatch.setattr(failed_list, "EXPIRY_MS", 70_000)

        class Looks(Progress):
            def advanced(self, done: int, total: int) -> bool:
                left.append(redis_client.pttl("resque:failed_sweep"))
                return True

        backend.clear(Looks())
        assert all(ms > sweep_lock.EXPIRY_MS for ms in left)

    def test_an_error_gives_the_right_back(
        self, backend: RedisBackend, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        redis_client.rpush(FAILED, entry(1))

        class Broken(Progress):
            def advanced(self, done: int, total: int) -> bool:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            backend.retry_all(progress=Broken())
        assert not redis_client.exists("resque:failed_sweep")

    def test_several_at_once_while_new_failures_arrive(
        self, redis_url: str, redis_client: Redis
    ) -> None:
        """Of those that stood there each is retried or removed once; of the new ones none twice."""
        count = 5 * PAGE
        redis_client.rpush(FAILED, *(entry(n, name="ABC"[n % 3]) for n in range(count)))
        results: list[Any] = []
        over = threading.Event()

        def retry(wanted: Wanted) -> None:
            store = Store(redis_url, "resque")
            results.append(RedisBackend(store).retry_all(wanted).retried)
            store.close()

        def remove() -> None:
            store = Store(redis_url, "resque")
            results.append(RedisBackend(store).remove_all(Wanted(job_class="C")))
            store.close()

        def arrive() -> None:
            store = Store(redis_url, "resque")
            number = count
            while not over.is_set() and number < 10 * count:
                store.redis.rpush(FAILED, entry(number, name="New"))
                number += 1
            results.append(number - count)
            store.close()

        arriving = threading.Thread(target=arrive)
        works: list[tuple[Callable[..., None], Any]] = [
            (retry, Wanted(job_class="A")), (retry, Wanted(job_class="A")),
            (retry, Wanted(job_class="B")), (retry, EVERYTHING),
        ]  # fmt: skip
        threads = [threading.Thread(target=work, args=(wanted,)) for work, wanted in works]
        threads.append(threading.Thread(target=remove))
        arriving.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        over.set()
        arriving.join(60)
        pushed = numbers(redis_client.lrange("resque:queue:q", 0, -1))
        assert len(pushed) == len(set(pushed))
        assert {n for n in range(count) if n % 3 != 2} <= set(pushed)
        left = numbers(redis_client.lrange(FAILED, 0, -1))
        assert len(left) == len(set(left)) == count - len(range(2, count, 3)) + results[-1]
        assert not {n for n in left if n < count and n % 3 == 2}
