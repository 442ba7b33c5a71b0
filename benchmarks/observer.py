"""What stands in the ledgers, counted by one script at one moment, and seen every few ms.

It knows nothing of gresque's modules, so that it cannot share an error with them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import redis

LOOK = """
local prefix = KEYS[1] .. ':'
local held, inflight, own = {}, redis.call('HGETALL', prefix .. 'inflight'), {}
for _, key in ipairs(redis.call('KEYS', prefix .. 'ledger:*')) do
    local process = key:sub(#prefix + 8)
    local fields = redis.call('HGETALL', key)
    for n = 1, #fields, 2 do
        if fields[n] ~= 'state' then
            local digits, flag = fields[n + 1]:match('^(%d+)([:+@#])')
            local list = fields[n + 1]:sub(#digits + 2, #digits + 1 + digits)
            held[#held + 1] = {process, flag, list:sub(#prefix + 1)}
        end
    end
end
for _, key in ipairs(redis.call('KEYS', prefix .. 'inflight:*')) do
    own[#own + 1] = {key:sub(#prefix + 10), redis.call('HGETALL', key)}
end
return cjson.encode({held, inflight, own})
"""

LISTS = ("queue:", "suspects:1:", "suspects:2:")
"""Beginnings of the keys of the lists that jobs of a queue wait in."""


class Look(NamedTuple):
    """What stood in Redis at one moment."""

    held: Counter[str]
    """Queue -> entries in all ledgers."""
    held_of: Counter[tuple[str, str]]
    """Worker and queue -> entries in the ledgers of its processes."""
    counted: dict[str, int]
    """Queue -> entries whose flag says that they are counted."""
    counted_of: dict[tuple[str, str], int]
    """Worker and queue -> those that are counted for the caps of that worker."""
    inflight: dict[str, int]
    inflight_of: dict[tuple[str, str], int]

    @property
    def is_exact(self) -> bool:
        """The counts are those of the entries."""
        return self.counted == self.inflight and self.counted_of == self.inflight_of


class Observer:
    """Looks on from a connection of its own."""

    def __init__(self, client: redis.Redis, namespace: str = "resque") -> None:
        self._script = client.register_script(LOOK)
        self._namespace = namespace

    def look(self) -> Look:
        held, inflight, own = json.loads(self._script(keys=[self._namespace]))
        of_queue: Counter[str] = Counter()
        of_worker: Counter[tuple[str, str]] = Counter()
        counted: Counter[str] = Counter()
        counted_of: Counter[tuple[str, str]] = Counter()
        for process, flag, place in held:
            queue = next(place[len(begin) :] for begin in LISTS if place.startswith(begin))
            worker = process.rsplit(":", 2)[0]
            of_queue[queue] += 1
            of_worker[worker, queue] += 1
            if flag in "+#":
                counted[queue] += 1
            if flag in "@#":
                counted_of[worker, queue] += 1
        return Look(
            of_queue,
            of_worker,
            dict(counted),
            dict(counted_of),
            _pairs(inflight),
            {(worker, queue): n for worker, found in own for queue, n in _pairs(found).items()},
        )


def _pairs(flat: Any) -> dict[str, int]:
    """An empty table of Lua comes as an object."""
    items = list(flat)
    return {name: int(count) for name, count in zip(items[::2], items[1::2], strict=True)}


class Watch:
    """Looks every few ms in a thread, and hands each look to `see`, until the block ends."""

    def __init__(
        self,
        observer: Observer,
        see: Callable[[Look], None],
        seconds: float = 0.01,
        *,
        patient: bool = False,
    ) -> None:
        """`patient`: the server may be away."""
        self._observer = observer
        self._see = see
        self._seconds = seconds
        self._away: Any = redis.RedisError if patient else ()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self.looks = 0

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Raises what has gone wrong meanwhile."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                started = time.monotonic()
                with suppress(self._away):
                    self._see(self._observer.look())
                    self.looks += 1
                self._stop.wait(max(self._seconds - (time.monotonic() - started), 0.001))
        except BaseException as error:
            self._error = error
