"""The waits of code that runs on an event loop. It imports redis-py: see `load` in `twin`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from redis.connection import AbstractConnection

from gresque.aio.calls import in_thread, wait_for, wait_until
from gresque.aio.sockets import LoopSocket
from gresque.connection.raw import RawConnection
from gresque.connection.waits import Waits
from gresque.store.waiters import Waiter


class LoopWaiter(Waiter):
    """A push that waits for a slot, in the thread of the loop."""

    __slots__ = ()

    def _prepare(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def wait(self) -> None:
        wait_for(self._means)

    def wake(self) -> None:
        if not self._means.done():  # its task was cancelled, and will give the slot back
            self._means.set_result(None)


class LoopLock:
    """A lock between the calls on a loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    def __enter__(self) -> None:
        wait_for(self._lock.acquire())

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class LoopEvent:
    """An event that one call waits for."""

    def __init__(self) -> None:
        self._is_set = False
        self._woken: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._is_set = True
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            self._woken = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                wait_until(self._woken, timeout)
        return self._is_set


class LoopWaits(Waits):
    """Tasks wait; the loop goes on."""

    waiter = LoopWaiter

    def sleep(self, seconds: float) -> None:
        wait_for(asyncio.sleep(seconds))

    def until_readable(self, raw: RawConnection, seconds: float) -> None:
        with suppress(TimeoutError):
            raw.socket.until_readable(seconds)

    def lock(self) -> LoopLock:
        return LoopLock()

    def event(self) -> LoopEvent:
        return LoopEvent()

    def connection_class(self, plain: Any) -> Any:
        return _on_loop(plain)


class _OnLoop(AbstractConnection):
    """A connection of redis-py that is opened in a thread: the lookup of the host's name, the
    certificates and the handshake of TLS block. It is used on the loop then."""

    def _connect(self) -> Any:
        # That of the class into which this one is mixed.
        connect: Callable[[], Any] = super()._connect  # type: ignore[safe-super]
        return wait_for(in_thread(lambda: LoopSocket(connect())))


@cache
def _on_loop(plain: Any) -> type[AbstractConnection]:
    return type(f"Loop{plain.__name__}", (_OnLoop, plain), {})
