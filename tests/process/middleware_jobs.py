"""A program with middleware: each of its jobs checks that the context is its own."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import gevent

import gresque
from tests.process.job_store import store

tenant: ContextVar[int | None] = ContextVar("tenant", default=None)
scope: ContextVar[int | None] = ContextVar("scope", default=None)


@contextmanager
def tenant_scope(number: int | None) -> Iterator[None]:
    token = scope.set(number)
    try:
        yield
    finally:
        scope.reset(token)


@gresque.perform_middleware
def in_scope(context: gresque.JobContext, call_next: Any) -> Any:
    assert scope.get() is None, "it is that of another job"
    with tenant_scope(context.meta.get("tenant")):
        return call_next()


gresque.propagate(tenant)


def seen() -> list[int | None]:
    job = gresque.current_job()
    assert job is not None
    return [job.meta.get("tenant"), tenant.get(), scope.get()]


def note(where: str) -> None:
    job = gresque.current_job()
    assert job is not None
    store().rpush("seen", f"{where} {job.attempt} {seen()}")


@gresque.job(queue="q", name="TenantOf")
def in_tenant(number: int) -> None:
    for _ in range(3):
        assert seen() == [number] * 3
        gevent.sleep(random.random() * 0.004)
    assert seen() == [number] * 3
    tenant.set(-1)


class Hooked(gresque.Job):
    """Fails at its first two attempts."""

    queue, name, retries, backoff = "q", "TenantHooks", 1, 0

    def perform(number: int) -> None:
        note("perform")
        raise ValueError

    def before_perform_note(number: int) -> None:
        note("before")

    def around_perform_note(perform: Any, number: int) -> None:
        note("around")
        perform()

    def on_retry_note(error: Exception, number: int) -> None:
        note("retry")

    def on_failure_note(error: Exception, number: int) -> None:
        note("failure")

    def on_give_up_note(error: Exception, number: int) -> None:
        note("give up")


class Quiet(gresque.Job):
    queue, name = "q", "TenantQuiet"

    def perform(number: int) -> None: ...

    def after_perform_note(number: int) -> None:
        note("after")


@gresque.job(queue="q", name="TenantDies")
def dies(number: int) -> None:
    """Takes its process along at its first attempt."""
    note("dies")
    if store().incr("deaths") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
