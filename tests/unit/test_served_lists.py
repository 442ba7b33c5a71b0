"""The lists from which a process reserves, in windows that one turn can name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from gresque.queue_list import QueueList, Weights
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.worker.turns.served_lists import MOST_LISTS, ServedLists, Takes
from tests.support.turn_processes import Process

KEYS = Keys("resque")

# takes -> the lists of queues a and b, shortened
ORDER = [
    (Takes.QUEUES, "queue:a queue:b"),
    (Takes.PLACES, "suspects:2:a suspects:1:a queue:a suspects:2:b suspects:1:b queue:b"),
    (Takes.SUSPECTS, "suspects:2:a suspects:2:b suspects:1:a suspects:1:b"),
    (Takes.ONE_DEATH, "suspects:1:a suspects:1:b"),
    (Takes.SEVERAL_DEATHS, "suspects:2:a suspects:2:b"),
]


@pytest.mark.parametrize(("takes", "wanted"), ORDER)
def test_lists_stand_in_the_order_in_which_they_are_taken(takes: Takes, wanted: str) -> None:
    lists = ServedLists(KEYS, QueueList.parse("a,b"))
    for _ in range(2):
        (window,) = lists.windows(takes)
        names = [key.decode().removeprefix("resque:") for key in window.keys]
        assert names == wanted.split()
        assert list(window.queues) == [name.rpartition(":")[2] for name in names]
        assert list(window.deaths) == [KEYS.deaths_of(key.decode()) for key in window.keys]
        lists.windows(Takes.QUEUES)
    lists.set_names([])
    assert [window.keys for window in lists.windows(takes)] == [()]


def test_many_lists_are_cut_into_windows() -> None:
    names = [f"q{number}" for number in range(2 * MOST_LISTS + 1)]
    lists = ServedLists(KEYS, QueueList.parse(",".join(names)))
    windows = lists.windows(Takes.QUEUES)
    assert [len(window.keys) for window in windows] == [MOST_LISTS, MOST_LISTS, 1]
    assert [name for window in windows for name in window.queues] == names
    assert sum(len(window.keys) for window in lists.windows(Takes.PLACES)) == 3 * len(names)


def test_the_caps_of_the_worker_go_with_its_lists() -> None:
    lists = ServedLists(KEYS, QueueList.parse("a,mail-*:50%,b:2"), threads=9)
    lists.set_names(["a", "mail-x", "b"])
    assert lists.are_capped
    assert [window.own_caps for window in lists.windows(Takes.QUEUES)] == ["1=4 2=2"]
    places = [window.own_caps for window in lists.windows(Takes.PLACES)]
    assert places == ["3=4 4=4 5=4 6=2 7=2 8=2"]
    assert not ServedLists(KEYS, QueueList.parse("a,b")).are_capped


def test_weights_draw_the_order_for_each_turn() -> None:
    weights = Weights.parse("a=8,mail-*=4")
    lists = ServedLists(KEYS, QueueList.parse("a,mail-x,b"), weights=weights)
    first = {"a": 0, "mail-x": 0, "b": 0}
    for _ in range(2600):
        (window,) = lists.windows(Takes.PLACES)
        assert sorted(window.queues) == ["a"] * 3 + ["b"] * 3 + ["mail-x"] * 3
        assert window.deaths == (2, 1, 0) * 3
        assert window.queues[0] == window.queues[2]
        first[window.queues[0]] += 1
    # 8, 4 and 1 of 13, each by six deviations: one run in 10^8 fails
    assert first["a"] == pytest.approx(1600, abs=150)
    assert first["mail-x"] == pytest.approx(800, abs=142)
    assert first["b"] == pytest.approx(200, abs=82)


# Turns over 5,000 queues

COUNT = 5000


@pytest.fixture
def process(redis_url: str, redis_client: redis.Redis) -> Iterator[Process]:
    store = Store(redis_url, "resque")
    process = Process(redis_url, store, 1)
    process.cycle.lists.set_names([f"q{number}" for number in range(COUNT)])
    redis_client.hset(KEYS.ledger(process.name), "state", "0 0 0 0 0 0")
    yield process
    process.line.close()
    store.close()


@pytest.mark.parametrize("numbers", [[0], [999], [1000], [COUNT - 1], [COUNT - 1, 0]])
def test_a_job_is_found_wherever_it_waits(
    process: Process, redis_client: redis.Redis, numbers: list[int]
) -> None:
    for number in numbers:
        redis_client.rpush(KEYS.queue(f"q{number}"), "x")
    for number in sorted(numbers):
        assert process.cycle.turn(5) == 1
        slot, queue, raw = process.in_flight.ready.pop()
        assert (queue, raw) == (f"q{number}", b"x")
        process.in_flight.done += 1
        process.in_flight.ended.append(slot)
    assert process.cycle.turn(5) == 0
    assert not process.in_flight.held


@pytest.mark.parametrize("number", [0, COUNT - 1])
def test_a_push_is_announced_whichever_list_it_goes_to(
    process: Process, redis_client: redis.Redis, number: int
) -> None:
    """Also when it comes while the turns look at the other lists."""
    cycle, pushed = process.cycle, 0

    def run(found: object, keys: int, *arguments: object) -> object:
        nonlocal pushed
        reply = original(found, keys, *arguments)
        pushed += 1
        if pushed == 3:
            redis_client.rpush(KEYS.queue(f"q{number}"), "x")
        return reply

    original = process.line.run
    process.line.run = run  # type: ignore[method-assign, assignment]
    reserved = cycle.turn(1, listen=True)
    process.line.run = original  # type: ignore[method-assign]
    if not reserved:
        cycle.connection.call(b"PING")  # what was to be announced came before this reply
        assert cycle.connection.invalidated
        assert cycle.turn(1) == 1
    assert [job[1] for job in process.in_flight.ready] == [f"q{number}"]
