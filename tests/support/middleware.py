"""Middleware of a test, which is gone after it, and what the test sees of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import gresque
from gresque.jobs.middleware import enqueue_chain, perform_chain

events: list[Any] = []


@pytest.fixture(name="own_middleware")
def own_middleware_fixture() -> Iterator[None]:
    chains = (enqueue_chain, perform_chain)
    before = [(chain.functions, chain.variables) for chain in chains]
    for chain in chains:
        chain.set((), ())
    yield
    for chain, (functions, variables) in zip(chains, before, strict=True):
        chain.set(functions, variables)


@pytest.fixture(name="no_events_yet")
def no_events_yet_fixture() -> None:
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


@pytest.fixture(name="sent")
def sent_fixture(client: gresque.Client, redis_client: redis.Redis) -> Any:
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
