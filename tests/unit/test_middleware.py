"""Middleware and context: what is called, in which order, and what travels with a job."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import pytest
import redis

import gresque
from gresque.client.schedules import Schedules
from gresque.errors import EnqueueError, JobDeclarationError, MiddlewareError
from gresque.jobs import current
from gresque.jobs.middleware import MOST_META_BYTES, Message, enqueue_chain, perform_chain
from gresque.jobs.perform import perform_here
from gresque.maintenance.cron import CronTicks
from gresque.store.store import Store
from gresque.worker.threads.current import _find
from tests.support.cron_ticks import add, ran
from tests.support.cron_ticks import cron_fixture as cron_fixture
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture
from tests.support.pool_bench import OpenBench, a_job, wait_long
from tests.support.pool_bench import open_bench_fixture as open_bench_fixture

pytestmark = pytest.mark.usefixtures("own_registry", "own_middleware")

events: list[Any] = []
tenant: ContextVar[Any] = ContextVar("tenant", default="nobody")
locale: ContextVar[Any] = ContextVar("locale")


@pytest.fixture(autouse=True)
def _no_events_yet() -> None:
    events.clear()


def note(name: str, *, first: bool = False, chain: str = "enqueue") -> None:
    """Register a middleware that notes when it begins and ends."""

    def middleware(about: Any, call_next: Any) -> Any:
        events.append(f"{name} begins")
        result = call_next()
        events.append(f"{name} ends")
        return result

    decorate = gresque.enqueue_middleware if chain == "enqueue" else gresque.perform_middleware
    assert decorate(first=first)(middleware) is middleware


def meta_of(raw: bytes) -> Any:
    return json.loads(raw).get("gresque", {}).get("meta")


@pytest.fixture
def sent(client: gresque.Client, redis_client: redis.Redis) -> Any:
    """What stands in the queue `q`, and in `later`."""

    def look() -> list[Any]:
        waiting = redis_client.lrange("resque:queue:q", 0, -1)
        later = [b"{" + each.partition(b"{")[2] for each in redis_client.hvals("resque:later:jobs")]
        return [json.loads(raw) for raw in (*waiting, *later)]

    return look


def declare(function: Any = None, **options: Any) -> Any:
    def mail(*args: Any, **kwargs: Any) -> None:
        events.append(("ran", args, kwargs))

    return gresque.job(queue="q", name="mail", **options)(function or mail)


# Enqueueing


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


# Performing


def perform(job: Any, meta: Any = None, *args: Any) -> Any:
    envelope = {} if meta is None else {"gresque": {"meta": meta}}
    raw = json.dumps({"class": "mail", "args": args, "id": "7", **envelope}).encode()
    return perform_here(job.definition, "q", raw)


def test_it_wraps_the_job_and_its_hooks_and_gives_the_result() -> None:
    class Mail(gresque.Job):
        queue, name = "q", "mail"

        def perform(*args: Any) -> int:
            events.append("ran")
            return 7

        def before_perform_note() -> None:
            events.append("before")

        def after_perform_note() -> None:
            events.append("after")

    note("a", chain="perform")
    note("b", first=True, chain="perform")
    assert perform(Mail) == 7
    assert events == ["b begins", "a begins", "before", "ran", "after", "a ends", "b ends"]


def test_what_it_knows() -> None:
    @gresque.perform_middleware
    def look(context: gresque.JobContext, call_next: Any) -> Any:
        events.append((context.id, context.queue, context.attempt, context.meta, context.error))
        events.append(repr(context))
        events.append(context.definition)
        return call_next()

    job = declare()
    perform(job, {"tenant": 7})
    perform(job)
    assert events[:3] == [
        ("7", "q", 1, {"tenant": 7}, None),
        "<JobContext 7 of mail from q>",
        job.definition,
    ]
    assert events[4] == ("7", "q", 1, {}, None)


@pytest.mark.parametrize("kind", ["before", "after"])
def test_it_holds_for_jobs_declared_before_and_after_it(kind: str) -> None:
    job = declare() if kind == "before" else None
    note("a", chain="perform")
    perform(job or declare())
    assert events == ["a begins", ("ran", (), {}), "a ends"]


def test_a_job_without_any_is_the_function_itself() -> None:
    """No job pays for it. It is so again when all are gone."""
    job = declare()
    assert job.definition.call is job.definition.function
    note("a", chain="perform")
    assert job.definition.call is not job.definition.function
    perform_chain.set((), ())
    assert job.definition.call is job.definition.function
    assert not enqueue_chain.runs


def test_a_function_of_one_place_is_registered_once() -> None:
    """A reloaded module registers its own again."""

    def named(number: int) -> Any:
        def add(message: Any, call_next: Any) -> Any:
            events.append(number)
            return call_next()

        add.__module__, add.__qualname__ = "app", "add"
        return add

    for number in (1, 2):
        gresque.enqueue_middleware(named(number))
    note("b")
    gresque.enqueue_middleware(named(3))
    for _ in range(2):
        gresque.enqueue_middleware(enqueue_chain.functions[1])
    gresque.Client(inline=True).enqueue(declare())
    assert events[:2] == [3, "b begins"]
    assert len(enqueue_chain.functions) == 2


def test_to_return_without_call_next_fails_the_job() -> None:
    @gresque.perform_middleware
    def around(context: gresque.JobContext, call_next: Any) -> Any:
        return call_next()

    @gresque.perform_middleware
    def forget(context: gresque.JobContext, call_next: Any) -> None: ...

    wrong = "perform middleware .*forget returned without call_next.*; raise gresque.DontPerform"
    with pytest.raises(MiddlewareError, match=wrong):
        perform(declare())
    assert events == []


def test_it_may_skip_a_job_and_swallow_its_error() -> None:
    @gresque.perform_middleware
    def skip(context: gresque.JobContext, call_next: Any) -> Any:
        if context.meta.get("skip"):
            raise gresque.DontPerform
        try:
            return call_next()
        except LookupError:
            return "swallowed"

    def mail() -> None:
        events.append("ran")
        raise LookupError

    job = declare(mail)
    assert perform(job, {"skip": True}) is None
    assert events == []
    assert perform(job) == "swallowed"


def test_it_wraps_the_hooks_of_a_failure() -> None:
    class Mail(gresque.Job):
        queue, name = "q", "mail"

        def perform() -> None:
            raise LookupError("no user")

        def on_failure_note(error: Exception) -> None:
            events.append(("hook", str(error), gresque.current_job().meta))  # type: ignore[union-attr]

    @gresque.perform_middleware
    def around(context: gresque.JobContext, call_next: Any) -> Any:
        events.append(("around", context.error and str(context.error)))
        return call_next()

    with pytest.raises(LookupError):
        perform(Mail, {"tenant": 7})
    assert events == [
        ("around", None),
        ("around", "no user"),
        ("hook", "no user", {"tenant": 7}),
    ]


@pytest.mark.parametrize("meta", ["text", [1], None])
def test_meta_that_is_no_object_counts_as_none(meta: Any) -> None:
    raw = json.dumps({"class": "mail", "args": [], "gresque": {"meta": meta}}).encode()
    assert gresque.CurrentJob("q", raw).meta == {}


@pytest.mark.parametrize("decorate", [gresque.enqueue_middleware, gresque.perform_middleware])
def test_what_can_be_no_middleware(decorate: Any) -> None:
    async def waits(about: Any, call_next: Any) -> None: ...

    def yields(about: Any, call_next: Any) -> Any:
        yield call_next()

    for wrong, why in ((waits, "is async"), (yields, "has a yield"), ("text", "cannot be called")):
        with pytest.raises(JobDeclarationError, match=f"middleware .* {why}"):
            decorate(wrong)


@pytest.mark.parametrize("wrong", [lambda: 1, lambda about: 1, lambda a, b, c: 1, object])
@pytest.mark.parametrize("decorate", [gresque.enqueue_middleware, gresque.perform_middleware])
def test_a_function_of_other_parameters_is_refused(decorate: Any, wrong: Any) -> None:
    """Each job would fail, or be refused."""
    with pytest.raises(JobDeclarationError, match=r"it is called with \(.*, call_next\)"):
        decorate(wrong)


# In a worker


@pytest.fixture
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a worker process, `current_job` finds the job of a thread."""
    monkeypatch.setattr(current, "_find", _find)


@pytest.mark.usefixtures("_known")
def test_a_kill_passes_through_it(open_bench: OpenBench) -> None:
    @gresque.perform_middleware
    def scoped(context: gresque.JobContext, call_next: Any) -> Any:
        events.append("begins")
        try:
            return call_next()
        finally:
            events.append("ends")

    bench = open_bench()
    bench.add("waits", wait_long)
    bench.put(a_job(1, "waits"))
    bench.until(lambda: events == ["begins"])
    bench.pool.kill_jobs("by a test")
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert events == ["begins", "ends"]
    assert bench.counts == (0, 1, 0)


@pytest.mark.usefixtures("_known")
def test_the_next_job_of_a_thread_sees_nothing_of_it(open_bench: OpenBench) -> None:
    gresque.propagate(tenant)
    bench = open_bench(size=1)

    def mail(number: int) -> None:
        events.append(tenant.get())
        tenant.set(f"left by {number}")

    bench.add("mail", mail)
    slot, queue, plain = a_job(1, "mail", 1)
    with_tenant = plain[:-1] + b',"gresque":{"meta":{"tenant":7}}}'
    bench.run((slot, queue, with_tenant), a_job(2, "mail", 2), (b"3", queue, with_tenant))
    assert events == [7, "nobody", 7]


# Context variables


def test_variables_travel_by_name(client: gresque.Client, sent: Any) -> None:
    gresque.propagate(tenant, locale)
    gresque.propagate(tenant)
    job = declare(lambda: events.append((tenant.get(), locale.get(None))))
    token = tenant.set({"id": 7})
    client.enqueue(job)
    tenant.reset(token)
    client.enqueue(job)
    raws = [json.dumps(item).encode() for item in sent()]
    assert [meta_of(raw) for raw in raws] == [{"tenant": {"id": 7}}, None]
    for raw in raws:
        perform_here(job.definition, "q", raw)
    assert events == [({"id": 7}, None), ("nobody", None)]
    assert tenant.get() == "nobody", "the caller's own context stays"


def test_middleware_sees_what_travels_and_may_change_it() -> None:
    gresque.propagate(tenant)

    @gresque.enqueue_middleware
    def shout(message: gresque.Message, call_next: Any) -> Any:
        message.meta["tenant"] = message.meta["tenant"].upper()
        return call_next()

    @gresque.perform_middleware
    def look(context: gresque.JobContext, call_next: Any) -> Any:
        events.append(tenant.get())
        return call_next()

    token = tenant.set("acme")
    gresque.Client(inline=True).enqueue(declare(lambda: events.append(tenant.get())))
    tenant.reset(token)
    assert events == ["ACME", "ACME"]


def test_what_cannot_travel(client: gresque.Client) -> None:
    gresque.propagate(tenant)
    with pytest.raises(JobDeclarationError, match="two context variables that travel are named"):
        gresque.propagate(ContextVar("tenant"))
    with pytest.raises(JobDeclarationError, match=r"propagate\('tenant'\): give variables"):
        gresque.propagate("tenant")  # type: ignore[arg-type]
    token = tenant.set(object())
    with pytest.raises(gresque.UnserializableArgument, match=r"meta\['tenant'\] is an object"):
        client.enqueue(declare())
    tenant.reset(token)
