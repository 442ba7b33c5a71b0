"""Arguments that are not shown."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import JobDeclarationError
from gresque.failure.backend import RedisBackend
from gresque.failure.entry import encode_entry
from gresque.failure.retry import prepare_retry
from gresque.inspector.filters import WantedFailed, parse
from gresque.inspector.running import RunningJob
from gresque.jobs import filter_args, payload
from gresque.jobs.definition import JobDefinition
from gresque.jobs.label import job_label
from gresque.store.store import Store
from gresque.worker.threads.end_log import describe
from tests.support.cli import Call
from tests.support.views import PROCESS, process

F = "[filtered]"


@pytest.fixture(autouse=True)
def _names() -> Iterator[None]:
    yield
    filter_args.use(())


def shown(args: list[Any], hidden: list[Any] | None = None) -> Any:
    item: dict[str, Any] = {"class": "A", "args": args, "id": "1"}
    if hidden is not None:
        item["gresque"] = {"filter": hidden}
    found = payload.loads(json.dumps(item).encode())
    return found["args"], found.get("kwargs")


@pytest.mark.parametrize(
    ("args", "hidden", "expected"),
    [
        ([1, "a"], None, ([1, "a"], None)),
        ([1, {"password": "x", "_kwargs": True}], None, ([1], {"password": F})),
        ([{"a": {"API-Key": 1, "b": [{"userToken": None}]}}], None,
         ([{"a": {"API-Key": F, "b": [{"userToken": F}]}}], None)),
        ([[["secret"]]], None, ([[["secret"]]], None)),  # a value, and no name
        ([1, 2, 3], [0, 2, 7], ([F, 2, F], None)),
        ([1, {"iban": 1, "to": 2, "_kwargs": True}], ["iban"], ([1], {"iban": F, "to": 2})),
        ([{"iban": 1}], ["iban"], ([{"iban": 1}], None)),  # names of arguments
        ([], [0], ([], None)),
    ],
)  # fmt: skip
def test_what_is_shown(args: list[Any], hidden: list[Any] | None, expected: Any) -> None:
    assert shown(args, hidden) == expected


def test_what_cannot_be_read_is_shown_as_it_is() -> None:
    for raw in (b"text", b'{"class":"A"}', b'{"class":"A","args":"x","kwargs":[1]}'):
        assert payload.loads(raw) == payload.read(raw)
    assert shown([1], "0") == ([1], None)  # type: ignore[arg-type]


def test_the_setting_adds_names() -> None:
    args = [{"IBAN_code": 1, "token": 2, "phone": 3, "_kwargs": True}]
    assert shown(args)[1] == {"IBAN_code": 1, "token": F, "phone": 3}
    filter_args.use(["iban", "Phone"])
    assert shown(args)[1] == {"IBAN_code": F, "token": F, "phone": F}


def declared(function: Any, given: Any = None) -> Any:
    envelope = JobDefinition(name="A", queue="q", function=function, filter_args=given).envelope
    return None if envelope is None else envelope.get("filter")


def test_a_declaration_travels_in_the_payload() -> None:
    def plain(a: int, b: int) -> None: ...

    def login(user: str, password: str, *, otp_token: str = "") -> None: ...

    @functools.wraps(login)
    def wrapped(*args: Any) -> None: ...

    assert declared(plain) is None
    assert declared(plain, ["b", "x"]) == ("b", "x", 1)
    assert declared(plain, (0,)) == (0,)
    assert declared(login) == (1,)
    assert declared(wrapped) == (1,)
    assert declared(max) is None


@pytest.mark.parametrize("given", ["password", [-1], [True], [""], [1.5], 3])
def test_a_wrong_declaration_is_refused(given: Any) -> None:
    with pytest.raises(JobDeclarationError, match=r"give one such as \['password', 0\]"):
        declared(len, given)


def test_programs_get_all_and_people_do_not(
    client: gresque.Client, store: Store, redis_client: redis.Redis, call: Call
) -> None:
    @gresque.job(queue="mail", name="filtered.send", filter_args=["to"])
    def send(to: str, text: str) -> None: ...

    client.enqueue(send, "ana", "hello")
    (item,) = client.peek("mail")
    assert item["args"] == ["ana", "hello"]
    assert F in call("queues", "peek", "mail").out
    assert "ana" not in call("queues", "peek", "mail", "--json").out
    assert client.dequeue(send, "ana", "hello") == 1
    job_id = client.enqueue_in(60, send, "ana", "hello")
    assert job_id
    (delayed,) = client.delayed()
    assert delayed.payload["args"] == ["ana", "hello"]
    assert "ana" not in call("delayed", "--json").out
    assert "hello" in call("delayed").out


def test_running_and_failed_jobs(store: Store, redis_client: redis.Redis, call: Call) -> None:
    raw = json.dumps(
        {"class": "A", "args": ["ana", {"password": "hunter2", "_kwargs": True}], "id": "1",
         "gresque": {"filter": [0]}}
    ).encode()  # fmt: skip
    process(redis_client, PROCESS, raw, runs={"0": 60})
    (job,) = RunningJob.all(store)
    assert job.label == 'A("[filtered]", password="[filtered]")' == job_label(job.item)
    assert not RunningJob.all(store, parse("hunter2")), "a filter must not tell what is hidden"
    assert describe((b"0", "mail", raw)) == ("A('[filtered]', password='[filtered]') 1 from mail")
    redis_client.rpush("resque:failed", encode_entry(raw, "E", "e", [], "w", "mail"))
    for options in ([], ["--json"]):
        assert "hunter2" not in call("failed", "show", "0", *options).out
    for text, count in (("hunter2", 0), ("ana", 0), ("mail", 1), ("nothing", 0)):
        wanted = WantedFailed(filter=parse(text))
        assert len(list(RedisBackend(store).newest(0, 9, wanted))) == count, text
    (failed,) = RedisBackend(store).newest(0, 1)
    assert b"hunter2" in prepare_retry(failed.raw, "now").item
    assert b'"filter": [0]' in prepare_retry(failed.raw, "now").item
