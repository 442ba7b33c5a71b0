"""Many pushes at a time, through drawn faults: each once, or an error that says what is true.

The scripts and the server are real. The connections are, too, but for the faults; tasks of an event
loop push, as their order is the same each time.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import example, given

from gresque.aio.calls import run, wait_for
from gresque.aio.waits import LoopWaits
from gresque.connection.opening import Opener
from gresque.connection.raw import RawConnection
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued
from gresque.store import producer_slots
from gresque.store.enqueuer import Enqueuer
from gresque.store.keys import Keys
from gresque.store.producer_slots import MOST_SLOTS

FAULTS = "none", "request lost", "reply lost", "unconfirmed", "OOM", "READONLY", "away"


class Chance:
    """What happens at each command; nothing when all that was drawn has happened."""

    def __init__(self, drawn: list[str | int]) -> None:
        """A number is that of a push that is cancelled, of those that are under way or wait."""
        self._drawn = drawn
        self.tasks: list[asyncio.Task[str]] = []
        self.joined = 0
        """How many calls were of several pushes."""

    def next(self) -> str:
        happens = self._drawn.pop() if self._drawn else "none"
        if isinstance(happens, str):
            return happens
        alive = [task for task in self.tasks if not task.done()]
        alive[happens % len(alive)].cancel()
        return "none"


class Faulty:
    """A connection that fails as drawn. It has one replica, which confirms what it is asked to."""

    reply_seconds = 5.0

    def __init__(self, real: RawConnection, chance: Chance) -> None:
        self._real = real
        self._chance = chance
        self._replies: list[Any] = []
        self.unsent = 0

    def send(self, *command: Any, behind: bytes = b"") -> None:
        if command[0] == b"WAIT":  # as a connection is opened
            self._replies.append(0)
            return
        self._chance.joined += script("enqueue_joined").sha in command
        happens = self._chance.next()
        if happens == "request lost":
            self.unsent = 1000
            raise redis.ConnectionError("lost")
        if happens in ("OOM", "READONLY"):
            self._replies.append(redis.ResponseError(f"{happens} as drawn"))
            return
        self._real.send(*command)
        try:
            reply: Any = self._real.read()
        except redis.RedisError as error:
            reply = error
        if happens == "reply lost":
            reply = redis.ConnectionError("lost")
        self._replies.append(reply)
        if behind:
            self._replies.append(0 if happens == "unconfirmed" else 1)

    def read(self) -> Any:
        wait_for(asyncio.sleep(0))  # others push, or cancel this one
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def something_arrived(self) -> bool:
        return False

    def close(self) -> None:
        self._real.close()


class FaultyOpener(Opener):
    def __init__(self, url: str, chance: Chance) -> None:
        super().__init__(url, "resque")
        self._chance = chance

    def open_ready(self, reply_seconds: float, opening_seconds: float | None = None) -> Any:
        happens = self._chance.next()
        wait_for(asyncio.sleep(0))
        if happens == "away":
            raise redis.ConnectionError("away")
        return Faulty(super().open_ready(reply_seconds, opening_seconds), self._chance)

    def set_limit(self, raw: Any, reply_seconds: float) -> None:
        if isinstance(raw, RawConnection):
            super().set_limit(raw, reply_seconds)


@contextmanager
def enqueuer_of(url: str, chance: Chance, wait_replicas: int) -> Iterator[Enqueuer]:
    enqueuer = Enqueuer(url, Keys("resque"), 0.01, LoopWaits(), wait_replicas)
    enqueuer._opener = FaultyOpener(url, chance)
    yield enqueuer
    pools = enqueuer._slots.pools()
    assert not any(pool._waiting for pool in pools)
    slots = [each for pool in pools for each in pool._free]
    assert len({each.slot for each in slots}) == len(slots) == MOST_SLOTS
    assert not any(each.joined or each.call for each in slots)
    enqueuer.close()


async def push_all(enqueuer: Enqueuer, chance: Chance, queues: list[str]) -> list[str]:
    """What became of a push to each of these queues."""

    async def push(number: int, queue: str) -> str:
        raw = b'{"class":"Job","args":[%d],"id":"x"}' % number
        try:
            await run(enqueuer.push, queue, [raw])
        except (NotEnqueued, PerhapsEnqueued) as error:
            return type(error).__name__
        return "done"

    chance.tasks = [asyncio.create_task(push(*each)) for each in enumerate(queues)]
    async with asyncio.timeout(60):
        ended = await asyncio.gather(*chance.tasks, return_exceptions=True)
    return [end if isinstance(end, str) else type(end).__name__ for end in ended]


def first_joined_call(*happens: str | int) -> tuple[list[str], list[str | int]]:
    """Pushes, and what happens in the first call of several of them, and after it. Before it two
    are pushed alone, each over a connection that is opened; beside it one is."""
    first, *others = happens
    return ["q"] * 8, [*reversed(["none"] * 4 + [first, "none", *others])]


@pytest.mark.parametrize("wait_replicas", [0, 1])
def test_each_push_ends_as_it_says(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, wait_replicas: int
) -> None:
    monkeypatch.setattr(producer_slots, "JOINING_SLOTS", 2)
    client, joined = redis.Redis.from_url(redis_url), 0

    @given(
        st.lists(st.sampled_from(["q", "q", "q", "r", "wrong"]), min_size=4, max_size=30),
        st.lists(st.sampled_from(FAULTS) | st.integers(0, 29), max_size=30),
    )
    @example(*first_joined_call("reply lost", "none", "OOM"))
    @example(*first_joined_call("reply lost", 0, "none", "OOM"))
    @example(*first_joined_call(0, "none", "OOM"))
    def check(queues: list[str], faults: list[str | int]) -> None:
        client.flushall()
        client.set("resque:queue:wrong", "no list")
        chance = Chance(faults)
        with enqueuer_of(redis_url, chance, wait_replicas) as enqueuer:
            ended = asyncio.run(push_all(enqueuer, chance, queues))
        nonlocal joined
        joined += chance.joined
        found = Counter(
            (queue, json.loads(raw)["args"][0])
            for queue in ("q", "r")
            for raw in client.lrange(f"resque:queue:{queue}", 0, -1)
        )
        for number, (queue, end) in enumerate(zip(queues, ended, strict=True)):
            times = found[queue, number]
            if queue == "wrong":
                assert end != "done" and times == 0
            elif end == "done":
                assert times == 1
            elif end == "NotEnqueued":
                assert times == 0
            else:
                assert times <= 1

    check()
    assert joined > 0
    client.close()
