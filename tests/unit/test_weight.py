"""How many bytes of payloads a worker process holds."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from gresque.store.effects import failed
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns import weight
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.in_flight import InFlight, Settled
from gresque.worker.turns.refused import Refused
from gresque.worker.turns.weight import Weight

HEAVY, LIGHT = 1000, 100


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight, "HEAVY_BYTES", HEAVY)
    monkeypatch.setattr(weight, "LIGHT_BYTES", LIGHT)


class Held:
    """A process with a thousand threads, of which some run jobs of these sizes."""

    def __init__(self, *running: int) -> None:
        self.in_flight = InFlight(Totals(), Keys("resque"))
        self.pace, self.refused = BatchSize(), Refused()
        self.pace.limit = 512
        threads = [SimpleNamespace(job=(b"0", "q", b"x" * size)) for size in running]
        self.pool: Any = SimpleNamespace(threads=[*threads, SimpleNamespace(job=None)])
        self.weight = Weight(self.in_flight, self.pool, self.pace, self.refused)

    def reserve(self, *sizes: int) -> None:
        self.in_flight.ready.extend((b"%d" % n, "q", b"x" * size) for n, size in enumerate(sizes))
        self.weight.note(sum(sizes))


def test_small_replies_change_nothing() -> None:
    held = Held(HEAVY, HEAVY)
    held.reserve(HEAVY)
    assert not held.weight.heavy
    assert held.pace.limit == 512
    assert len(held.in_flight.ready) == 1


# sizes in a reply -> how many of them are kept
REPLIES = [
    ([HEAVY + 1], 1),
    ([HEAVY * 9, 1, 1], 1),
    ([1, 1, HEAVY * 9, 1], 2),
    ([HEAVY // 2] * 8, 2),
    ([10] * 101, 100),
]


@pytest.mark.parametrize(("sizes", "kept"), REPLIES)
def test_of_a_large_reply_the_first_jobs_are_kept(
    sizes: list[int], kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            held.in_flight.ready.clear()
            held.reserve(*sizes)
    assert [len(job[2]) for job in held.in_flight.ready] == sizes[:kept]
    given = [len(each.job[2]) for each in held.in_flight.settled][: len(sizes) - kept]
    assert given == sizes[kept:][::-1], "the last one goes first, so that their order stays"
    assert held.weight.heavy
    assert held.pace.limit == 1
    assert len(caplog.messages) == 1


def test_one_job_at_a_time_until_little_is_held() -> None:
    held = Held(HEAVY)
    held.reserve(HEAVY + 1)
    assert held.weight.most() == 0, "no more until something has ended"
    held.in_flight.ready.clear()
    assert held.weight.most() == 1
    held.pace.limit = 2
    held.weight.note(50)
    assert held.weight.heavy and held.pace.limit == 1
    held.pool.threads.clear()
    entry = failed("resque:failed", b"x" * (HEAVY + 1))
    for waiting in (held.in_flight.settled, held.refused.settled):
        waiting.append(Settled((b"0", "q", b""), (entry,)))
        assert held.weight.most() == 0, "entries that wait to be sent count as well"
        waiting.clear()
    held.pace.limit = 2  # the pace has grown with this turn
    held.weight.note(50)
    assert not held.weight.heavy
    assert held.pace.limit == 1, "it starts again from one job"
