"""Frames by which `processes.stack_dump` knows a thread: its number stands in the names of two
functions, one within the other. Many threads share each of them: a function of its own took half a
kilobyte of every thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType

from gresque.processes.stack_dump import BASE, HIGH_PREFIX, LOW_PREFIX

Call = Callable[[], None]


def call_numbered(number: int, call: Call) -> None:
    """Call it within frames that are named after the number."""
    high, low = divmod(number, BASE)
    _named(_outer, f"{HIGH_PREFIX}{high}")(_named(_inner, f"{LOW_PREFIX}{low}"), call)


@cache
def _named(function: FunctionType, name: str) -> Callable[..., None]:
    return FunctionType(function.__code__.replace(co_name=name, co_qualname=name), globals())


# Neither takes `*args`: a call with those takes C's stack, too, which each waiting job keeps.


def _outer(inner: Callable[[Call], None], call: Call) -> None:
    inner(call)


def _inner(call: Call) -> None:
    call()
