"""Commands to processes, and their answers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import redis

from gresque.store.commands import (
    Blocking,
    Command,
    Fate,
    Kill,
    KillAnswer,
    Running,
    read_kill_answer,
)
from gresque.store.store import Store

Redis = redis.Redis


def test_orders_and_answers(store: Store, redis_client: Redis) -> None:
    order = Command("kill", "token", "an id with spaces \udcff", by="ana@vm")
    store.commands.give({"p": order})
    assert 0 < redis_client.ttl("resque:commands:p") <= 60
    (raw,) = redis_client.lrange("resque:commands:p", 0, -1)
    assert Command.parse(raw) == order
    assert store.commands.answers(["token"]) == [None]
    store.commands.give_answer("token", [])
    assert 0 < redis_client.ttl("resque:answer:token") <= 60
    assert store.commands.answers(["token", "other"]) == [[], None]


@pytest.mark.parametrize("raw", [b"", b"kill", b"stacks token", b"\xff \xff"])
def test_an_order_of_any_shape_is_one(raw: bytes) -> None:
    assert Command.parse(raw).name == raw.split(b" ")[0].decode("utf-8", "surrogateescape")


def test_a_kill_and_its_answers(store: Store, redis_client: Redis) -> None:
    for _ in range(2):
        store.commands.ask_kills([Kill("p", "token", "an id \udcff", "ana")], 100)
    assert redis_client.llen("resque:commands:p") == 2
    assert store.commands.kills("p") == {"token": "an id \udcff"}
    assert 100 < redis_client.ttl("resque:kills:p") <= 160

    def answer() -> KillAnswer | None:
        return read_kill_answer(redis_client.lrange("resque:answer:token", 0, -1))

    assert answer() is None
    for fate in (Fate.DELIVERED, Fate.GUARDED, Fate.DEAD, Fate.DELIVERED, Fate.ENDED):
        store.commands.give_answer("token", KillAnswer(fate))
    assert answer() == KillAnswer(Fate.DEAD)  # the first that is final
    redis_client.ltrim("resque:answer:token", 0, 1)
    assert answer() == KillAnswer(Fate.GUARDED)


CHANGES = [
    Running(),
    Running({"0": 1.5}),
    Running({"0": 1.5, "1": 2.0}),
    Running({"1": 2.0, "0": 9.0}),
    Running({"1": 2.0}, Blocking("1", 3.0, ["a.py:3:in `f'\n"])),
    Running({"1": 2.0}, frozen=4.0),
    Running({"1": 2.0}),
    Running({"2": 2.0}),
]


@pytest.mark.parametrize("last", range(1, len(CHANGES)))
def test_what_has_changed_of_what_runs_is_one_more_line_each(last: int) -> None:
    text = CHANGES[0].encode(always=True)
    for earlier, later in pairwise(CHANGES[: last + 1]):
        change = later.since_then(earlier)
        assert change is not None
        text += b"\n" + change.encode(always=True)
    assert Running.parse(text) == CHANGES[last]
    assert CHANGES[last].since_then(Running.parse(text)) is None


def test_of_a_job_that_runs_on_nothing_is_said_again() -> None:
    slots = {str(slot): 1.0 for slot in range(1000)}
    change = Running({**slots, "5": 2.0}).since_then(Running(slots))
    assert change == Running({"5": 2.0})
    assert Running().since_then(Running({"7": 1.0})) == Running(ended=["7"])


@pytest.mark.parametrize("blocking", [None, Blocking("12", 1764000001.5, ["a.py:3:in `f'"])])
def test_what_runs_as_it_is_published(blocking: Blocking | None) -> None:
    running = Running({"0": 1.5, "12": 1764000000.25}, blocking)
    assert Running.parse(running.encode()) == running
    still = Running(frozen=1764000001.5)
    assert Running.parse(still.encode()).shifted(-1.0).frozen == 1764000000.5
    assert Running().encode() == b""
