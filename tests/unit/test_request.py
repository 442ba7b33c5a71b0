"""What fits into a turn, and what is put off."""

from __future__ import annotations

from collections import deque

import pytest

from gresque.store.effects import Effect, failed, requeued
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns.in_flight import InFlight, Settled
from gresque.worker.turns.request import MOST_ARGUMENTS, Request, fit

KEYS = Keys("resque")
FIXED = ["ledger", *"1234567"]


def slots(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def request(
    plain: int, settled: int, lists: int = 1, totals: Totals | None = None
) -> tuple[Request, int]:
    """A turn in which this number of jobs ended, those with effects first."""
    jobs = deque(
        Settled((slot, "a", b"x"), (failed("resque:failed", b"e"),)) for slot in slots(settled)
    )
    ended = slots(plain + settled)
    count = totals or Totals(len(ended), plain, settled, 0)
    made = Request(FIXED, [b"k"] * lists, ended, jobs, count, listen=False)
    return made, plain + settled


def size(made: Request, want: int, free: int) -> int:
    made.want = made.allowed(want, free)
    made.free = slots(max(made.want - len(made.ended), 0), 10_000)
    made.count(Totals())
    count, *rest = made.request(7)
    assert count == len(rest) - len(rest[count:])
    return len(rest)


# plain ends, ends with effects, lists, want
LOADS = [
    (0, 0, 1, 0), (100, 0, 1, 100), (5000, 0, 1, 5000), (0, 0, 1, 5000), (0, 0, 1000, 5000),
    (0, 5000, 1, 5000), (2500, 2500, 1000, 5000), (5000, 1, 1000, 5000), (1, 700, 1, 0),
    (10_000, 0, 1000, 0),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "settled", "lists", "want"), LOADS)
def test_no_turn_has_too_many_arguments(plain: int, settled: int, lists: int, want: int) -> None:
    """And each one takes some of what there is, until nothing is left."""
    made, ended = request(plain, settled, lists)
    acknowledged, turns, seen = Totals(plain + settled), 0, set[bytes]()
    wanted = made.totals
    while True:
        turns += 1
        put_off = fit(made, want, acknowledged)
        assert size(made, want, 10_000) <= MOST_ARGUMENTS
        assert made.want > 0 or not want
        assert made.ended or not ended
        assert not seen & {*made.ended}
        seen.update(made.ended)
        assert {each.job[0] for each in made.settled} <= {*made.ended}
        gone = made.totals - acknowledged
        assert gone.done + gone.failed == len(made.ended)
        acknowledged = made.totals
        if put_off is None:
            break
        left, jobs = put_off
        assert {each.job[0] for each in jobs} <= {*left}
        made = Request(FIXED, [b"k"] * lists, left, jobs, wanted, listen=False)
    assert len(seen) == ended
    assert acknowledged == wanted
    assert turns <= 20


def test_what_is_put_off_comes_before_what_ends_until_then() -> None:
    in_flight = InFlight(Totals(), KEYS)
    for number in range(3):
        in_flight.fail((b"%d" % number, "a", b"x"), failed("resque:failed", b"%d" % number))
    ended, settled = in_flight.take_settled()
    in_flight.put_back((b"9", "a", b"x"))
    in_flight.put_off(ended[1:], deque([*settled][1:]))
    assert in_flight.ended == [b"1", b"2", b"9"]
    assert [each.job[0] for each in in_flight.settled] == [b"1", b"2", b"9"]
    assert in_flight.returning == 1


def test_what_counts_is_named_behind_all_others() -> None:
    made, _ = request(2, 1)
    made.freed = {"freed:a": (2, 0), "freed:b": (0, 3)}
    count, *rest = made.request(7)
    assert rest[:count] == [*FIXED, b"k", "resque:failed", "freed:a", "freed:b"]
    assert rest[count:][14:16] == ["", "2 2/0 0/3"]
    assert [*made.request(7, by_entries=True)][1 + count :][14:16] == ["", 2]


@pytest.mark.parametrize(("plain", "settled"), [(5000, 0), (2500, 2500), (1900, 0)])
def test_no_turn_has_too_many_arguments_where_each_job_counts_in_another_queue(
    plain: int, settled: int
) -> None:
    made, left = request(plain, settled)
    acknowledged, wanted = Totals(plain + settled), made.totals
    while left:
        made.freed = {f"freed:{slot!r}": (1, 0) for slot in made.ended}
        put_off = fit(made, 100, acknowledged)
        made.freed = {f"freed:{slot!r}": (1, 0) for slot in made.ended}
        assert size(made, 100, 10_000) <= MOST_ARGUMENTS
        assert made.ended
        left -= len(made.ended)
        acknowledged = made.totals
        if put_off is not None:
            made = Request(FIXED, [b"k"], *put_off, wanted, listen=False)
    assert acknowledged == wanted


def test_each_key_of_an_effect_is_named_once() -> None:
    made, _ = request(0, 0)
    job = (b"0", "a", b"x")
    made.ended = [b"0", b"1"]
    made.settled = deque([
        Settled(job, (failed("resque:failed", b"e", "f"), Effect("drop", "checkpoint"))),
        Settled((b"1", "a", b"y"), (requeued(KEYS, "a"),)),
        Settled((b"2", "a", b"z"), (failed("resque:failed", b"e2"),)),
    ])  # fmt: skip
    count, *rest = made.request(7)
    keys, arguments = rest[:count], rest[count:]
    assert keys == [*FIXED, b"k", "resque:failed", "checkpoint", "resque:queue:a"]
    assert arguments[11:14] == [1, 4, 2]
    effects = arguments[16:40]
    assert [effects[i : i + 6] for i in range(0, 24, 6)] == [
        [b"0", "fail", 10, b"e", "f", ""], [b"0", "drop", 11, "", "", ""],
        [b"1", "requeue", 12, "a", "", ""], [b"2", "fail", 10, b"e2", "", ""],
    ]  # fmt: skip
    assert arguments[40:] == [b"0", b"1"]
