"""Failure backends: a list for each queue, searching, going round by group, one's own."""

from __future__ import annotations

import json
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import BootError, InvalidPayload, SettingsError, SweepLockLost
from gresque.failure import failed_list, failure_reporter, reporters, sweep_lock
from gresque.failure.backend import RedisBackend, RedisMultiQueueBackend, Retries, open_backend
from gresque.failure.entry import encode_entry
from gresque.failure.failed_list import PAGE, FailedList, PageSize
from gresque.failure.failure_reporter import FailureReporter
from gresque.failure.progress import Progress
from gresque.failure.retry import prepare_retry
from gresque.failure.search import EVERYTHING, Group, Wanted, glance
from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import Registry
from gresque.settings import Settings
from gresque.store.failed_list_name import failed_list_name
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.worker.recovery import Recovery
from tests.unit.test_recovery import DEAD, hold

FAILED = "resque:failed"
NOW = "2026/11/23 15:33:36"
WIRE = Path(__file__).parents[1] / "wire"
RUBY = json.loads((WIRE / "fork_17_backend_redis_multi_queue.keys.json").read_text())
Redis = redis.Redis


@pytest.fixture
def backend(store: Store) -> RedisBackend:
    return RedisBackend(store)


@pytest.fixture
def multi(store: Store) -> RedisMultiQueueBackend:
    return RedisMultiQueueBackend(store)


def entry(
    number: int,
    *,
    name: str = "Noop",
    queue: str = "q",
    exception: str = "ValueError",
    error: str = "no",
    failed_at: str = "",
    retried: bool = False,
) -> bytes:
    item = {"class": name, "args": [number], "id": f"id{number}", "generation": 1}
    raw = encode_entry(json.dumps(item).encode(), exception, error, [], "host:1:q:1:1:1", queue)
    if failed_at:
        fields = json.loads(raw)
        raw = json.dumps(fields | {"failed_at": failed_at}).encode()
    return prepare_retry(raw, NOW).marked if retried else raw


def numbers(raws: list[bytes]) -> list[int]:
    """Which jobs these entries or queue items are, by their argument."""
    found = [json.loads(raw) for raw in raws]
    return [item.get("payload", item)["args"][0] for item in found]


def keep(client: Redis, queue: str, *raws: bytes) -> None:
    """As the Ruby fork's backend of this name does."""
    client.sadd("resque:failed_queues", f"{queue}_failed")
    client.rpush(f"resque:{queue}_failed", *raws)


class Stopper(Progress):
    """Stops after so many pages; does not wait for others."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.seen: list[tuple[int, int]] = []

    def advanced(self, done: int, total: int) -> bool:
        self.seen.append((done, total))
        return len(self.seen) < self.pages

    def waiting(self) -> bool:
        return False


class TestSetting:
    @pytest.mark.parametrize(
        ("text", "means"),
        [
            ("redis", "redis"),
            ("redis_multi_queue", "redis_multi_queue"),
            ("a.B,redis", "redis,a.B"),
            (" redis , a.b.C, a.b.C,d.E ", "redis,a.b.C,d.E"),
            ("redis_multi_queue,ä.B", "redis_multi_queue,ä.B"),
        ],
    )
    def test_what_is_kept_comes_first(self, text: str, means: str) -> None:
        assert Settings.load({"failure_backend": text}, {}).failure_backend == means

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("Redis", "'Redis' is unknown; choose one of redis, redis_multi_queue"),
            ("multiple", "module.Class, such as redis,myapp.failures.Sentry"),
            ("redis,os.system()", "is unknown"),
            ("redis,.a", "is unknown"),
            ("a.B", "'a.B' keeps no entries that could be read and retried; give redis,a.B"),
            (",", "give redis"),
            ("redis,redis_multi_queue", "would keep every failure twice"),
        ],
    )
    def test_what_is_wrong_is_said(self, text: str, complaint: str) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load({}, {"FAILURE_BACKEND": text})
        assert str(caught.value).startswith("FAILURE_BACKEND: ")
        assert complaint in str(caught.value)

    def test_a_client_checks_it_too(self) -> None:
        with pytest.raises(SettingsError):
            gresque.Client(failure_backend="redis_multiqueue")


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("redis", ("resque:failed", "")),
        ("redis,a.B", ("resque:failed", "")),
        ("redis_multi_queue", ("resque:bench_failed", "bench_failed")),
        ("redis_multi_queue,a.B", ("resque:bench_failed", "bench_failed")),
    ],
)
def test_where_failures_go(setting: str, place: tuple[str, str]) -> None:
    assert failed_list_name(setting, Keys("resque"), "bench") == place
    assert place[0] == FAILED or place[0] in RUBY


class TestMultiQueue:
    def test_it_reads_and_retries_what_the_ruby_fork_wrote(
        self, multi: RedisMultiQueueBackend, redis_client: Redis
    ) -> None:
        (raw,) = RUBY["resque:bench_failed"]["value"]
        keep(redis_client, "bench", raw.encode())
        (job,) = multi.newest()
        assert (job.place, job.raw) == ("bench_failed:0", raw.encode())
        assert job.as_dict()["list"] == "bench_failed"
        assert multi.retry([job]) == [True]
        (item,) = redis_client.lrange("resque:queue:bench", 0, -1)
        assert json.loads(item) == json.loads(raw)["payload"] | {"generation": 2}
        (marked,) = redis_client.lrange("resque:bench_failed", 0, -1)
        assert marked.startswith(raw.encode()[:-1] + b',"retried_at":"')
        assert redis_client.smembers("resque:failed_queues") == {b"bench_failed"}

    def test_entries_of_all_lists_by_the_time_of_their_failure(
        self, multi: RedisMultiQueueBackend, redis_client: Redis
    ) -> None:
        times = [f"2026/11/23 15:33:{second:02} UTC" for second in range(12)]
        for number, failed_at in enumerate(times):
            keep(redis_client, "abc"[number % 3], entry(number, failed_at=failed_at))
        assert [job.item["args"][0] for job in multi.newest(0, 99)] == list(range(11, -1, -1))
        assert [job.item["args"][0] for job in multi.newest(4, 3)] == [7, 6, 5]
        found = [job.place for job in multi.newest(0, 9, Wanted(queue="q"))]
        assert found == []  # no list is named q_failed

    def test_an_entry_without_a_time_keeps_its_place(
        self, multi: RedisMultiQueueBackend, redis_client: Redis
    ) -> None:
        keep(redis_client, "a", entry(0, failed_at="2026/01/01"), b"garbage",
             entry(2, failed_at="2026/01/03"))  # fmt: skip
        keep(redis_client, "b", entry(3, failed_at="2026/01/02"))
        places = [job.place for job in multi.newest()]
        assert places == ["a_failed:2", "a_failed:1", "b_failed:0", "a_failed:0"]

    def test_the_rest(self, multi: RedisMultiQueueBackend, redis_client: Redis) -> None:
        keep(redis_client, "a", entry(0, queue="a"), entry(1, queue="a", retried=True))
        keep(redis_client, "b:c", entry(2, queue="b:c"), entry(3, queue="b:c", name="Other"))
        redis_client.sadd("resque:failed_queues", "empty_failed")
        assert multi.count() == 4
        assert multi.counts() == {"a_failed": 2, "b:c_failed": 2, "empty_failed": 0}
        found = multi.find(1, "b:c_failed")
        assert found is not None and found.job_id == "id3"
        assert multi.find(5, "a_failed") is None
        assert multi.find(0, "nope") is None
        assert {i: j.place for i, j in multi.find_ids(["id0", "id3", "id9"]).items()} == {
            "id0": "a_failed:0", "id3": "b:c_failed:1",
        }  # fmt: skip
        assert [job.place for job in multi.newest(0, 9, Wanted(queue="a"))] == [
            "a_failed:1", "a_failed:0",
        ]  # fmt: skip
        assert sum(group.count for group in multi.groups().values()) == 4
        assert multi.retry_all(Wanted(job_class="Noop")) == Retries(2, 1, 0)
        assert multi.clear() == 3
        assert multi.remove_oldest({"b:c_failed": 1, "gone_failed": 7}) == 1
        assert multi.count() == 0

    def test_jobs_of_several_lists_at_once(
        self, multi: RedisMultiQueueBackend, redis_client: Redis
    ) -> None:
        keep(redis_client, "a", entry(0, queue="a"), entry(1, queue="a"))
        keep(redis_client, "b", entry(2, queue="b"))
        jobs = list(multi.newest())
        redis_client.lpop("resque:a_failed")
        done = dict(zip((job.place for job in jobs), multi.retry(jobs), strict=True))
        assert done == {"a_failed:0": False, "a_failed:1": False, "b_failed:0": True}
        assert multi.remove(jobs) == 0  # the one is retried, the others moved: none is as read
        keep(redis_client, "a", b"garbage")
        with pytest.raises(InvalidPayload, match="a_failed:1 cannot be retried"):
            multi.retry(list(multi.newest()))

    def test_the_newest_failure_of_a_job_that_failed_from_two_queues(
        self, multi: RedisMultiQueueBackend, redis_client: Redis
    ) -> None:
        keep(redis_client, "a", entry(1, failed_at="2026/01/02"))
        keep(redis_client, "b", entry(1, failed_at="2026/01/01"))
        assert multi.find_ids(["id1"])["id1"].place == "a_failed:0"

    def test_info_counts_them(self, redis_url: str, redis_client: Redis) -> None:
        keep(redis_client, "a", b"1", b"2")
        keep(redis_client, "b", b"3")
        redis_client.rpush(FAILED, b"4")
        for setting, count in (("redis", 1), ("redis_multi_queue", 3)):
            client = gresque.Client(redis_url, failure_backend=setting)
            assert client.info()["failed"] == count
            client.close()

    def test_which_backend_is_read(self, store: Store) -> None:
        assert type(open_backend("redis,a.B", store)) is RedisBackend
        assert type(open_backend("redis_multi_queue,a.B", store)) is RedisMultiQueueBackend


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
        assert not store.failed.begin_sweep("mine", 200)
        assert redis_client.pttl("resque:failed_sweep") <= 200
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


class Async(gresque.FailureBackend):
    async def save(self, failure: gresque.Failure) -> None: ...  # type: ignore[override]


class Noted(gresque.FailureBackend):
    told: list[gresque.Failure] = []  # noqa: RUF012

    def save(self, failure: gresque.Failure) -> None:
        Noted.told.append(failure)


class Raises(gresque.FailureBackend):
    def save(self, failure: gresque.Failure) -> None:
        raise KeyboardInterrupt


class Hangs(gresque.FailureBackend):
    go_on = threading.Event()

    def save(self, failure: gresque.Failure) -> None:
        Hangs.go_on.wait(60)


class Abstract(gresque.FailureBackend):
    pass


def failure(number: int = 0) -> gresque.Failure:
    error = ValueError(f"no {number}")
    raw = b'{"class":"A","args":[%d]}' % number
    return gresque.Failure("q", "w", raw, error, "ValueError", str(error), [], time.time())


class TestOwnBackends:
    @pytest.fixture(autouse=True)
    def _fresh(self) -> Iterator[None]:
        Noted.told.clear()
        Hangs.go_on.clear()
        yield
        Hangs.go_on.set()

    def failures(self, *names: str) -> FailureReporter:
        setting = ",".join(["redis", *(f"{__name__}.{name}" for name in names)])
        return FailureReporter(setting)

    def test_what_they_are_told(self) -> None:
        wanted = failure(3)
        reporter = self.failures("Noted")
        assert reporter.has_backends
        reporter.report(wanted)
        reporter.finish()
        assert Noted.told == [wanted]
        assert Noted.told[0].payload == {"class": "A", "args": [3]}

    def test_nobody_is_told_without_one(self) -> None:
        assert not self.failures().has_backends

    def test_one_that_raises_is_logged_and_the_next_is_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reporter = self.failures("Raises", "Noted")
        for number in range(3):
            reporter.report(failure(number))
        reporter.finish()
        assert len(Noted.told) == 3
        told = [record.getMessage() for record in caplog.records]
        assert told == ["the failure backend Raises raised; the failure stands in Redis"] * 3

    def test_one_that_hangs_is_bounded_and_left_behind(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reporter = self.failures("Hangs")
        for number in range(failure_reporter.CALLERS + failure_reporter.WAITING + 5):
            reporter.report(failure(number))
        started = time.monotonic()
        reporter.finish(0.05)
        assert time.monotonic() - started < 5
        assert "falls behind: it did not get 1 failures" in caplog.text
        assert "left before " in caplog.text
        Hangs.go_on.set()
        reporter.finish(30)
        assert "falls behind: it did not get 1 failures" in caplog.text

    def test_one_that_is_not_there_in_a_recovery_is_said_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reporter = self.failures("Nowhere")
        for number in range(3):
            reporter.report(failure(number))
        reporter.finish()
        (record,) = caplog.records
        assert "cannot import the failure backend" in record.getMessage()

    def test_of_two_that_recover_the_same_process_one_tells(
        self, redis_url: str, redis_client: Redis
    ) -> None:
        registry = Registry()
        registry.add(JobDefinition("fails", "q", print, on_dirty_exit="fail"))
        hold(redis_client, *(b'{"class":"fails","args":[%d]}' % n for n in range(1200)))
        setting, start = f"redis_multi_queue,{__name__}.Noted", threading.Barrier(2)

        def recover() -> None:
            store = Store(redis_url, "resque")
            recovery = Recovery(store, registry, "requeue", 3, setting)
            start.wait()
            recovery.recover(DEAD)
            recovery.close()

        threads = [threading.Thread(target=recover) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told.payload["args"][0] for told in Noted.told) == [*range(1200)]
        assert {told.exception_name for told in Noted.told} == {"DirtyExit"}
        assert redis_client.llen("resque:q_failed") == 1200
        assert redis_client.smembers("resque:failed_queues") == {b"q_failed"}

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            ("no.such.Module", r"cannot import the failure backend no\.such\.Module \(--failure-b"),
            (f"{__name__}.Missing", "has no attribute 'Missing'"),
            (f"{__name__}.Redis", "is no subclass of gresque.FailureBackend"),
            (f"{__name__}.Async", r"save of the failure backend .*Async .* is async"),
            (f"{__name__}.RUBY", "is no subclass of gresque.FailureBackend"),
            (f"{__name__}.Abstract", "cannot make the failure backend .*abstract"),
        ],
    )
    def test_what_cannot_be_had_is_one_line(self, name: str, complaint: str) -> None:
        with pytest.raises(BootError, match=complaint) as caught:
            reporters.make_reporters([name])
        assert "\n" not in str(caught.value)


def test_of_two_lists_one_may_refuse(redis_client: Redis) -> None:
    """Its job stays in the ledger; the turn is done, and pushes the other entry once."""
    from tests.unit.test_cycle_script import cycle, held, register

    register(redis_client)
    redis_client.rpush("resque:queue:a", "1", "2")
    cycle(redis_client, 1, 2, ["a"], free=["0", "1"])
    redis_client.set("resque:b_failed", "no list")
    entries = ["resque:a_failed", "e1", "a_failed", "resque:b_failed", "e2", "b_failed"]
    for _ in range(2):
        cycle(redis_client, 2, 0, ["a"], ended=["0", "1"], entries=entries, counted=(2, 2))
    assert held(redis_client) == {"1": ("a", "2")}
    assert redis_client.get("resque:stat:failed") == b"1"
    redis_client.delete("resque:b_failed")
    cycle(redis_client, 3, 0, ["a"], ended=["1"], entries=entries[3:], counted=(1, 1))
    assert redis_client.lrange("resque:a_failed", 0, -1) == [b"e1"]
    assert redis_client.lrange("resque:b_failed", 0, -1) == [b"e2"]
    assert redis_client.smembers("resque:failed_queues") == {b"a_failed", b"b_failed"}


def test_a_list_that_is_none_keeps_the_job_in_the_ledger(redis_client: Redis) -> None:
    from tests.unit.test_cycle_script import FAILED, cycle, fence, held, recover, register

    register(redis_client)
    redis_client.rpush("resque:queue:a", "1")
    cycle(redis_client, 1, 1, ["a"], free=["0"])
    fence(redis_client)
    redis_client.set(FAILED, "no list")
    assert recover(redis_client, ["0", "fail", FAILED, "e"]) == [0, 0, 1]
    assert held(redis_client) == {"0": ("a", "1")}


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
