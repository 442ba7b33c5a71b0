"""The client whose methods run within `calls.run`: each wait is one of the loop's."""

from __future__ import annotations

import importlib
import sys
import time
from asyncio import gather, sleep
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, TypeVar

from gresque.aio.calls import Once, run, wait_for
from gresque.client.client import Call, Client
from gresque.client.options import CallOptions
from gresque.client.when import Delay
from gresque.jobs.ids import JobId
from gresque.shards import Shard

if TYPE_CHECKING:
    from gresque.store.store import Store

T = TypeVar("T")

SLICE_SECONDS = 0.001
"""A bulk is made for this time at once; then other tasks have their turn."""

_WAITS = "gresque.aio.waits"


def is_loaded() -> bool:
    return _WAITS in sys.modules


def load() -> None:
    """Load redis-py and all that is built on it, a tenth of a second: in a thread."""
    importlib.import_module("gresque.store.store")
    importlib.import_module(_WAITS)


class Twin(Client):
    """A `gresque.Client` on an event loop, for a `gresque.aio.Client`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made: Once[Store] = Once()

    @classmethod
    def of(cls, client: Client) -> Twin:
        """One with the same settings, for another loop."""
        return cls(
            client.redis_url,
            client.namespace,
            failure_backend=client.failure_backend,
            inline=client.inline,
            retry_seconds=client.retry_seconds,
            wait_replicas=client.wait_replicas,
            **client._sharding.arguments,
        )

    @property
    def store(self) -> Store:
        known = self._made.known
        return wait_for(self._made.get(self._make_store)) if known is None else known

    def _make_store(self) -> Store:
        """Blocks where the URL is that of an embedded server: that is started."""
        load()
        from gresque.aio.waits import LoopWaits
        from gresque.store.store import Store

        return Store(
            self.redis_url,
            self.namespace,
            self.retry_seconds,
            LoopWaits(),
            wait_replicas=self.wait_replicas,
        )

    def _make_shard_store(self, shard: Shard, retry_seconds: float) -> Store:
        from gresque.aio.waits import LoopWaits
        from gresque.connection.opening import FIRST_REPLY_SECONDS
        from gresque.store.store import Store

        waits = LoopWaits()
        return Store(
            shard.url,
            shard.namespace,
            retry_seconds,
            waits,
            FIRST_REPLY_SECONDS,
            self.wait_replicas,
            self.retry_seconds,
        )

    def _at_once(self, calls: Sequence[Callable[[], T]]) -> Sequence[T | BaseException]:
        return wait_for(gather(*map(run, calls), return_exceptions=True))

    def _enqueue_many_by(
        self, options: CallOptions, job: Any, calls: Any, spread: Delay | None
    ) -> list[JobId]:
        return super()._enqueue_many_by(options, job, _in_slices(calls), spread)

    @property
    def is_open(self) -> bool:
        return self._made.known is not None or bool(self._stores)

    def close(self) -> None:
        if (store := self._made.known) is not None:
            store.close()
        for store in self._stores.values():
            store.close()
        self._stores.clear()


def _in_slices(calls: Any) -> Any:
    if not isinstance(calls, Iterable | AsyncIterable):
        return calls  # which is refused
    return _SizedSlices(calls) if isinstance(calls, Sized) else _Slices(calls)


class _Slices:
    """The calls of a bulk, with a turn for other tasks now and then."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls

    def __iter__(self) -> Iterator[Call]:
        until = time.perf_counter() + SLICE_SECONDS
        for call in (
            _awaited(self._calls) if isinstance(self._calls, AsyncIterable) else self._calls
        ):
            if time.perf_counter() > until:
                wait_for(sleep(0))
                until = time.perf_counter() + SLICE_SECONDS
            yield call


class _SizedSlices(_Slices):
    def __len__(self) -> int:
        return len(self._calls)


def _awaited(calls: AsyncIterable[Call]) -> Iterator[Call]:
    iterator = aiter(calls)
    while True:
        try:
            call = wait_for(anext(iterator))
        except StopAsyncIteration:
            return
        yield call
