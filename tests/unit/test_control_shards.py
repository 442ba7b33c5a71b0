"""Moving what waits on a shard, also when that is cut off half way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

import gresque
from gresque.control.shards import move_all
from gresque.store.later_job import Times
from gresque.store.store import Store
from tests.support.cli import Call


@pytest.fixture
def urls(redis_url: str) -> list[str]:
    return [f"a={redis_url}?db=1", f"drain:b={redis_url}"]


@pytest.fixture
def left(urls: list[str]) -> Iterator[gresque.Client]:
    with closing(gresque.Client(urls=urls)) as client:
        yield client


def args_in(store: Store, queue: str) -> list[int]:
    return sorted(json.loads(raw)["args"][0] for raw in store.queues.peek(queue, 0, 9999))


def push(store: Store, queue: str, numbers: range) -> None:
    raws = [b'{"class":"J","args":[%d]}' % number for number in numbers]
    store.enqueuer.push(queue, raws)


def test_what_waits_is_moved(left: gresque.Client, store: Store) -> None:
    other = left._store_of(left._several[0], True)
    push(store, "q", range(1200))
    push(store, "q", range(3))  # the same jobs once more
    push(store, "resting", range(2))
    store.policies.pause("resting")
    with closing(gresque.Client(store.server.url)) as alone:
        late = alone.options("J", queue="q", in_=600).enqueue(7)
    assert move_all(store, left._spread, by="me") == (1205, 1, 0, ("resting",))
    assert args_in(other, "q") == sorted([*range(1200), *range(3)])
    assert args_in(other, "resting") == [0, 1]
    assert store.queues.size("q") == store.queues.size("resting") == store.later.count() == 0
    assert store.policies.read().policy("resting").paused
    assert not store.policies.read().policy("q").paused
    (job,) = other.later.page(0, 9)
    assert (job.member, job.queue) == (late, "q")
    assert 590 < job.due_ms / 1000 - other.now() <= 600


def test_what_is_due_soon_is_moved_as_a_waiting_job(
    left: gresque.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No maintenance process of the shard can make two of it meanwhile."""
    other = left._store_of(left._several[0], True)
    with closing(gresque.Client(store.server.url)) as alone:
        alone.options("J", queue="q", in_=0.5).enqueue(1)
        alone.options("J", queue="q", in_=600).enqueue(2)
    scheduled = list[int]()
    schedule = left._spread.schedule

    def note(queue: str, ids: list[str], raws: list[bytes], times: Times) -> None:
        scheduled.extend(json.loads(raw)["args"][0] for raw in raws)
        schedule(queue, ids, raws, times)

    monkeypatch.setattr(left._spread, "schedule", note)
    assert move_all(store, left._spread, by="me")[:2] == (1, 1)
    assert scheduled == [2]
    assert args_in(other, "q") == [1]
    assert store.later.count() == store.queues.size("q") == 0


def test_a_move_that_is_cut_off_loses_nothing(
    left: gresque.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = left._store_of(left._several[0], True)
    push(store, "q", range(1200))
    remove = store.queues.remove_first
    calls = []

    def killed(queue: str, raws: list[bytes]) -> int:
        calls.append(queue)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return remove(queue, raws)

    monkeypatch.setattr(store.queues, "remove_first", killed)
    with pytest.raises(KeyboardInterrupt):
        move_all(store, left._spread, by="me")
    assert (store.queues.size("q"), other.queues.size("q")) == (700, 1000)
    move_all(store, left._spread, by="me")
    assert sorted({*args_in(other, "q")}) == [*range(1200)]
    assert other.queues.size("q") == 1700, "what was on its way is there twice"


def test_suspects_are_moved_as_waiting_jobs(left: gresque.Client, store: Store) -> None:
    other = left._store_of(left._several[0], True)
    keys = store.keys
    for deaths in (1, 2):
        store.redis.rpush(keys.suspects_of("q", deaths), b'{"class":"J","args":[%d]}' % deaths)
    store.redis.sadd(keys.suspects, "q")
    assert move_all(store, left._spread, by="me").waiting == 2
    assert args_in(other, "q") == [1, 2]
    assert store.queues.size("q") == 0
    assert not store.policies.read().policy("q").paused


def failed_entries(numbers: range, queue: str) -> list[bytes]:
    return [
        b'{"queue":"%s","payload":{"class":"J","args":[%d]},"error":"x"}' % (queue.encode(), number)
        for number in numbers
    ]


def test_failed_jobs_are_moved_as_they_are(urls: list[str], store: Store) -> None:
    urls = [urls[0], f"c={urls[0].removeprefix('a=').replace('db=1', 'db=2')}", urls[1]]
    with closing(gresque.Client(urls=urls, pinned_queues=["pinned"])) as left:
        others = [left._store_of(shard, True) for shard in left._several[:2]]
        keys = store.keys
        spread, pinned = failed_entries(range(700), "q"), failed_entries(range(5), "pinned")
        store.failed.append(keys.failed, "", [*spread, *pinned, b"no entry"])
        own = failed_entries(range(3), "mail")
        store.failed.append(keys.failed_list("mail_failed"), "mail_failed", own)
        assert move_all(store, left._spread, by="me") == (0, 0, 709, ())
        found = [other.failed.page(keys.failed, 0, 9999) for other in others]
        assert sorted(found[0] + found[1]) == sorted([*spread, *pinned, b"no entry"])
        assert min(map(len, found)) > 200
        (of_pinned,) = [n for n, s in enumerate("ac") if s == left.shard_of(queue="pinned")]
        assert set(pinned) <= set(found[of_pinned])
        there = [other for other in others if "mail_failed" in other.failed.names()]
        moved = [e for s in there for e in s.failed.page(keys.failed_list("mail_failed"), 0, 9)]
        assert sorted(moved) == own
    assert store.failed.count(keys.failed) == 0
    assert store.failed.count(keys.failed_list("mail_failed")) == 0


def test_a_move_of_failed_jobs_that_is_cut_off_loses_none(
    left: gresque.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = left._store_of(left._several[0], True)
    key, entries = store.keys.failed, failed_entries(range(300), "q")
    store.failed.append(key, "", entries)
    rewrite = store.failed.rewrite
    calls = []

    def killed(*arguments: Any) -> int:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rewrite(*arguments)

    monkeypatch.setattr(store.failed, "rewrite", killed)
    with pytest.raises(KeyboardInterrupt):
        move_all(store, left._spread, by="me")
    doubled = store.failed.count(key) + other.failed.count(key) - 300
    assert 0 < doubled < 300
    assert {*store.failed.page(key, 0, 999), *other.failed.page(key, 0, 999)} == set(entries)
    move_all(store, left._spread, by="me")
    assert set(other.failed.page(key, 0, 999)) == set(entries)
    assert (store.failed.count(key), other.failed.count(key)) == (0, 300 + doubled)


def test_the_command(
    call: Call, urls: list[str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("REDIS_URLS", " ".join(urls))
    push(store, "q", range(3))
    store.policies.pause("q")
    assert call("shards", "move", "b").out == (
        "moved 3 waiting jobs, 0 later ones, 0 failed ones\n"
        "queue q is paused on b, by a user, or by a move that was killed; to end it: "
        "gresque unpause q --shard b\n"
    )
    assert call("unpause", "q", "--shard", "b").code == 0
    assert len(call("shards", "move", "b").out.splitlines()) == 1
    refused = call("shards", "move", "a")
    assert refused.code == 2
    assert "write drain: before its URL" in refused.err
    assert call("shards", "move", "x").code == 2
