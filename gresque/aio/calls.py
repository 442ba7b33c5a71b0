"""Calls of gresque from coroutines.

The code that enqueues, with its hooks, its retries and its slots, waits for sockets in many places.
It stands there once, for threads, greenlets and event loops alike: a coroutine calls it in a
greenlet, as SQLAlchemy does. Where the code waits, the greenlet hands what it waits for to the task
of the coroutine, which awaits it; the loop runs other tasks meanwhile. A cancellation of the task
is raised where the code waits, as the kill of a job is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")


class _Call(greenlet):  # type: ignore[misc]
    """The greenlet of one call."""


async def run(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call a function that may use `wait_for`; returns its result, or raises what it raises."""
    call = _Call(partial(function, *args, **kwargs))
    call.gr_context = getcurrent().gr_context  # hooks see and set the variables of the task
    given: Any = call.switch()
    while not call.dead:
        try:
            result = await given
        except BaseException as error:
            given = call.throw(error)
        else:
            given = call.switch(result)
    found: T = given
    return found


def wait_for(awaitable: Awaitable[T]) -> T:
    """Let the task wait for this, within a function that `run` calls."""
    result: T = getcurrent().parent.switch(awaitable)
    return result


def wait_until(future: asyncio.Future[T], seconds: float | None) -> T:
    """As `wait_for`; raises TimeoutError when it takes more than this time."""
    if seconds is None:
        return wait_for(future)
    timer = future.get_loop().call_later(seconds, _expire, future)
    try:
        return wait_for(future)
    finally:
        timer.cancel()


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError("timed out"))


def in_thread(function: Callable[[], T]) -> asyncio.Future[T]:
    """Call a function that blocks in a thread of its own: those of the loop's executor may all be
    taken by the program, and the end of a program waits for them."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(call: Callable[[], None]) -> None:
        if not future.done():
            call()

    def fail(error: BaseException) -> None:
        future.set_exception(error)
        future.exception()  # should nobody wait any more, the loop need not log it

    def call() -> None:
        try:
            settled = partial(future.set_result, function())
        except BaseException as error:
            settled = partial(fail, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, settled)

    threading.Thread(target=call, name="gresque-aio", daemon=True).start()
    return future


class Once(Generic[T]):
    """The result of a function that blocks. It is called in a thread for the first that asks, and
    again only after it has raised; all that ask meanwhile wait for the same result."""

    def __init__(self) -> None:
        self._future: asyncio.Future[T] | None = None
        self.known: T | None = None
        """The result, once there is one."""

    def get(self, function: Callable[[], T]) -> Awaitable[T]:
        if self._future is None:
            self._future = in_thread(function)
            self._future.add_done_callback(self._note)
        return asyncio.shield(self._future)

    def _note(self, future: asyncio.Future[T]) -> None:
        self._future = None  # which keeps the loop alive
        if future.exception() is None:
            self.known = future.result()
