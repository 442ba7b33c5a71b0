"""Running jobs of a snapshot: those that a filter means, their kinds, a page of them."""

from __future__ import annotations

import msgspec
import pytest
import redis

from benchmarks.held import Traffic, hold
from gresque.inspector.collecting import Collecting
from gresque.inspector.filters import parse
from gresque.inspector.held_jobs import HeldReader
from gresque.inspector.running_page import Facet, Matching, needs_jobs
from gresque.inspector.snapshot import Snapshot
from gresque.store.commands import JobWait, encode_waits
from gresque.store.store import Store
from tests.support.views import OTHER, PROCESS, item, process

FAR = "eu-01:10:mail:1:4:100:77:1795485960660"


@pytest.fixture
def snapshot(store: Store, redis_client: redis.Redis) -> Snapshot:
    process(redis_client, PROCESS, item("Sync", "shop-1"), item("Mail"), item("Mail"),
            runs={"0": 90, "1": 7}, blocks=("1", 3))  # fmt: skip
    process(redis_client, OTHER, item("Sync", "shop-2"), runs={"0": 200})
    waits = encode_waits({"0": JobWait("recv api.x:443", 0.25, "a.py:1:in `f'")})
    redis_client.set(f"resque:waits:{OTHER}", waits)
    process(redis_client, FAR, item("Fetch"), runs={"0": 20})
    return Collecting(store, "redis").take(1, wants_jobs=True)


def places(snapshot: Snapshot, text: str) -> list[tuple[str, str]]:
    return [each.place for each in Matching.of(snapshot, parse(text)).jobs]


def test_without_a_filter(snapshot: Snapshot) -> None:
    found = Matching.of(snapshot)
    assert [each.place for each in found.jobs] == [
        (PROCESS, "1"), (OTHER, "0"), (PROCESS, "0"), (FAR, "0"),
    ], "the one that blocks others, then the oldest"  # fmt: skip
    assert (found.running, found.held) == (4, 5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">50s", [(OTHER, "0"), (PROCESS, "0")]),
        ("<50s", [(PROCESS, "1"), (FAR, "0")]),
        ("class:Sync", [(OTHER, "0"), (PROCESS, "0")]),
        ("class:Sync >100s", [(OTHER, "0")]),
        ("host:eu-01", [(FAR, "0")]),
        ("host:vm:12", [(OTHER, "0")]),
        ("shop-2", [(OTHER, "0")]),
        ("waits:API.x", [(OTHER, "0")]),
        ("waits:cpu", [(PROCESS, "1")]),
        ("queue:web", []),
        ("queue:mail host:eu-01", [(FAR, "0")]),
    ],
)
def test_filters(snapshot: Snapshot, text: str, expected: list[tuple[str, str]]) -> None:
    assert places(snapshot, text) == expected


def test_what_a_filter_needs() -> None:
    assert not needs_jobs(parse(">5s host:vm"))
    assert needs_jobs(parse("class:A")) and needs_jobs(parse("text"))


def test_facets(snapshot: Snapshot) -> None:
    found = {each.key: each for each in Matching.of(snapshot).facets(snapshot, most=1)}
    assert found["waits"] == Facet("waits", (("the CPU", 1),), 1, 1)
    assert found["class"] == Facet("class", (("Sync", 2),), 2, 2)
    assert found["queue"] == Facet("queue", (("mail", 4),), 0, 0)
    assert found["host"] == Facet("host", (("vm", 3),), 1, 1)


def test_a_page(store: Store, redis_client: redis.Redis, snapshot: Snapshot) -> None:
    found = Matching.of(snapshot)
    first, second = found.page(store, snapshot, 0, 2)
    assert (first.label, second.label) == ("Mail()", 'Sync("shop-2")')
    assert first.blocks_seconds is not None and second.blocks_seconds is None
    assert (first.waits_on, first.cpu_share) == ("the CPU", None)
    assert (second.waits_on, second.cpu_share) == ("recv api.x:443", 0.25)
    assert second.frame == "a.py:1:in `f'"
    redis_client.hdel(f"resque:ledger:{OTHER}", "0")
    assert [job.label for job in found.page(store, snapshot, 1, 2)] == ['Sync("shop-1")']
    assert found.page(store, snapshot, 9, 2) == []


def test_processes_are_asked_what_their_jobs_wait_on(
    store: Store, redis_client: redis.Redis
) -> None:
    collecting = Collecting(store, "redis")
    collecting.take(1)
    assert not redis_client.exists("resque:watch")
    collecting.take(2, wants_jobs=True)
    assert 0 < redis_client.ttl("resque:watch") <= 10


def test_a_user_that_may_only_read_sees_all_the_rest(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise redis.ResponseError("NOPERM this user has no permissions")

    process(redis_client, PROCESS, item("Sync"), runs={"0": 90})
    monkeypatch.setattr(store.commands, "watch", refuse)
    collecting = Collecting(store, "redis")
    assert len(collecting.take(1, wants_jobs=True).running) == 1
    assert len(collecting.take(2, wants_jobs=True).running) == 1


def test_the_queues_of_a_snapshot_with_jobs(store: Store, redis_client: redis.Redis) -> None:
    redis_client.sadd("resque:queues", "mail")
    process(redis_client, PROCESS, item("A"), item("A"))
    collecting = Collecting(store, "redis")
    (without,) = collecting.take(1).queues
    (mail,) = collecting.take(2, wants_jobs=True).queues
    assert (without.running, mail.running) == (None, 2)


def test_jobs_are_read_every_few_seconds(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, processes=30, jobs=5)
    ids = store.processes.ids()
    reader = HeldReader(store)
    found = reader.read(ids)
    assert len(found) == 150
    assert found.by_class == {"Fetch": 150}
    with Traffic(redis_client) as traffic:
        assert reader.read(ids) is found
    assert "hgetall" not in traffic.calls


def test_items_that_are_no_jobs(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, b"\xff", b'{"class": 5}', b'"x"')
    redis_client.hset(f"resque:ledger:{PROCESS}", "9", "no entry")
    jobs = HeldReader(store).read([PROCESS])
    assert {job.job for _, job in jobs.items()} == {None}
    assert all(job.label for _, job in jobs.items())


def test_what_jobs_wait_on(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("Sync"), item("Mail"), runs={"0": 90, "1": 7})
    waits = {"0": ["api.example:443", 0.0, "a.py:1"], "1": ["a lock", 0.0, "b.py:2"]}
    redis_client.set(f"resque:waits:{PROCESS}", msgspec.json.encode(waits))
    snapshot = Collecting(store, "redis").take(1, wants_jobs=True)
    assert places(snapshot, "waits:api.EXAMPLE") == [(PROCESS, "0")]
    assert places(snapshot, "waits:api class:Mail") == []
    found = {each.key: each.values for each in Matching.of(snapshot).facets(snapshot)}
    assert found["waits"] == (("api.example:443", 1), ("a lock", 1))
    assert redis_client.ttl("resque:watch") > 0, "processes are asked to say it"
