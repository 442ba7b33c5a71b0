"""Jobs of annotated parameters, what they send, and what they got."""

from __future__ import annotations

from typing import Any

import pytest

import gresque
from gresque.client.enqueue import make_job

got: list[Any] = []


@pytest.fixture(name="none_got")
def none_got_fixture() -> None:
    got.clear()


def declare(function: Any, **options: Any) -> Any:
    return gresque.job(queue="q", name="typed", **options)(function)


def of_type(hint: Any, **options: Any) -> Any:
    """A job with one parameter of this type."""

    def typed(value: Any) -> None:
        got.append(value)

    typed.__annotations__ = {"value": hint}
    return declare(typed, **options)


def wire_of(job: Any, *args: Any, **kwargs: Any) -> bytes:
    made = make_job(job.definition, "7", args, kwargs, None, None)
    assert made is not None
    return made[1]
