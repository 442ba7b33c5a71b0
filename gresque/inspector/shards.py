"""Asking all shards at once. Each is a whole gresque: what is known of all of them is added up, or
merged into one list, and a shard that does not answer is named."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from redis.exceptions import RedisError

from gresque.connection.errors import explain
from gresque.connection.urls import endpoint
from gresque.errors import RedisUnavailable
from gresque.store.store import Store

T = TypeVar("T")

ANSWER_SECONDS = 2.0
"""A shard that has not answered by then is missing."""
_AWAY = (RedisError, RedisUnavailable, OSError)


class InShard(NamedTuple, Generic[T]):
    """A row of a list, and the name of the shard that has it; empty where there is one shard."""

    shard: str
    value: T


@dataclass(frozen=True)
class Answers(Generic[T]):
    """The answers by the names of the shards, in their order; and why others gave none."""

    by_shard: dict[str, T]
    missing: dict[str, str]

    @property
    def values(self) -> list[T]:
        return [*self.by_shard.values()]


def ask_all(
    stores: Mapping[str, Store],
    function: Callable[[Store], T],
    seconds: float | None = ANSWER_SECONDS,
) -> Answers[T]:
    """What `function` returns for the store of each shard; all are asked at the same time.

        found = ask_all({"a": store_a, "b": store_b}, QueueStatus.all)
        queues = QueueStatus.merge(found.by_shard)

    A shard whose server fails, or is silent for `seconds`, is missing; None: what it does takes as
    long as it takes, and only a reply is limited, by the `reply_seconds` of its store. Any other
    error is raised. Of one shard all errors are, and no thread is started.
    """
    if len(stores) == 1:
        return Answers({name: function(store) for name, store in stores.items()}, {})
    return ask_many(stores, function, seconds)


def ask_many(
    stores: Mapping[str, Store],
    function: Callable[[Store], T],
    seconds: float | None = ANSWER_SECONDS,
) -> Answers[T]:
    """The same for those that are left of several shards: one that fails is missing, not raised."""
    until = None if seconds is None else time.monotonic() + seconds
    calls = {name: _Call(name, store, function) for name, store in stores.items()}
    for call in calls.values():
        call.wait(until)
    missing = {name: reason for name, call in calls.items() if (reason := call.reason(seconds))}
    return Answers({n: call.answer for n, call in calls.items() if n not in missing}, missing)


class _Call(Generic[T]):
    """A call in a thread of its own. A thread that is left behind keeps no program alive: it ends
    with the reply that it waits for, or when its store is closed."""

    answer: T

    def __init__(self, name: str, store: Store, function: Callable[[Store], T]) -> None:
        self._store, self._function = store, function
        self._error: Exception | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name=f"shard {name}", daemon=True).start()

    def wait(self, until: float | None) -> None:
        self._done.wait(None if until is None else max(until - time.monotonic(), 0))

    def reason(self, seconds: float | None) -> str:
        """Why there is no answer; empty where there is one."""
        if not self._done.is_set():
            place = endpoint(self._store.server.url).place
            return f"no answer from Redis at {place} within {seconds:g} s"
        if self._error is None:
            return ""
        if not isinstance(self._error, _AWAY):
            raise self._error
        return reason_of(self._store, self._error)

    def _run(self) -> None:
        try:
            self.answer = self._function(self._store)
        except Exception as error:
            self._error = error
        finally:
            self._done.set()


def is_there(store: Store) -> bool:
    """For `ask_all`: asks for nothing else."""
    return bool(store.now())


def reason_of(store: Store, error: Exception) -> str:
    """Why a shard is missing."""
    return explain(store.server.url, error)


def merge_rows(
    found: Mapping[str, Iterable[T]],
    order: Callable[[T], Any],
    skip: int = 0,
    count: int | None = None,
    *,
    reverse: bool = False,
) -> Iterator[InShard[T]]:
    """One list of the rows of all shards, each of which is in this order by itself: `count` of them
    after the first `skip`. `reverse`: the greatest first."""
    named = map(_named, found, found.values())
    rows = heapq.merge(*named, key=lambda row: order(row.value), reverse=reverse)
    return islice(rows, skip, None if count is None else skip + count)


def _named(shard: str, rows: Iterable[T]) -> Iterator[InShard[T]]:
    return (InShard(shard, row) for row in rows)
