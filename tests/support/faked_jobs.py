"""Jobs for tests of the fake, and the fake they are enqueued into."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest

import gresque
from gresque.testing import fake

tenant: ContextVar[str] = ContextVar("tenant", default="none")
seen: list[Any] = []
fails: list[Exception] = []


@gresque.job("mail", name="fake.send")
def send(user: int, template: str = "welcome") -> None:
    if fails:
        raise fails.pop(0)
    seen.append((user, template))


@gresque.job("web", name="fake.chained", retries=2)
def chained(user: int) -> None:
    job = gresque.current_job()
    assert job is not None
    seen.append((job.queue, job.attempt, tenant.get()))
    if fails:
        raise fails.pop(0)
    send.enqueue(user)


class Hooked(gresque.Job):
    queue = "web"
    name = "fake.hooked"
    retries = 1

    def perform(refuse: bool = False) -> None:  # type: ignore[misc]
        seen.append("perform")
        if fails:
            raise fails.pop(0)

    def before_enqueue(refuse: bool = False) -> bool:  # type: ignore[misc]
        return not refuse

    def after_enqueue(*_: Any) -> None:  # type: ignore[misc]
        seen.append("after_enqueue")

    def before_perform(*_: Any) -> None:  # type: ignore[misc]
        seen.append("before_perform")

    def on_retry(error: Exception, *_: Any) -> None:  # type: ignore[misc]
        seen.append(f"on_retry {error}")

    def on_failure(error: Exception, *_: Any) -> None:  # type: ignore[misc]
        seen.append(f"on_failure {error}")

    def on_give_up(error: Exception, *_: Any) -> None:  # type: ignore[misc]
        seen.append(f"on_give_up {error}")


@pytest.fixture(name="jobs")
def jobs_fixture() -> Any:
    seen.clear()
    fails.clear()
    with fake() as jobs:
        yield jobs


def message(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        call(*args, **kwargs)
    return str(raised.value)
