"""The client against Resque's wire: what it enqueues and refuses, hooks, jobs that run inline."""

from __future__ import annotations

import json
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import (
    EnqueueError,
    GresqueError,
    JobDeclarationError,
    NotEnqueued,
    PayloadTooLarge,
    RedisUnavailable,
    UnserializableArgument,
)
from gresque.jobs import payload
from gresque.jobs.registry import registry
from tests.support.client_jobs import Hooked, calls, items, noop, resque_keys

WIRE = Path(__file__).parents[1] / "wire"
Redis = redis.Redis

pytestmark = pytest.mark.usefixtures("own_registry")


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
