"""The client against Resque's wire: what it writes, what it reads, and what it refuses."""

from __future__ import annotations

import copy
import functools
import json
import os
import pickle
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
from gresque.client import default
from gresque.errors import (
    EnqueueError,
    GresqueError,
    JobDeclarationError,
    NotEnqueued,
    PayloadTooLarge,
    RedisUnavailable,
    SettingsError,
    UnserializableArgument,
)
from gresque.jobs import payload
from gresque.jobs.registry import registry
from gresque.settings import Settings
from tests.support.programs import PLAIN, stem

WIRE = Path(__file__).parents[1] / "wire"
Redis = redis.Redis


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    before = dict(registry._definitions)
    calls.clear()
    yield
    registry._definitions.clear()
    registry._definitions.update(before)


@pytest.fixture
def client(redis_url: str) -> Iterator[gresque.Client]:
    client = gresque.Client(redis_url)
    yield client
    client.close()


calls: list[Any] = []


@gresque.job("bench", name="Noop")
def noop(*args: Any, **kwargs: Any) -> None:
    calls.append((args, kwargs))


class Hooked(gresque.Job):
    queue = "hooked"
    name = "Hooked"

    def perform(*args: Any, **kwargs: Any) -> None:
        calls.append("perform")

    def before_enqueue_1(answer: Any, **kwargs: Any) -> Any:
        calls.append("before 1")
        return answer

    def before_enqueue_2(answer: Any, **kwargs: Any) -> None:
        calls.append("before 2")

    def after_enqueue(answer: Any, **kwargs: Any) -> None:
        calls.append("after")

    def before_dequeue(answer: Any = None, **kwargs: Any) -> Any:
        calls.append("before dequeue")
        return answer

    def after_dequeue(answer: Any = None, **kwargs: Any) -> None:
        calls.append("after dequeue")


def items(redis_client: Redis, queue: str = "bench") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in redis_client.lrange(f"resque:queue:{queue}", 0, -1)]


def resque_keys(redis_client: Redis) -> set[str]:
    """All keys but our own, which must expire by themselves."""
    keys = {key.decode() for key in redis_client.scan_iter()}
    ours = {key for key in keys if "producer:" in key}
    assert all(0 < redis_client.ttl(key) <= 132 for key in ours)
    return keys - ours


# Enqueueing


def test_enqueue_writes_what_the_fork_writes(
    client: gresque.Client, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = (WIRE / "fork_queue_item.json").read_bytes().strip()
    monkeypatch.setattr("gresque.client.enqueue.new_id", lambda: json.loads(captured)["id"])
    client.enqueue(noop, 1, "two", {"three": 3})
    keys = json.loads((WIRE / "fork_01_enqueue.keys.json").read_text())
    assert resque_keys(redis_client) == set(keys)
    assert redis_client.smembers("resque:queues") == {b"bench"}
    assert redis_client.lrange("resque:queue:bench", 0, -1) == [captured]
    assert [redis_client.ttl(key) for key in keys] == [-1, -1]


def test_the_id_is_returned_and_jobs_go_to_the_end(
    client: gresque.Client, redis_client: Redis
) -> None:
    ids = [client.enqueue(noop, number) for number in range(3)]
    assert [(item["id"], item["args"]) for item in items(redis_client)] == [
        (ids[0], [0]), (ids[1], [1]), (ids[2], [2]),
    ]  # fmt: skip
    assert all(item["generation"] == 1 for item in items(redis_client))


@pytest.mark.parametrize(
    ("args", "kwargs", "tail"),
    [
        ((), {}, b'"args":[],"id":"ID","generation":1}'),
        ((1,), {}, b'"args":[1],"id":"ID","generation":1}'),
        ((), {"a": 1}, b'"args":[{"a":1,"_kwargs":true}],"id":"ID","generation":1}'),
        (
            (1,),
            {"b": 2, "a": None},
            b'[1,{"b":2,"a":null,"_kwargs":true}],"id":"ID","generation":1}',
        ),
    ],
)
def test_keywords_stand_last_in_args_when_there_are_any(
    client: gresque.Client, redis_client: Redis, args: Any, kwargs: Any, tail: bytes
) -> None:
    job_id = client.enqueue(noop, *args, **kwargs)
    assert job_id is not None
    (raw,) = redis_client.lrange("resque:queue:bench", 0, -1)
    assert raw.startswith(b'{"class":"Noop","args":[')
    assert raw.replace(job_id.encode(), b"ID").endswith(tail)


@pytest.mark.parametrize(
    "queue", ["low", "a b", "a:b", "日本", "*", "!x", "a\nb", "a\0b", ",", "5"]
)
def test_enqueue_to(client: gresque.Client, redis_client: Redis, queue: str) -> None:
    job_id = client.enqueue_to(queue, noop, 1)
    assert [item["id"] for item in items(redis_client, queue)] == [job_id]
    assert client.queues() == [queue]
    assert client.size(queue) == 1
    assert client.peek(queue)[0]["id"] == job_id
    assert client.remove_queue(queue) == 1
    assert resque_keys(redis_client) == set()


def test_a_bare_name_is_for_other_programs(client: gresque.Client, redis_client: Redis) -> None:
    job_id = client.enqueue_to("ruby", "My::Job", 1, two=2)
    assert items(redis_client, "ruby") == [
        {
            "class": "My::Job",
            "args": [1, {"two": 2, "_kwargs": True}],
            "id": job_id,
            "generation": 1,
        }
    ]
    assert len(client.enqueue_many("My::Job", [(1,)], queue="ruby")) == 1
    assert registry.find("My::Job") is None
    with pytest.raises(EnqueueError, match=r"no job named 'My::Job' is declared here, so "):
        client.enqueue("My::Job", 1)
    with pytest.raises(EnqueueError, match=r"program use enqueue_to\(queue, 'My::Job'\)"):
        client.enqueue_many("My::Job", [(1,)])


def test_a_bare_name_of_a_declared_job_is_that_job(
    client: gresque.Client, redis_client: Redis
) -> None:
    client.enqueue("Noop", 1)
    client.enqueue_to("other", "Noop", 2)
    assert [items(redis_client, queue)[0]["args"] for queue in ("bench", "other")] == [[1], [2]]
    with pytest.raises(EnqueueError, match=r"'Nop' is declared here \(did you mean 'Noop'\?\)"):
        client.enqueue("Nop")


@pytest.mark.parametrize("job", [None, 5, len, lambda: None, object(), gresque.Job, b"name", []])
def test_what_is_no_job(client: gresque.Client, redis_client: Redis, job: Any) -> None:
    for call in (
        lambda: client.enqueue(job, 1),
        lambda: client.enqueue_to("q", job, 1),
        lambda: client.enqueue_many(job, [(1,)]),
        lambda: client.dequeue(job, 1),
    ):
        with pytest.raises(EnqueueError, match=r"is not a job; declare it with @gresque\.job"):
            call()
    assert redis_client.keys() == []


@pytest.mark.parametrize("queue", ["", None, 5, b"q", ["q"]])
def test_what_is_no_queue(client: gresque.Client, redis_client: Redis, queue: Any) -> None:
    with pytest.raises(EnqueueError, match="is not the name of a queue"):
        client.enqueue_to(queue, noop)
    if queue is not None:
        with pytest.raises(EnqueueError, match="is not the name of a queue"):
            client.enqueue_many(noop, [(1,)], queue=queue)
    assert redis_client.keys() == []


@pytest.mark.parametrize("queue", ["", None, 5, b"q", "\ud800"], ids=ascii)
def test_what_can_be_no_queue_is_not_looked_at(client: gresque.Client, queue: Any) -> None:
    for look in (client.size, client.peek, client.remove_queue):
        with pytest.raises(GresqueError, match="is not the name of a queue"):
            look(queue)


def test_a_queue_of_another_program_whose_name_is_not_utf8(
    client: gresque.Client, redis_client: Redis
) -> None:
    redis_client.sadd("resque:queues", b"\xff")
    redis_client.rpush(b"resque:queue:\xff", b"{}")
    (queue,) = client.queues()
    assert client.size(queue) == 1
    assert client.peek(queue) == [{}]
    assert client.remove_queue(queue) == 1
    assert client.queues() == []


@pytest.mark.parametrize("bad", [b"x", {1}, float("nan"), 1j, {1: 2}, "\ud800"], ids=ascii)
def test_what_json_cannot_carry_is_not_enqueued(
    client: gresque.Client, redis_client: Redis, bad: Any
) -> None:
    for call in (
        lambda: client.enqueue(noop, bad),
        lambda: client.enqueue(noop, key=bad),
        lambda: client.enqueue_to("q", noop, [bad]),
        lambda: client.enqueue_many(noop, [(1,), (bad,)]),
        lambda: noop.enqueue(bad),
    ):
        with pytest.raises(UnserializableArgument):
            call()
    assert redis_client.keys() == []


@pytest.mark.parametrize(
    "bad",
    [b"x", {1}, float("nan"), object(), "\ud800"],
    ids=["bytes", "set", "nan", "object", "surrogate"],
)
def test_what_json_cannot_carry_is_no_argument_to_dequeue_by(
    client: gresque.Client, bad: Any
) -> None:
    client.enqueue_many(noop, [("eA==",), ([1],), (None,)])  # as such values would be in JSON
    for call in (lambda: client.dequeue(noop, bad), lambda: client.dequeue(noop, key=bad)):
        with pytest.raises(UnserializableArgument):
            call()
    assert client.size("bench") == 3


def test_an_argument_that_is_too_large(client: gresque.Client, redis_client: Redis) -> None:
    with pytest.raises(PayloadTooLarge, match="Noop"):
        client.enqueue(noop, "x" * payload.MAX_PAYLOAD_BYTES)
    with pytest.raises(PayloadTooLarge, match="job 1 of the bulk"):
        client.enqueue_many(noop, [(1,), ("x" * payload.MAX_PAYLOAD_BYTES,)])
    assert redis_client.keys() == []


def test_another_namespace(redis_url: str, redis_client: Redis) -> None:
    client = gresque.Client(redis_url, "app:jobs")
    client.enqueue(noop)
    assert resque_keys(redis_client) == {"app:jobs:queues", "app:jobs:queue:bench"}
    assert all(key.startswith(b"app:jobs:") for key in redis_client.scan_iter())
    client.close()
    with closing(gresque.Client(redis_url)) as client:
        assert client.queues() == []


def test_a_key_of_another_type_is_an_error(client: gresque.Client, redis_client: Redis) -> None:
    redis_client.set("resque:queue:bench", "x")
    with pytest.raises(NotEnqueued, match=r"^not enqueued: Redis at .* refuses: WRONGTYPE"):
        client.enqueue(noop)
    with pytest.raises(NotEnqueued, match="WRONGTYPE") as raised:
        client.enqueue_many(noop, [()])
    assert isinstance(raised.value.__cause__, redis.ResponseError)


def test_no_server(tmp_path: Path) -> None:
    client = gresque.Client(f"unix://{tmp_path}/none.sock", retry_seconds=0)
    calls = (
        lambda: client.enqueue(noop), lambda: client.enqueue_many(noop, [()]),
        lambda: client.dequeue(noop), lambda: client.remove_queue("bench"),
        lambda: client.size("bench"), lambda: client.peek("bench"), client.queues, client.info,
    )  # fmt: skip
    for call in calls:
        with pytest.raises(
            RedisUnavailable, match=r"no answer from Redis at .*none\.sock"
        ) as raised:
            call()
        assert isinstance(raised.value.__cause__, redis.ConnectionError)
        printed = "".join(traceback.format_exception(raised.value))
        assert printed.startswith("redis.exceptions.ConnectionError: ")
        assert printed.count("\n\n") == 2, "the cause, that it is one, and the error"
        assert "site-packages/redis" not in printed


# Hooks


@pytest.mark.parametrize("answer", [None, True, 0, "", [], "no"])
def test_before_enqueue_lets_pass_what_is_not_false(
    client: gresque.Client, redis_client: Redis, answer: Any
) -> None:
    assert client.enqueue(Hooked, answer) == items(redis_client, "hooked")[0]["id"]
    assert calls == ["before 1", "before 2", "after"]


def test_before_enqueue_false_rejects(client: gresque.Client, redis_client: Redis) -> None:
    assert client.enqueue(Hooked, False) is None
    assert calls == ["before 1"]
    assert redis_client.keys() == []


def test_hooks_see_the_arguments_as_they_were_given(client: gresque.Client) -> None:
    seen: list[Any] = []

    class Looks(gresque.Job):
        name = "Looks"

        def perform(*args: Any, **kwargs: Any) -> None: ...

        def before_enqueue(*args: Any, **kwargs: Any) -> None:
            seen.append((args, kwargs))

    client.enqueue_to("q", Looks, (1,), a=(2,))
    assert seen == [(((1,),), {"a": (2,)})]


def test_an_error_in_before_enqueue_stops_it(client: gresque.Client, redis_client: Redis) -> None:
    class Stops(gresque.Job):
        name = "Stops"
        queue = "q"

        def perform() -> None:  # type: ignore[misc]
            ...

        def before_enqueue() -> None:  # type: ignore[misc]
            raise ZeroDivisionError

    for call in (lambda: client.enqueue(Stops), lambda: client.enqueue_many(Stops, [()])):
        with pytest.raises(ZeroDivisionError):
            call()
    assert redis_client.keys() == []


# Inline


def test_inline_runs_at_once_and_leaves_redis_alone(redis_client: Redis) -> None:
    client = gresque.Client("unix:///nowhere", inline=True)
    assert len(client.enqueue(noop, (1,), a=2) or "") == 32
    assert client.enqueue_to("q", noop, 2)
    assert len(client.enqueue_many(noop, [(3,), {"b": 4}])) == 2
    assert calls == [(([1],), {"a": 2}), ((2,), {}), ((3,), {}), ((), {"b": 4})]
    assert "store" not in vars(client)


def test_inline_has_the_hooks_around(redis_client: Redis) -> None:
    client = gresque.Client("unix:///nowhere", inline=True)
    client.enqueue(Hooked, 1)
    assert calls == ["before 1", "before 2", "perform", "after"]
    calls.clear()
    assert client.enqueue(Hooked, False) is None
    assert client.enqueue_many(Hooked, [(False,), (1,)]) != []
    assert calls == ["before 1", "before 1", "before 1", "before 2", "perform", "after"]


def test_inline_raises_what_the_job_raises() -> None:
    @gresque.job("q", name="fails")
    def fails() -> None:
        raise ZeroDivisionError

    client = gresque.Client("unix:///nowhere", inline=True)
    with pytest.raises(ZeroDivisionError):
        client.enqueue(fails)
    with pytest.raises(ZeroDivisionError):
        client.enqueue_many(fails, [()])
    with pytest.raises(JobDeclarationError, match="declared in another program"):
        client.enqueue_to("q", "Ruby::Job")


ENDS: list[tuple[Exception, list[str]]] = [
    (ValueError("wrong"), ["on_failure", "on_give_up"]),
    (gresque.GiveUp("enough"), ["on_failure", "on_give_up"]),
    (gresque.RetryLater(5), []),
]


@pytest.mark.parametrize(("error", "told"), ENDS, ids=["failure", "given up", "snooze"])
def test_inline_calls_the_hooks_of_a_last_attempt(error: Exception, told: list[str]) -> None:
    class Fails(gresque.Job):
        queue, name, retries = "q", "fails", 3

        def perform(*args: Any) -> None:
            raise error

        def on_failure(found: Exception, *args: Any) -> None:
            calls.append("on_failure")

        def on_retry(found: Exception, *args: Any) -> None:
            calls.append("on_retry")

        def on_give_up(found: Exception, *args: Any) -> None:
            calls.append("on_give_up")

    with pytest.raises(type(error)):
        gresque.Client("unix:///nowhere", inline=True).enqueue_in(60, Fails, 1)
    assert calls == told


# Bulk


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_a_bulk_keeps_its_order(client: gresque.Client, redis_client: Redis, count: int) -> None:
    ids = client.enqueue_many(noop, [(number,) for number in range(count)])
    found = items(redis_client)
    assert [item["args"] for item in found] == [[number] for number in range(count)]
    assert [item["id"] for item in found] == ids
    assert len(set(ids)) == count
    assert redis_client.smembers("resque:queues") == ({b"bench"} if count else set())


def test_the_shapes_of_calls(client: gresque.Client, redis_client: Redis) -> None:
    ids = client.enqueue_many(noop, ((1, 2), [3], {"a": 4}, (), {}), queue="other")
    assert items(redis_client, "other") == [
        {"class": "Noop", "args": [1, 2], "id": ids[0], "generation": 1},
        {"class": "Noop", "args": [3], "id": ids[1], "generation": 1},
        {"class": "Noop", "args": [{"a": 4, "_kwargs": True}], "id": ids[2], "generation": 1},
        {"class": "Noop", "args": [], "id": ids[3], "generation": 1},
        {"class": "Noop", "args": [], "id": ids[4], "generation": 1},
    ]


@pytest.mark.parametrize("call", ["ab", 5, None, b"x", {1}, iter([1])])
def test_calls_that_are_none(client: gresque.Client, redis_client: Redis, call: Any) -> None:
    with pytest.raises(
        EnqueueError, match=r"^job 1 of the bulk: .* are no arguments; give a tuple"
    ):
        client.enqueue_many(noop, [(1,), call])
    for calls in (5, None):
        with pytest.raises(EnqueueError, match="are no calls; give a list of tuples"):
            client.enqueue_many(noop, calls)  # type: ignore[arg-type]
    assert redis_client.keys() == []


def test_a_generator_is_read_as_it_is_pushed(client: gresque.Client, redis_client: Redis) -> None:
    sizes: list[int] = []

    def numbers() -> Iterator[tuple[int]]:
        for number in range(3001):
            if number % 1000 == 0:
                sizes.append(redis_client.llen("resque:queue:bench"))
            yield (number,)

    assert len(client.enqueue_many(noop, numbers())) == 3001
    assert sizes == [0, 0, 1000, 2000] or sizes == [0, 1000, 2000, 3000]
    assert redis_client.llen("resque:queue:bench") == 3001


@pytest.mark.parametrize(("bad", "stays"), [(0, 0), (999, 0), (1000, 1000), (2500, 2000)])
def test_what_was_pushed_before_a_bad_call_stays(
    client: gresque.Client, redis_client: Redis, bad: int, stays: int
) -> None:
    arguments: list[Any] = [(number,) for number in range(3000)]
    arguments[bad] = ({1},)
    with pytest.raises(UnserializableArgument, match=f"^job {bad} of the bulk: Noop: argument 1 "):
        client.enqueue_many(noop, arguments)
    assert [item["args"] for item in items(redis_client)] == [[number] for number in range(stays)]


def test_what_was_pushed_before_the_generator_failed_stays(
    client: gresque.Client, redis_client: Redis
) -> None:
    def numbers() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(1500))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.enqueue_many(noop, numbers())
    assert redis_client.llen("resque:queue:bench") == 1000


def test_a_round_trip_that_fails_leaves_the_ones_before(
    client: gresque.Client, redis_client: Redis
) -> None:
    def numbers() -> Iterator[tuple[int]]:
        for number in range(3000):
            if number == 1500:
                redis_client.rename("resque:queue:bench", "saved")
                redis_client.set("resque:queue:bench", "x")
            yield (number,)

    with pytest.raises(NotEnqueued, match=r"WRONGTYPE.*; the 1,000 jobs of the bulk") as raised:
        client.enqueue_many(noop, numbers())
    saved = [json.loads(raw)["id"] for raw in redis_client.lrange("saved", 0, -1)]
    assert saved == list(raised.value.enqueued_ids)
    assert len(saved) == 1000
    assert isinstance(raised.value.__cause__, redis.ResponseError)


def test_hooks_run_for_each_job_of_a_bulk(client: gresque.Client, redis_client: Redis) -> None:
    ids = client.enqueue_many(Hooked, [(1,), (False,), (2,)])
    assert [item["id"] for item in items(redis_client, "hooked")] == ids
    assert [item["args"] for item in items(redis_client, "hooked")] == [[1], [2]]
    # The after hooks when the round trip is done: only then are the jobs in their queue.
    before = ["before 1", "before 2"]
    assert calls == [*before, "before 1", *before, "after", "after"]


# Taking back


def fill(redis_client: Redis, *raws: str | bytes, queue: str = "bench") -> None:
    redis_client.sadd("resque:queues", queue)
    redis_client.rpush(f"resque:queue:{queue}", *raws)


def test_dequeue_by_arguments(client: gresque.Client, redis_client: Redis) -> None:
    for args, kwargs in (((1,), {}), ((2,), {}), ((1,), {"a": 1}), ((1,), {}), ((1, 2), {})):
        client.enqueue(noop, *args, **kwargs)
    assert client.dequeue(noop, 1) == 2
    assert [item["args"] for item in items(redis_client)] == [
        [2], [1, {"a": 1, "_kwargs": True}], [1, 2],
    ]  # fmt: skip
    assert client.dequeue(noop, 1, a=1) == 1
    assert client.dequeue(noop, 3) == 0
    assert client.dequeue(noop) == 2
    assert client.size("bench") == 0


@gresque.job(queue="bench", name="Charged")
def charged(customer: str, amount: int = 1, *, dry_run: bool = False) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("c", 2), {}), (("c",), {"amount": 2}), ((), {"amount": 2, "customer": "c"})],
)
def test_dequeue_compares_calls_and_not_their_spelling(
    client: gresque.Client, redis_client: Redis, args: Any, kwargs: Any
) -> None:
    calls: list[Any] = [("c", 2), {"customer": "c", "amount": 2}]
    client.enqueue_many(charged, calls)
    client.enqueue(charged, "c", amount=2)
    client.enqueue(charged, "c", 2, dry_run=True)
    fill(redis_client, b'{"class":"Charged","args":["c",2,3,4]}')
    fill(redis_client, b'{"class":"Charged","args":["c"]}')
    assert client.dequeue(charged, *args, **kwargs) == 3
    assert client.dequeue(charged, "c", 2, 3, 4) == 1, "a call that it does not take"
    assert client.dequeue(charged, dry_run=True, amount=2, customer="c") == 1
    assert client.dequeue(charged, "c", 1) == 0, "defaults may change while jobs wait"
    assert client.dequeue(charged, "c") == 1


def test_dequeue_leaves_other_jobs_and_whatever_else(
    client: gresque.Client, redis_client: Redis
) -> None:
    others = [b'{"class":"Other","args":[1]}', b"not json", b"\xff", b"[]", b"{}", b'{"class":[]}']
    mine = [b'{"class":"Noop"}', b'{"args":[1], "class":"Noop"}', b'{"class":"Noop","args":null}']
    fill(redis_client, *others, *mine, *mine)
    assert client.dequeue(noop, 1) == 2
    assert client.dequeue(noop) == 4
    assert redis_client.lrange("resque:queue:bench", 0, -1) == others


def test_dequeue_hooks(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue(Hooked, False)
    client.enqueue(Hooked, 1)
    calls.clear()
    assert client.dequeue(Hooked, False) == 0
    assert calls == ["before dequeue"]
    assert client.dequeue(Hooked, 1) == 1
    assert calls[1:] == ["before dequeue", "after dequeue"]


def test_remove_queue(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue_many(noop, [()] * 5)
    client.enqueue_to("other", noop)
    assert client.remove_queue("bench") == 5
    assert client.queues() == ["other"]
    assert client.remove_queue("bench") == 0
    assert client.remove_queue("never was") == 0


# Looking


def test_an_empty_redis(client: gresque.Client, redis_url: str) -> None:
    assert client.queues() == []
    assert client.size("none") == 0
    assert client.peek("none") == []
    assert client.info() == {
        "pending": 0, "processed": 0, "queues": 0, "workers": 0, "working": 0, "failed": 0,
        "retried": 0, "delayed": 0, "schedules": 0, "servers": [redis_url],
        "all_paused": False, "paused": [], "limited": [],
    }  # fmt: skip


def test_info_counts(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue_many(noop, [()] * 3)
    client.enqueue_to("other", noop)
    client.enqueue_to("empty", noop)
    redis_client.lpop("resque:queue:empty")
    redis_client.mset({"resque:stat:processed": 7, "resque:stat:retried": 3})
    redis_client.rpush("resque:failed", "a", "b")
    redis_client.sadd("resque:workers", "w1", "w2")
    redis_client.zadd("resque:ledgers", {"w1:1:1": 1})
    redis_client.hset("resque:ledger:w1:1:1", mapping={"state": "1 1 0 0 0 0", "0": "1:q{}"})
    client.enqueue_in(60, noop)
    redis_client.rpush("resque:delayed:5", "{}", "{}")
    redis_client.zadd("resque:delayed_queue_schedule", {"5": 5})
    info = client.info()
    del info["servers"]
    assert info == {
        "pending": 4, "processed": 7, "queues": 3, "workers": 2, "working": 1, "failed": 2,
        "retried": 3, "delayed": 3, "schedules": 0,
        "all_paused": False, "paused": [], "limited": [],
    }  # fmt: skip
    assert client.queues() == ["bench", "empty", "other"]


@pytest.mark.parametrize(
    ("start", "count", "found"),
    [
        (0, 1, [0]), (0, 3, [0, 1, 2]), (1, 2, [1, 2]), (4, 9, [4]),
        (5, 1, []), (0, 99, [*range(5)])
    ],
)  # fmt: skip
def test_peek(client: gresque.Client, start: int, count: int, found: list[int]) -> None:
    client.enqueue_many(noop, [(number,) for number in range(5)])
    assert [item["args"] for item in client.peek("bench", start, count)] == [[n] for n in found]
    assert client.size("bench") == 5


def test_peek_shows_what_is_no_job_as_text(client: gresque.Client, redis_client: Redis) -> None:
    fill(redis_client, b'{"class":"A"}', b"x", b"\xff", b"[1]")
    assert client.peek("bench", 0, 9) == [
        {"class": "A"}, {"raw": "x"}, {"raw": "\\xff"}, {"raw": "[1]"},
    ]  # fmt: skip


def test_a_queue_whose_name_is_not_utf_8_is_listed(
    client: gresque.Client, redis_client: Redis
) -> None:
    redis_client.sadd("resque:queues", b"a\xff", "b")
    assert client.queues() == ["a\udcff", "b"]


# Sharing


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work(number)` in so many threads that start together; their results or errors."""
    start = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_200_threads_share_a_client(client: gresque.Client, redis_client: Redis) -> None:
    ids = in_threads(200, lambda number: [client.enqueue(noop, number, i) for i in range(5)])
    found = items(redis_client)
    assert sorted(item["id"] for item in found) == sorted(job_id for own in ids for job_id in own)
    for number in range(200):
        assert [item["args"][1] for item in found if item["args"][0] == number] == [*range(5)]


def test_200_threads_share_the_default_client(redis_url: str, redis_client: Redis) -> None:
    gresque.configure(redis_url)
    ids = in_threads(200, lambda number: noop.enqueue(number))
    assert {item["id"] for item in items(redis_client)} == set(ids)


def test_a_client_goes_on_in_a_forked_child(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue(noop, "parent before")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            for _ in range(50):
                client.enqueue(noop, "child")
            code = 0 if client.size("bench") >= 51 else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    for _ in range(50):
        client.enqueue(noop, "parent")
    _, status = os.waitpid(pid, 0)
    assert status == 0
    names = [item["args"][0] for item in items(redis_client)]
    assert (names.count("child"), names.count("parent")) == (50, 50)


def test_a_closed_client_may_be_used_again(client: gresque.Client) -> None:
    client.close()
    client.enqueue(noop)
    client.close()
    client.close()
    assert client.size("bench") == 1


# The default client


def test_the_default_client_reads_the_environment(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("RESQUE_NAMESPACE", "env")
    job_id = noop.enqueue(1)
    assert resque_keys(redis_client) == {"env:queues", "env:queue:bench"}
    assert gresque.peek("bench")[0]["id"] == job_id
    assert default.default_client() is default.default_client()


def test_configure_goes_over_the_environment(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere")
    monkeypatch.setenv("RESQUE_NAMESPACE", "env")
    client = gresque.configure(redis_url)
    assert (client.redis_url, client.namespace) == (redis_url, "env")
    assert gresque.configure(redis_url, "own").namespace == "own"
    gresque.enqueue(noop)
    assert redis_client.exists("own:queue:bench")


def test_the_settings_of_a_worker_hold(
    redis_url: str,
    redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere")
    gresque.configure("unix:///before", "before")
    default.adopt(Settings.load({"redis_url": redis_url, "namespace": "flag"}, os.environ))
    noop.enqueue(1)
    for given in ({}, {"redis_url": redis_url}, {"namespace": "flag"}):
        gresque.configure(**given, retry_seconds=0.5)
    assert caplog.records == [], "none asks for anything else"
    client = gresque.configure("redis://:secret@other", "other", failure_backend="redis")
    assert (client.redis_url, client.namespace) == (redis_url, "flag")
    noop.enqueue(2)
    assert redis_client.llen("flag:queue:bench") == 2
    (record,) = caplog.records
    assert "another redis_url and namespace than this worker has" in record.getMessage()
    assert f"{__file__}:" in record.getMessage()
    assert "secret" not in record.getMessage()
    default.adopt(Settings.load({"redis_url": "unix:///resolved"}, {}))
    assert default.default_client().redis_url == "unix:///resolved"


def test_the_verbs_of_the_module(redis_url: str, redis_client: Redis) -> None:
    gresque.configure(redis_url)
    assert gresque.enqueue(noop, 1)
    assert gresque.enqueue_to("low", noop, 2)
    assert len(gresque.enqueue_many(noop, [(3,)], queue="low")) == 1
    assert noop.enqueue_to("low", 4)
    assert Hooked.enqueue(5)
    assert Hooked.enqueue_to("low", 6)
    assert gresque.queues() == ["bench", "hooked", "low"]
    assert gresque.size("low") == 4
    assert [item["args"] for item in gresque.peek("low", 1, 2)] == [[3], [4]]
    assert gresque.info()["pending"] == 6
    assert gresque.dequeue(noop, 1) == 1
    assert gresque.remove_queue("low") == 4


def test_configure_inline() -> None:
    gresque.configure("unix:///nowhere", inline=True)
    noop.enqueue(1)
    assert calls == [((1,), {})]


@pytest.mark.parametrize("url", ["localhost", "http://h", "sentinel://h", ""])
def test_configure_refuses_a_bad_url(url: str) -> None:
    for make in (gresque.configure, gresque.Client):
        with pytest.raises(SettingsError, match=r"^redis_url: "):
            make(url)


WRONG_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"redis_url": 5}, "redis_url is a str, and not of type int"),
    ({"redis_url": b"redis://:secret@h"}, "redis_url is a str, and not of type bytes"),
    ({"namespace": ""}, "namespace: the namespace is empty"),
    ({"namespace": "\ud800"}, "is not UTF-8"),
    ({"failure_backend": "nowhere"}, "failure_backend: 'nowhere' is unknown"),
    ({"retry_seconds": True}, "retry_seconds is a number"),
    ({"retry_seconds": -1}, "retry_seconds is a number"),
    ({"retry_seconds": 10**400}, "retry_seconds is a number"),
]


@pytest.mark.parametrize(("given", "message"), WRONG_ARGUMENTS, ids=range(len(WRONG_ARGUMENTS)))
def test_wrong_arguments_of_a_client(given: dict[str, Any], message: str) -> None:
    for make in (gresque.configure, gresque.Client):
        with pytest.raises(SettingsError) as raised:
            make(**given)
        assert message in str(raised.value)
        assert "secret" not in str(raised.value)


def test_a_client_is_copied_without_its_connections(client: gresque.Client) -> None:
    client.enqueue(noop, 1)
    for copied in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
        assert copied.size("bench") == 1
        copied.close()
    configured = pickle.loads(pickle.dumps(client.options(noop, queue="low")))
    configured.enqueue(1)
    assert client.size("low") == 1
    configured._client().close()


def test_a_client_shows_no_password() -> None:
    shown = repr(gresque.Client("redis://joe:secret@host/0", "mine", inline=True))
    assert shown == "Client('redis://joe:***@host/0', 'mine', inline=True)"
    assert repr(noop.options(queue="low")).startswith("<<job Noop> with CallOptions(queue='low'")


@pytest.mark.parametrize("job_id", [None, 5, b"x", ["x"], "\ud800"], ids=ascii)
def test_what_is_no_id(client: gresque.Client, job_id: Any) -> None:
    def put_off(job_id: Any) -> None:
        client.reschedule(job_id, in_=5)

    for act in (client.cancel, client.run_now, put_off):
        with pytest.raises(GresqueError, match="is not the id of a job; give one that an enqueue"):
            act(job_id)


@pytest.mark.parametrize("wrong", ["1", None, 1.5, 10**30], ids=repr)
def test_what_is_no_part_of_a_list(client: gresque.Client, wrong: Any) -> None:
    for look in (client.delayed, lambda *page: client.peek("bench", *page)):
        with pytest.raises(GresqueError, match=r"start=.* is no number of jobs"):
            look(wrong)
        with pytest.raises(GresqueError, match=r"count=.* is no number of jobs"):
            look(0, wrong)
    with pytest.raises(GresqueError, match="start=-1 is before the first job"):
        client.delayed(-1)


@pytest.mark.parametrize("queue", ["", 5, "\ud800"], ids=ascii)
def test_options_with_no_queue(queue: Any) -> None:
    for make in (noop.options, Hooked.options, functools.partial(gresque.options, noop)):
        with pytest.raises(EnqueueError, match="is not the name of a queue"):
            make(queue=queue)


def test_a_bad_url_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "localhost:1")
    with pytest.raises(SettingsError, match=r"^REDIS_URL: .* is not a Redis URL"):
        noop.enqueue()


@pytest.mark.parametrize("url", ["redis://localhost:x", "redis://[::1", "redis://localhost:99999"])
def test_a_url_that_cannot_be_read(url: str) -> None:
    with pytest.raises(SettingsError, match="Redis URL"):
        gresque.Client(url).enqueue(noop)


@pytest.mark.parametrize("option", ["ssl_cert_reqs=bogus", "ssl_nonsense=1"])
def test_a_url_with_an_option_that_redis_py_refuses(option: str) -> None:
    client = gresque.Client(f"rediss://user:secret@host?{option}")
    with pytest.raises(SettingsError, match="Redis URL of host:6379: ") as raised:
        client.enqueue_to("q", "Job")
    assert "secret" not in str(raised.value)


# Programs without gevent

WEB = """
    import sys
    import gresque

    gresque.configure(sys.argv[1])
    gresque.enqueue_to("q", "Job", 1)
    gresque.enqueue_many("Job", [(2,), (3,)], queue="q")
    print(gresque.size("q"), gresque.peek("q", 0, 1)[0]["args"])
    print(sorted(name for name in sys.modules if name.split(".")[0] in ("gevent", "greenlet")))
"""


def test_a_program_that_enqueues_loads_no_gevent(redis_url: str) -> None:
    ran = stem(PLAIN).run(textwrap.dedent(WEB), redis_url)
    assert (ran.stdout, ran.stderr) == ("3 [1]\n[]\n", "")
