"""Work that was described and not done."""

from __future__ import annotations

import asyncio
import functools
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock

import pytest

from gresque.errors import InvalidJobResult, JobDeclarationError
from gresque.jobs.result import check_function, check_result


async def coroutine(*args: Any) -> None: ...


async def async_generator(*args: Any) -> AsyncIterator[int]:
    yield 1


def generator(*args: Any) -> Iterator[int]:
    yield 1


def plain(*args: Any) -> None: ...


LAZY = [coroutine, async_generator, generator]


def as_object(function: Any) -> Any:
    return type("Callable", (), {"__call__": function})()


def as_method(function: Any) -> Any:
    return type("Owner", (), {"method": function})().method


SHAPES = [
    lambda f: f,
    functools.partial,
    lambda f: functools.partial(functools.partial(f, 1), 2),
    staticmethod,
    as_object,
    lambda f: functools.partial(as_object(f), 1),
    as_method,
    lambda f: as_object(staticmethod(f)),
]


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
@pytest.mark.parametrize("function", LAZY)
def test_functions_that_would_run_nothing(function: Any, shape: Any) -> None:
    with pytest.raises(JobDeclarationError, match=r"the thing (is async|has a yield)"):
        check_function("the thing", shape(function))
    check_function("the thing", shape(plain))


class Awaits:
    def __await__(self) -> Iterator[None]:
        yield


class Sends:
    """As a generator of Cython's."""

    def __iter__(self) -> Any: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, *error: Any) -> Any: ...
    def close(self) -> None: ...


RESULTS: list[tuple[Any, str]] = [
    (coroutine, "returned a coroutine, which is never awaited"),
    (async_generator, "returned a async generator, which is never awaited"),
    (generator, "returned a generator, which is never iterated"),
    (Awaits, "returned a Awaits, which is never awaited"),
    (Sends, "returned a Sends, which is never iterated"),
    (contextmanager(generator), "returned a GeneratorContextManager, which is never iterated"),
    (lambda: map(plain, [1]), "returned a map, which is never iterated"),
]


@pytest.mark.parametrize(("make", "told"), RESULTS, ids=range(len(RESULTS)))
def test_results_that_are_work_to_do(make: Any, told: str) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(InvalidJobResult, match=f"job x {told}"):
            check_result("job x", make())
    assert warned == [], "no coroutine was never awaited"


def test_a_future_of_asyncio() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(InvalidJobResult, match="a Future, which is never awaited"):
        check_result("job x", loop.create_future())
    loop.close()


@pytest.mark.parametrize(
    "result", [None, 5, "x", [1], {"a": 1}, object(), iter([1]), open, MagicMock(), Awaits, {1}]
)
def test_results_of_done_work(result: Any) -> None:
    check_result("job x", result)
