"""Asking all shards, for what is not known to stand on a certain one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gresque.errors import RedisUnavailable
from gresque.shards import Placement, Shard

if TYPE_CHECKING:
    from gresque.store.store import Store

T = TypeVar("T")


class EachShard(ABC):
    """The part of `Client` that asks all shards at the same time. With one shard it calls the
    function, and no more."""

    @abstractmethod
    def _asking(self) -> AbstractContextManager[Store]:
        """The store of the only shard, while a method uses it."""

    @property
    @abstractmethod
    def _several(self) -> Sequence[Shard]:
        """The shards, where there are more than one."""

    _placement: Placement | None
    """Which of several shards a job goes to."""

    @abstractmethod
    def _asking_shard(self, shard: Shard) -> AbstractContextManager[Store]:
        """The store of one of several shards, while a method uses it."""

    def _each(self, function: Callable[[Store], T]) -> list[T]:
        """The answers of all shards. Raises RedisUnavailable, which names the shard, when one is
        away; the others have been asked by then."""
        shards = self._several
        if not shards:
            with self._asking() as store:
                return [function(store)]
        answers, away = self._sorted(shards, function)
        if away is not None:
            raise away
        return answers

    def _any(self, function: Callable[[Store], bool]) -> bool:
        """Whether it is so on some shard."""
        return any(self._until(function, bool))

    def _until(self, function: Callable[[Store], T], has: Callable[[T], bool]) -> list[T]:
        """The answers of the shards, for what stands on one of them: a shard that is away matters
        only when no other one has it."""
        shards = self._several
        if not shards:
            with self._asking() as store:
                return [function(store)]
        answers, away = self._sorted(shards, function)
        if away is not None and not any(map(has, answers)):
            raise away
        return answers

    def _merged(
        self,
        read: Callable[[Store, int, int], list[T]],
        order: Callable[[T], Any],
        start: int,
        count: int,
    ) -> list[T]:
        """A page of what `read(store, start, count)` returns, of all shards in this order. `start`
        may be below 0: from the end."""
        if not self._several:
            with self._asking() as store:
                return read(store, start, count)
        if start < 0:
            pages = self._each(lambda store: read(store, start, -start))
            rows = sorted((row for page in pages for row in page), key=order)[start:]
            return rows[: max(count, 0)]
        pages = self._each(lambda store: read(store, 0, start + count))
        rows = sorted((row for page in pages for row in page), key=order)
        return rows[start : start + max(count, 0)]

    def _sorted(
        self, shards: Sequence[Shard], function: Callable[[Store], T]
    ) -> tuple[list[T], RedisUnavailable | None]:
        """The answers, and the error of the shards that are away."""
        answers: list[T] = []
        away: list[tuple[str, RedisUnavailable]] = []
        calls = [partial(self._call, shard, function) for shard in shards]
        for shard, outcome in zip(shards, self._at_once(calls), strict=True):
            if isinstance(outcome, RedisUnavailable):
                away.append((shard.name, outcome))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                answers.append(outcome)
        if not away:
            return answers, None
        text = "; ".join(f"shard {name}: {error}" for name, error in away)
        found = RedisUnavailable(text)
        found.__cause__ = away[0][1].__cause__
        return answers, found

    def _call(self, shard: Shard, function: Callable[[Store], T]) -> T:
        with self._asking_shard(shard) as store:
            return function(store)

    def _at_once(self, calls: Sequence[Callable[[], T]]) -> Sequence[T | BaseException]:
        """The result of each call, or what it raised."""
        outcomes: list[T | BaseException] = [RedisUnavailable("not asked")] * len(calls)

        def run(number: int) -> None:
            try:
                outcomes[number] = calls[number]()
            except BaseException as error:
                outcomes[number] = error

        threads = [
            threading.Thread(target=run, args=(number,), name=f"shard {number}", daemon=True)
            for number in range(len(calls))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes
