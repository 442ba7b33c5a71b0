"""Failure backends: the setting, and a list for each queue."""

from __future__ import annotations

import json

import pytest

import gresque
from gresque.errors import InvalidPayload, SettingsError
from gresque.failure.backend import RedisBackend, RedisMultiQueueBackend, Retries, open_backend
from gresque.failure.search import Wanted
from gresque.settings import Settings
from gresque.store.failed_list_name import failed_list_name
from gresque.store.keys import Keys
from gresque.store.store import Store
from tests.support.failed_jobs import (
    FAILED,
    RUBY,
    Redis,
    entry,
    keep,
)


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


def test_of_two_lists_one_may_refuse(redis_client: Redis) -> None:
    """Its job stays in the ledger; the turn is done, and pushes the other entry once."""
    from tests.support.worker_scripts import cycle, held, register

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
    from tests.support.worker_scripts import FAILED, cycle, fence, held, recover, register

    register(redis_client)
    redis_client.rpush("resque:queue:a", "1")
    cycle(redis_client, 1, 1, ["a"], free=["0"])
    fence(redis_client)
    redis_client.set(FAILED, "no list")
    assert recover(redis_client, ["0", "fail", FAILED, "e"]) == [0, 0, 1]
    assert held(redis_client) == {"0": ("a", "1")}
