"""Context variables travel with a job, by their names."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

import pytest

import gresque
from gresque.errors import JobDeclarationError
from gresque.jobs.perform import perform_here
from tests.support.middleware import declare, events
from tests.support.middleware import no_events_yet_fixture as no_events_yet_fixture
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture
from tests.support.middleware import sent_fixture as sent_fixture

pytestmark = pytest.mark.usefixtures("own_registry", "own_middleware", "no_events_yet")

tenant: ContextVar[Any] = ContextVar("tenant", default="nobody")
locale: ContextVar[Any] = ContextVar("locale")


def meta_of(raw: bytes) -> Any:
    return json.loads(raw).get("gresque", {}).get("meta")


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
