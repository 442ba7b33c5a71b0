"""`gresque top` of several shards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import pytest
import redis

from benchmarks.held import hold, job_id, process_name
from gresque.control.audit import By
from gresque.control.processes import Order
from gresque.errors import GresqueError
from gresque.failure.backend import open_backend
from gresque.inspector.failed_index import IndexProgress
from gresque.inspector.running import RunningJob
from gresque.store.store import Store
from gresque.top.acts import Acts, Ended
from gresque.top.feed import Feed
from gresque.top.shards import ShardsActs, ShardsFeed
from tests.process.support import wait_for
from tests.support.cli import Call, fail
from tests.support.server import OwnServer


class Recorded(Acts):
    """Orders and kills are only written down: no process is there to answer."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, open_backend("redis", store), By("ana", "top"))
        self.asked: list[str] = []

    def kill(self, jobs: Sequence[RunningJob]) -> list[Ended]:
        self.asked += [str(job.item["id"]) for job in jobs]
        return [Ended((job.process, job.slot), "dead", True) for job in jobs]

    def order(self, what: Order, process: str) -> str:
        self.asked.append(process)
        return "drains"


@pytest.fixture
def second(redis_client: redis.Redis, redis_url: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(f"{redis_url}?db=1")) as client:
        yield client


@pytest.fixture
def stores(second: redis.Redis, redis_url: str, store: Store) -> Iterator[dict[str, Store]]:
    with closing(Store(f"{redis_url}?db=1", "resque")) as other:
        yield {"one": store, "two": other}


@pytest.fixture
def feed(stores: dict[str, Store]) -> Iterator[ShardsFeed]:
    with ExitStack() as stack:
        feeds = {n: Feed(s, open_backend("redis", s), "redis") for n, s in stores.items()}
        yield stack.enter_context(closing(ShardsFeed(feeds)))


def test_jobs_of_all_shards(
    feed: ShardsFeed, redis_client: redis.Redis, second: redis.Redis
) -> None:
    hold(redis_client, 1, 2)
    hold(second, 2, 1)
    second.zrem("resque:ledgers", process_name(0))
    snapshot = feed.settled()
    rows = [*snapshot.running]
    assert {job.item["id"] for job in feed.jobs(snapshot, rows)} == {
        job_id(0, 0), job_id(0, 1), job_id(1, 0),
    }  # fmt: skip
    assert len(feed.known(snapshot, rows)) == 3


def test_groups_add_up(feed: ShardsFeed, redis_client: redis.Redis, second: redis.Redis) -> None:
    fail(redis_client, 1, 2)
    fail(second, 3)
    wait_for(lambda: feed.groups()[1] == IndexProgress(3, 3))
    (group,) = feed.groups()[0]
    assert (group.count, group.key.job_class) == (3, "Greet")


def test_acts_find_their_shard(
    feed: ShardsFeed, stores: dict[str, Store], redis_client: redis.Redis, second: redis.Redis
) -> None:
    hold(redis_client, 1, 1)
    hold(second, 2, 1)
    second.zrem("resque:ledgers", process_name(0))
    fail(redis_client, 1)
    fail(second, 2)
    recorded = {name: Recorded(store) for name, store in stores.items()}
    acts = ShardsActs(recorded, lambda: feed.collector.last().shards)
    snapshot = feed.settled()
    jobs = feed.jobs(snapshot, [*snapshot.running])
    assert {each.place[0] for each in acts.kill(jobs)} == {process_name(0), process_name(1)}
    assert acts.order(Order.DRAIN, process_name(1)) == "drains"
    assert recorded["one"].asked == [job_id(0, 0)]
    assert recorded["two"].asked == [job_id(1, 0), process_name(1)]
    with pytest.raises(GresqueError, match="gone"):
        acts.order(Order.DRAIN, "nobody")
    assert acts.pause("mail") == "paused"
    assert redis_client.hlen("resque:policies") == second.hlen("resque:policies") == 1
    assert acts.unpause("mail") == "goes on"
    assert acts.limit("mail", 20) == "cap 20 on each shard"
    wait_for(lambda: feed.groups()[1] == IndexProgress(2, 2))
    assert acts.remove(feed.groups()[0][0]) == "one: 1 job removed; two: 1 job removed"
    assert redis_client.llen("resque:failed") == second.llen("resque:failed") == 0


def test_an_act_names_the_shard_that_is_away(
    store: Store, redis_client: redis.Redis, own: OwnServer
) -> None:
    with closing(Store(own.url, "resque")) as other:
        acts = ShardsActs({"one": Recorded(store), "two": Recorded(other)}, dict)
        own.kill()
        with pytest.raises(GresqueError, match=r"^shard two: no answer from Redis at"):
            acts.pause("mail")
    assert redis_client.hlen("resque:policies") == 1


def test_once_adds_up(call: Call, redis_url: str, redis_client: redis.Redis, second: redis.Redis,
                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    for client, count in ((redis_client, 2), (second, 3)):
        client.sadd("resque:queues", "mail")
        client.rpush("resque:queue:mail", *["{}"] * count)
    monkeypatch.delenv("REDIS_URL", raising=False)
    answer = call("top", "--once", "--redis", f"a={redis_url}", "--redis", f"b={redis_url}?db=1")
    assert (answer.code, answer.err) == (0, "")
    assert re.search(r"waiting +5 ", answer.out)
    assert "2 jobs in 1 queue (shard a)" in answer.out
    assert "3 jobs in 1 queue (shard b)" in answer.out
