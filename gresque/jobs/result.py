"""Work that was described and not done: async functions and generators. gresque's jobs and hooks
are plain functions, which wait on the network without blocking each other."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from contextlib import _GeneratorContextManagerBase
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import FunctionType
from typing import Any

from gresque.errors import InvalidJobResult, JobDeclarationError

PLAIN = frozenset({bool, int, float, str, bytes, list, dict, tuple, set})
"""The types of most results; they are not looked at further."""

_LAZY = (Awaitable, AsyncGenerator, Generator, map, filter, _GeneratorContextManagerBase)
"""The last one is what a function with `contextlib.contextmanager` returns."""


def check_function(what: str, function: Any) -> None:
    """Raise JobDeclarationError when calling `function` would run nothing. `what` names it."""
    seen = [_unwrapped(function)]
    if not isinstance(function, type):
        seen.append(_unwrapped(getattr(type(seen[0]), "__call__", None)))  # noqa: B004
    if any(iscoroutinefunction(each) or isasyncgenfunction(each) for each in seen):
        raise JobDeclarationError(
            f"{what} is async; gresque runs jobs in greenlets, where plain functions wait on the "
            "network without blocking: drop the async"
        )
    if any(isgeneratorfunction(each) for each in seen):
        raise JobDeclarationError(
            f"{what} has a yield in it: calling it would run nothing; let it do its work and return"
        )


def takes_self(function: Any) -> bool:
    """Whether it is written as a method of an object, which there is none of."""
    if not isinstance(function, FunctionType):
        return False
    code, parts = function.__code__, function.__qualname__.split(".")
    in_class = len(parts) > 1 and parts[-2] != "<locals>"
    return in_class and code.co_argcount > 0 and code.co_varnames[0] in ("self", "cls")


def _unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial | staticmethod | classmethod):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    return function


def check_result(what: str, result: object) -> None:
    """Raise InvalidJobResult when `what` returned work that is never done."""
    kind = type(result)
    if kind in PLAIN or not issubclass(kind, _LAZY):
        return
    if issubclass(kind, Coroutine | Generator):
        result.close()  # type: ignore[attr-defined]  # no "was never awaited" on stderr
    name = kind.__name__.replace("_", " ")
    if issubclass(kind, Awaitable | AsyncGenerator):
        raise InvalidJobResult(
            f"{what} returned a {name}, which is never awaited: its work is not done. Make it a "
            "plain function; in a greenlet it waits on the network without blocking"
        )
    raise InvalidJobResult(
        f"{what} returned a {name.strip()}, which is never iterated: its work is not done. "
        "Let it do its work and return"
    )
