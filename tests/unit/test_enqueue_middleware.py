"""What enqueue middleware sees of each job, may change of it, and does when it refuses one."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from typing import Any

import pytest

import gresque
from gresque.client.schedules import Schedules
from gresque.errors import EnqueueError
from gresque.jobs.middleware import MOST_META_BYTES, Message
from gresque.maintenance.cron import CronTicks
from gresque.store.store import Store
from tests.support.cron_ticks import add, ran
from tests.support.cron_ticks import cron_fixture as cron_fixture
from tests.support.middleware import declare, events, note
from tests.support.middleware import no_events_yet_fixture as no_events_yet_fixture
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture
from tests.support.middleware import sent_fixture as sent_fixture

pytestmark = pytest.mark.usefixtures("own_registry", "own_middleware", "no_events_yet")


def test_the_order_is_that_of_registration_but_for_first(client: gresque.Client) -> None:
    note("a")
    note("b")
    note("c", first=True)
    client.enqueue(declare())
    assert events == [f"{name} begins" for name in "cab"] + [f"{name} ends" for name in "bac"]


def test_every_producer_passes_it(client: gresque.Client, sent: Any) -> None:
    @gresque.enqueue_middleware
    def number(message: gresque.Message, call_next: Any) -> Any:
        events.append((message.name, message.queue, dict(message.options)))
        message.meta["n"] = len(events)
        return call_next()

    job = declare()
    client.enqueue(job, 1)
    client.enqueue_to("q", "Ruby::Job", 1)
    client.enqueue_many(job, [(1,), (2,)])
    client.enqueue_in(600, job, 1)
    client.enqueue_many(job, [(3,)], at=4_000_000_000)
    client.options(job, unique="both").enqueue(9)
    client.options(job, unique="queued", in_=600).enqueue(8)
    client.options(job, debounce=5).enqueue(10)
    assert events == [
        ("mail", "q", {}),
        ("Ruby::Job", "q", {}),
        ("mail", "q", {}),
        ("mail", "q", {}),
        ("mail", "q", {"in_": 600.0}),
        ("mail", "q", {"at": 4_000_000_000.0}),
        ("mail", "q", {"unique": "both"}),
        ("mail", "q", {"unique": "queued", "in_": 600.0}),
        ("mail", "q", {"unique": "queued", "in_": 5.0}),
    ]
    assert sorted(item["gresque"]["meta"]["n"] for item in sent()) == list(range(1, 10))


def test_a_declaration_and_its_meta_stand_side_by_side(client: gresque.Client, sent: Any) -> None:
    @gresque.enqueue_middleware
    def add_tenant(message: gresque.Message, call_next: Any) -> Any:
        message.meta["tenant"] = 7
        return call_next()

    job = declare(retries=3, unique="both")
    client.enqueue(job)
    client.enqueue_in(60, declare(retries=3), 2)
    for item in sent():
        assert (item["gresque"]["retries"], item["gresque"]["meta"]) == (3, {"tenant": 7})
    assert "meta" not in job.definition.envelope


def test_it_may_change_the_arguments(client: gresque.Client, sent: Any) -> None:
    @gresque.enqueue_middleware
    def change(message: gresque.Message, call_next: Any) -> Any:
        message.args = (*message.args, "more")
        message.kwargs["by"] = message.id
        return call_next()

    job_id = client.enqueue(declare(), 1)
    client.options(declare(), unique="both").enqueue(1)
    first, second = sent()
    assert first["args"] == [1, "more", {"by": job_id, "_kwargs": True}]
    assert second["args"][:2] == [1, "more"]


def test_its_arguments_are_checked_after_it(client: gresque.Client) -> None:
    @gresque.enqueue_middleware
    def change(message: gresque.Message, call_next: Any) -> Any:
        message.args = ()
        return call_next()

    def mail(user: Any) -> None: ...

    with pytest.raises(gresque.WrongArguments):
        client.enqueue(declare(mail), 1)


def test_what_it_raises_refuses_the_job(client: gresque.Client, sent: Any) -> None:
    @gresque.enqueue_middleware
    def refuse(message: gresque.Message, call_next: Any) -> Any:
        if 2 in message.args:
            raise PermissionError("no tenant")
        return call_next()

    @gresque.enqueue_middleware(first=True)
    def refuse_late(message: gresque.Message, call_next: Any) -> Any:
        call_next()
        if 3 in message.args:
            raise LookupError

    job = declare()
    with pytest.raises(PermissionError, match="no tenant"):
        client.enqueue(job, 2)
    with pytest.raises(LookupError):
        client.enqueue(job, 3)
    with pytest.raises(PermissionError):
        client.enqueue_many(job, [(1,), (2,)])
    with pytest.raises(PermissionError):
        client.enqueue_in(60, job, 2)
    assert sent() == []


def test_without_call_next_nothing_is_enqueued(client: gresque.Client, sent: Any) -> None:
    @gresque.enqueue_middleware
    def leave_out(message: gresque.Message, call_next: Any) -> Any:
        return call_next() if 1 in message.args else "something else"

    job = declare()
    assert client.enqueue(job, 2) is None
    assert client.enqueue_in(60, job, 2) is None
    assert client.options(job, unique="both").enqueue(2) is None
    assert len(client.enqueue_many(job, [(2,), (1,), (2,)])) == 1
    assert len(sent()) == 1


def test_what_it_returns_loses_no_job(client: gresque.Client, sent: Any) -> None:
    """A forgotten `return` is a slip, and no wish to leave the job out."""

    @gresque.enqueue_middleware
    def forget(message: gresque.Message, call_next: Any) -> Any:
        events.append(call_next())

    job_id = client.enqueue(declare(), 1)
    assert events == [job_id]
    assert [item["id"] for item in sent()] == [job_id]


def test_call_next_says_when_a_hook_rejected_the_job(client: gresque.Client) -> None:
    @gresque.enqueue_middleware
    def watch(message: gresque.Message, call_next: Any) -> Any:
        events.append(call_next())

    class Rejects(gresque.Job):
        queue, name = "q", "rejects"

        def perform() -> None: ...
        def before_enqueue_no() -> bool:
            return False

    assert client.enqueue(Rejects) is None
    assert events == [None]


@pytest.mark.parametrize(
    "meta, wrong",
    [
        ({"a": {1}}, r"mail: meta\['a'\] is a set, which JSON cannot carry"),
        ({1: "a"}, r"mail: meta has the key 1; JSON objects take only str keys"),
        ({"a": "\ud800"}, "mail: meta has a lone surrogate"),
        ({"a": "x" * MOST_META_BYTES}, "its meta has 4,104 bytes, the limit is 4,096; pass large"),
    ],
)
def test_meta_is_json_and_small(client: gresque.Client, meta: Any, wrong: str, sent: Any) -> None:
    @gresque.enqueue_middleware
    def add_meta(message: gresque.Message, call_next: Any) -> Any:
        message.meta.update(meta)
        return call_next()

    with pytest.raises(EnqueueError, match=wrong):
        client.enqueue(declare())
    assert sent() == []


@pytest.mark.parametrize(
    "name, value, wrong",
    [
        ("meta", [1], r"message\.meta to a list; give it a dict"),
        ("meta", None, r"message\.meta to a NoneType; give it a dict"),
        ("args", None, r"message\.args to a NoneType; give it a list or a tuple"),
        ("args", "7", r"message\.args to a str; give it a list or a tuple"),
        ("args", iter([7]), r"message\.args to a list_iterator; give it a list or a tuple"),
        ("kwargs", None, r"message\.kwargs to a NoneType; give it a dict"),
    ],
)
def test_what_no_message_can_have(
    client: gresque.Client, name: str, value: Any, wrong: str, sent: Any
) -> None:
    @gresque.enqueue_middleware
    def change(message: gresque.Message, call_next: Any) -> Any:
        setattr(message, name, value)
        return call_next()

    with pytest.raises(EnqueueError, match=wrong):
        client.enqueue(declare(), 7)
    assert sent() == []


def test_meta_of_the_limit_is_taken(client: gresque.Client, sent: Any) -> None:
    @gresque.enqueue_middleware
    def add_meta(message: gresque.Message, call_next: Any) -> Any:
        message.meta["a"] = "x" * (MOST_META_BYTES - 8)
        return call_next()

    assert client.enqueue(declare())
    assert len(json.dumps(sent()[0]["gresque"]["meta"], separators=(",", ":"))) == MOST_META_BYTES


def test_a_message_shows_itself_and_its_fixed_parts_stay() -> None:
    message = Message("7", "mail", "q", (), {}, {})
    assert repr(message) == "<Message 7 of mail for q>"
    with pytest.raises(AttributeError):
        message.queue = "other"  # type: ignore[misc]


# Schedules


def test_a_tick_passes_it(store: Store, cron: CronTicks) -> None:
    @gresque.enqueue_middleware
    def add_entry(message: gresque.Message, call_next: Any) -> Any:
        message.meta["of"] = message.options["cron"]
        return call_next()

    add(store, "nightly", args=[1, {"a": 2, "_kwargs": True}])
    cron.run(store)
    (job,) = ran(store)
    assert job["gresque"]["meta"] == {"of": "nightly"}
    assert job["gresque"]["cron"] == "nightly"
    assert job["args"] == [1, {"a": 2, "_kwargs": True}]


def test_a_tick_that_it_leaves_out_is_over(store: Store, cron: CronTicks) -> None:
    @gresque.enqueue_middleware
    def leave_out(message: gresque.Message, call_next: Any) -> Any:
        return None

    tick = add(store, "nightly")
    cron.run(store)
    assert ran(store) == []
    assert store.cron.read().next["nightly"] > tick
    with pytest.raises(gresque.ScheduleError, match="an enqueue middleware left out the job of"):
        Schedules(lambda: nullcontext(store)).run_now("nightly")


def test_a_tick_waits_for_a_middleware_that_raises(
    store: Store,
    cron: CronTicks,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = [True]

    @gresque.enqueue_middleware
    def ask(message: gresque.Message, call_next: Any) -> Any:
        if away[0] and message.name == "A":
            raise ConnectionError("no database")
        return call_next()

    tick = add(store, "nightly")
    add(store, "other", job="B")
    cron.run(store)
    assert [job["class"] for job in ran(store)] == ["B"]
    assert store.cron.read().next["nightly"] == tick
    wrong = "schedule entry nightly: the enqueue middleware raised ConnectionError: no database; "
    assert wrong + "it is tried again" in caplog.text
    away[0] = False
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    cron.run(store)
    assert [job["class"] for job in ran(store)] == ["B", "A"]
