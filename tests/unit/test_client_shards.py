"""A client of several shards: three databases of one server, and one whose server is away."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

import gresque
import gresque.aio
from gresque.client.spread import LEFT_OUT_SECONDS, SLOW_SECONDS, Spread, _Lane
from gresque.errors import (
    GresqueError,
    NoScheduleEntry,
    NotEnqueued,
    PerhapsEnqueued,
    RedisUnavailable,
)
from gresque.shards import Placement, by_key, shards_of
from tests.support.cli import Call

AWAY = "away=redis://127.0.0.1:1"


@pytest.fixture
def urls(redis_url: str) -> list[str]:
    return [f"{name}={redis_url}?db={number}" for number, name in enumerate("abc")]


@pytest.fixture
def spread(urls: list[str]) -> Iterator[gresque.Client]:
    with closing(gresque.Client(urls=urls, pinned_queues=["pay"], retry_seconds=1)) as client:
        yield client


def sizes(client: gresque.Client, queue: str = "q") -> list[int]:
    assert client._placement is not None
    shards = client._placement.shards
    return [client._store_of(shard, True).queues.size(queue) for shard in shards]


# Where jobs go


def test_jobs_go_round(spread: gresque.Client) -> None:
    for _ in range(30):
        spread.enqueue_to("q", "Any")
    assert sizes(spread) == [10, 10, 10]
    spread.enqueue_many("Any", [()] * 6000, queue="q")
    assert sizes(spread) == [2010, 2010, 2010], "each thousand to the next"
    assert spread.size("q") == 6030
    assert spread.queues() == ["q"]
    assert spread.info()["pending"] == 6030
    assert spread.info()["queues"] == 1


def test_a_pinned_queue_and_one_of_a_client_that_spreads_queues(
    spread: gresque.Client, urls: list[str]
) -> None:
    for _ in range(6):
        spread.enqueue_to("pay", "Any")
        spread.options("Any", queue="pay", in_=60).enqueue()
    assert sorted(sizes(spread, "pay")) == [0, 0, 6]
    assert spread.delayed_count() == 6
    place = sizes(spread, "pay").index(6)
    assert spread.shard_of(queue="pay") == "abc"[place]
    assert spread.shard_of(queue="q") is None
    with closing(gresque.Client(urls=urls, spread="queue")) as by_queue:
        for _ in range(6):
            by_queue.enqueue_to("q", "Any")
        assert sorted(sizes(by_queue)) == [0, 0, 6]
        assert by_queue.shard_of(queue="q") == "abc"[sizes(by_queue).index(6)]
    assert gresque.Client("redis://h/2").shard_of(queue="q") == "h:6379/2"
    with pytest.raises(GresqueError, match="say of what"):
        spread.shard_of()


@pytest.mark.usefixtures("own_registry")
def test_jobs_with_one_key_meet_on_one_shard(spread: gresque.Client) -> None:
    @gresque.job(queue="q", name="ShardedOnly", unique="both", on_duplicate="drop")
    def only(n: int) -> None: ...

    first = [spread.enqueue(only, number) for number in range(12)]
    again = [spread.enqueue(only, number) for number in range(12)]
    assert again == first
    assert sum(sizes(spread)) == 12
    bulk = spread.enqueue_many(only, [(number,) for number in range(20)])
    assert bulk[:12] == first
    assert sum(sizes(spread)) == 20
    assert len(spread.locks()) == 20
    assert spread.release_lock(str(first[3]))
    assert not spread.release_lock("no such lock")


@pytest.mark.usefixtures("own_registry")
def test_a_duplicate_in_a_bulk(spread: gresque.Client) -> None:
    @gresque.job(queue="q", name="ShardedOnce", unique="both", on_duplicate="raise")
    def once(n: int) -> None: ...

    spread.enqueue(once, 5)
    with pytest.raises(gresque.DuplicateJob) as caught:
        spread.enqueue_many(once, [(number,) for number in range(9)])
    assert len(caught.value.enqueued_ids) == 5
    assert sum(sizes(spread)) == 6


def test_a_shard_that_drains_gets_nothing(urls: list[str]) -> None:
    urls[1] = f"drain:{urls[1]}"
    with closing(gresque.Client(urls=urls)) as client:
        for _ in range(10):
            client.enqueue_to("q", "Any")
        assert sizes(client) == [5, 0, 5]
        assert client.size("q") == 10


# One is away


def test_a_job_goes_on_to_the_next_shard(urls: list[str]) -> None:
    with closing(gresque.Client(urls=[*urls[:2], AWAY])) as client:
        began = time.monotonic()
        ids = [client.enqueue_to("q", "Any") for _ in range(100)]
        assert time.monotonic() - began < 2
        assert client._placement is not None
        found = [client._store_of(each, True) for each in client._placement.shards[:2]]
        assert sum(store.queues.size("q") for store in found) == len(set(ids)) == 100
        with pytest.raises(RedisUnavailable, match=r"^shard away: no answer from Redis at"):
            client.size("q")


def test_a_key_waits_for_its_shard(urls: list[str]) -> None:
    shards = shards_of([urls[0], AWAY], "resque")
    queue = next(name for name in map(str, range(99)) if by_key(shards, name).name == "away")
    client = gresque.Client(urls=[urls[0], AWAY], spread="queue", retry_seconds=0.1)
    with closing(client), pytest.raises(NotEnqueued):
        client.enqueue_to(queue, "Any")


def test_all_are_away() -> None:
    with closing(
        gresque.Client(urls=[AWAY, "other=redis://127.0.0.1:2"], retry_seconds=0.3)
    ) as client:
        began = time.monotonic()
        with pytest.raises(NotEnqueued):
            client.enqueue_to("q", "Any")
        assert time.monotonic() - began >= 0.3


class _Server:
    """In place of a store: a push does what the test says."""

    def __init__(self) -> None:
        self.pushed = 0
        self.error: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.enqueuer = self

    def push(self, queue: str, raws: list[bytes]) -> None:
        self.answers.wait()
        if self.error is not None:
            raise self.error
        self.pushed += 1


@pytest.fixture
def servers() -> list[_Server]:
    return [_Server(), _Server()]


@pytest.fixture
def made(servers: list[_Server]) -> Spread:
    placement = Placement(shards_of(["a=redis://h/0", "b=redis://h/1"], "resque"))
    return Spread(placement, lambda shard, patient: servers[shard.number])  # type: ignore


def test_what_may_be_enqueued_goes_to_no_other(made: Spread, servers: list[_Server]) -> None:
    servers[0].error = PerhapsEnqueued("sent")
    outcomes = []
    for _ in range(2):
        try:
            made.push("q", [b"{}"])
        except PerhapsEnqueued:
            outcomes.append("perhaps")
    assert (outcomes, servers[1].pushed) == (["perhaps"], 1)
    for _ in range(10):
        made.push("q", [b"{}"])
    assert servers[1].pushed == 11, "it is left out for a while"


def test_a_shard_that_is_silent_gets_no_more(made: Spread, servers: list[_Server]) -> None:
    servers[0].answers.clear()
    threads = [threading.Thread(target=made.push, args=("q", [b"{}"])) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(SLOW_SECONDS)
    for _ in range(10):
        made.push("q", [b"{}"])
    assert servers[1].pushed == 11
    servers[0].answers.set()
    for thread in threads:
        thread.join()
    assert servers[0].pushed == 1


@pytest.mark.parametrize("pushers", [1, 12])
def test_a_server_that_hangs_before_anything_was_sent(urls: list[str], pushers: int) -> None:
    """All jobs go to the other one, and soon; also those that waited behind the first."""
    with socket.create_server(("127.0.0.1", 0)) as hangs:  # it connects, and never answers
        silent = f"silent=redis://127.0.0.1:{hangs.getsockname()[1]}"
        with closing(gresque.Client(urls=[urls[0], silent])) as client:

            def push() -> None:
                for _ in range(10):
                    client.enqueue_to("q", "Any")

            threads = [threading.Thread(target=push) for _ in range(pushers)]
            began = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert time.monotonic() - began < 10, "it was left out, and not waited for"
            shard = client._several[0]
            assert client._store_of(shard, True).queues.size("q") == 10 * pushers


def test_a_shard_that_refused_is_tried_by_one_at_a_time() -> None:
    (shard,) = shards_of(["redis://h"], "resque")
    lane = _Lane(shard)

    def refuse(store: object) -> None:
        raise NotEnqueued("away")

    with pytest.raises(NotEnqueued):
        lane.call(refuse, None, time.monotonic())  # type: ignore[arg-type]
    now = time.monotonic()
    assert not lane.may_take(now)
    later = now + LEFT_OUT_SECONDS
    assert lane.may_take(later)
    lane.call(lambda store: lane.may_take(later) or pytest.fail, None, later)  # type: ignore
    assert lane.may_take(later)


# Looking and taking back


@pytest.mark.usefixtures("own_registry")
def test_a_job_is_found_on_any_shard(spread: gresque.Client) -> None:
    @gresque.job(queue="q", name="ShardedKept", result_ttl_seconds=60)
    def kept(n: int) -> None: ...

    ids = [spread.enqueue(kept, number) for number in range(9)]
    assert {spread.status(job_id).state for job_id in ids} == {"queued"}
    assert spread.status("nothing").state == "unknown"
    assert [item["id"] for item in spread.peek("q", 0, 9)] == sorted(map(str, ids))
    assert [item["id"] for item in spread.peek("q", -2, 2)] == sorted(map(str, ids))[-2:]
    assert spread.cancel(ids[4])
    assert not spread.cancel(ids[4])
    assert spread.dequeue(kept, 1) == 1
    with pytest.raises(gresque.NotEnded):
        spread.wait(ids[5:], timeout=0.1)
    assert set(spread.wait([ids[4], ids[5]], timeout=5, count=1)) == {ids[4]}
    with pytest.raises(gresque.NotKnown):
        spread.result("nothing", timeout=1)
    late = [spread.enqueue_in(60 + number, kept, number) for number in range(3)]
    assert [job.id for job in spread.delayed(0, 9)] == late
    assert [job.id for job in spread.delayed(1, 1)] == late[1:2]
    assert spread.run_now(late[0])
    assert spread.reschedule(late[1], in_=5)
    assert spread.remove_delayed(kept, 2) == 1
    assert spread.delayed_count() == 1
    assert spread.remove_queue("q") == 8


def test_an_answer_that_a_shard_may_have(urls: list[str]) -> None:
    with closing(gresque.Client(urls=[urls[0], AWAY])) as client:
        alone = gresque.Client(urls[0].partition("=")[2])
        known = alone.options("Any", queue="q", track=60).enqueue()
        alone.close()
        assert known is not None
        assert client.status(known).state == "queued"
        with pytest.raises(RedisUnavailable, match="shard away"):
            client.status("1" * 32)


def test_limits(spread: gresque.Client) -> None:
    with pytest.raises(GresqueError, match=r"pin the queue .*per shard .*20 on each of 3 is 60"):
        spread.limit("q", concurrent=20)
    with pytest.raises(GresqueError, match="so no rate over all of them"):
        spread.limit("q", rate="5/s")
    spread.limit("pay", concurrent=20)
    spread.limit("q", concurrent=20, per_shard=True)
    assert spread.pause("q")
    found = {limits.queue: limits for limits in spread.limits()}
    assert (found["pay"].concurrent, found["q"].concurrent, found["q"].paused) == (20, 20, True)
    assert spread.info()["paused"] == ["q"]
    assert spread.unpause("q")
    assert not spread.unpause("q")
    spread.limit("q", concurrent=None)
    assert spread.pause_all()
    assert spread.info()["all_paused"]
    assert spread.unpause_all()


def test_schedules(spread: gresque.Client, redis_client: redis.Redis) -> None:
    for number in range(12):
        spread.schedules.set(f"entry {number}", every=3600, job="Any", queue="q")
    assert len(spread.schedules.list()) == 12
    counts = [
        spread._store_of(shard, True).cron.counts()[0]
        for shard in spread._several
    ]  # fmt: skip
    assert sum(counts) == 12
    assert all(counts)
    assert spread.schedules.pause("entry 3")
    assert [each.name for each in spread.schedules.list() if each.paused] == ["entry 3"]
    spread.schedules.set("entry 3", every=60, job="Any", queue="pay")
    assert len(spread.schedules.list()) == 12, "it stays where it stands"
    spread.schedules.run_now("entry 4")
    assert spread.size("q") == 1
    with pytest.raises(NoScheduleEntry):
        spread.schedules.remove("nothing")


# Others


def test_the_default_client(urls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URLS", " ".join(urls))
    monkeypatch.setenv("PINNED_QUEUES", "pay")
    for _ in range(3):
        gresque.enqueue_to("q", "Any")
    client = gresque.default_client()
    assert sizes(client) == [1, 1, 1]
    assert client.shard_of(queue="pay") is not None
    assert repr(client) == "Client(shards a, b, c; 'resque')"


@pytest.mark.usefixtures("own_registry")
def test_on_an_event_loop(urls: list[str]) -> None:
    @gresque.job(queue="q", name="ShardedAside", result_ttl_seconds=60)
    def aside(n: int) -> None: ...

    async def main() -> None:
        async with gresque.aio.Client(urls=urls) as client:
            ids = await asyncio.gather(*(client.aenqueue(aside, n) for n in range(12)))
            assert await client.asize("q") == 12
            assert (await client.astatus(ids[0])).state == "queued"
            assert await client.acancel(ids[0])
            with pytest.raises(gresque.NotEnded):
                await client.await_(ids, timeout=0.1)

    asyncio.run(main())


def test_what_is_refused(urls: list[str]) -> None:
    for arguments, match in [
        ({"urls": urls[0]}, "urls is a list of URLs"),
        ({"urls": ["x"]}, "^urls: "),
        ({"urls": urls, "spread": "x"}, "^spread: "),
        ({"urls": urls, "pinned_queues": "a:5"}, "^pinned_queues: "),
        ({"urls": urls, "shards": 2}, "SHARDS=2 divides one Cluster"),
    ]:
        with pytest.raises(gresque.SettingsError, match=match):
            gresque.Client(**arguments)  # type: ignore[arg-type]


def test_a_limit_by_the_command(
    call: Call, urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("REDIS_URLS", " ".join(urls))
    monkeypatch.setenv("PINNED_QUEUES", "pay")
    refused = call("limit", "q", "20")
    assert refused.code == 2
    assert "pin the queue to one shard (PINNED_QUEUES=q)" in refused.err
    assert call("limit", "q", "20", "--per-shard").code == 0
    assert call("limit", "pay", "20").code == 0
    assert call("limit", "q", "--off").code == 0
