"""What can be middleware, and what a registration changes."""

from __future__ import annotations

from typing import Any

import pytest

import gresque
from gresque.errors import JobDeclarationError
from gresque.jobs.middleware import enqueue_chain, perform_chain
from tests.support.middleware import declare, events, note
from tests.support.middleware import no_events_yet_fixture as no_events_yet_fixture
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture

pytestmark = pytest.mark.usefixtures("own_registry", "own_middleware", "no_events_yet")


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
