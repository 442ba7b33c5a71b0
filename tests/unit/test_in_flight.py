"""What a worker process holds."""

from __future__ import annotations

from collections import deque

import pytest

from gresque.jobs import payload
from gresque.jobs.ends import End, EndedJob, EndRules, effects_of
from gresque.store.effects import Effect
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from tests.support.pool_bench import (
    a_job,
)


def test_it_starts_from_the_totals_of_dead_siblings() -> None:
    in_flight = InFlight(Totals(10, 6, 3, 1), Keys("resque"))
    assert in_flight.totals == Totals(10, 6, 3, 1)
    assert (in_flight.held, in_flight.running, list(in_flight.ready)) == (0, 0, [])
    assert (in_flight.ended, in_flight.settled) == ([], deque())


def test_it_gives_back_what_is_ready_the_last_one_first() -> None:
    in_flight = InFlight(Totals(), Keys("resque"))
    in_flight.ready.extend(a_job(number) for number in range(3))
    in_flight.held = 5
    assert in_flight.running == 2
    in_flight.give_back_ready()
    assert [each.job[:2] for each in in_flight.settled] == [(b"2", "q"), (b"1", "q"), (b"0", "q")]
    assert in_flight.settled[0].effects == (Effect("requeue", "resque:queue:q", "q"),)
    assert in_flight.ended == [b"2", b"1", b"0"]
    assert (in_flight.requeued, in_flight.running, len(in_flight.ready)) == (3, 2, 0)
    assert in_flight.totals == Totals(0, 0, 0, 3)
    in_flight.give_back_ready()
    assert in_flight.requeued == 3


def test_a_failure_without_an_entry_counts_as_one_whatever_its_effects() -> None:
    in_flight = InFlight(Totals(), Keys("resque"))
    in_flight.fail(a_job(1), Effect("unlock", "resque:unique:1", "id", second_key="resque:queue:q"))
    (settled,) = in_flight.settled
    assert settled.totals == Totals(failed=1)
    assert settled.arguments == 9


def test_what_waits_of_paused_queues_goes_back_in_its_order() -> None:
    in_flight = InFlight(Totals(), Keys("resque"))
    jobs = [(b"%d" % number, queue, b"x") for number, queue in enumerate("abcab")]
    in_flight.ready.extend(jobs)
    in_flight.give_back_of({"a", "c"})
    assert [*in_flight.ready] == [jobs[1], jobs[4]]
    assert [each.job for each in in_flight.settled] == [jobs[3], jobs[2], jobs[0]]
    assert (in_flight.returning, in_flight.requeued) == (3, 3)


def test_counted_jobs_are_told_apart_by_queue_and_flag() -> None:
    in_flight = InFlight(Totals(), Keys("resque"))
    in_flight.counted = {
        b"1": (b"+", "a"), b"2": (b"@", "b"), b"3": (b"#", "a"), b"4": (b"@", "a"),
        b"5": (b"+", "c"),
    }  # fmt: skip
    assert in_flight.counted_among([b"0", b"9"]) == {}
    assert in_flight.counted_among([b"0", b"1", b"2", b"3", b"4"]) == {"a": (2, 2), "b": (0, 1)}


def unique_job(number: int, queue: str = "q", mode: str = "queued", *more: str) -> ReservedJob:
    envelope = {"unique": ["0" * 32, mode, *more]}
    raw = payload.encode("A", (), None, f"id{number}", envelope=envelope)
    return b"%d" % number, queue, raw


@pytest.mark.parametrize(
    ("mode", "waits", "effects"),
    [
        (("queued",), True, ["unlock"]),
        (("running",), True, ["pass_on"]),
        (("both",), False, ["unlock"]),
        (("both", "replace"), True, ["unlock"]),
    ],
)
def test_a_unique_job_that_is_done(mode: tuple[str, ...], waits: bool, effects: list[str]) -> None:
    """It waits for its start once; what its lock needs comes with its end."""
    in_flight = InFlight(Totals(), Keys("resque"))
    job = unique_job(1, "q", *mode)
    assert in_flight.waits_for_start(job) is waits
    assert in_flight.starting == [job] * waits
    if waits:
        in_flight.started[job[0]] = None
        assert not in_flight.waits_for_start(job)
    in_flight.ended.append(job[0])
    ended, settled = in_flight.take_settled()
    assert ended == [b"1"] and not in_flight.started
    assert [each.kind for found in settled for each in found.effects] == effects
    done = effects_of(EndedJob(job[1], job[2]), End.DONE, None, EndRules(Keys("resque")))
    assert all(found.effects == done.effects for found in settled)
    assert all(found.totals == Totals(done=1) for found in settled)


def test_what_waits_for_its_start_goes_back_with_its_paused_queue() -> None:
    """But for what is on its way."""
    in_flight = InFlight(Totals(), Keys("resque"))
    jobs = [unique_job(0), unique_job(1), unique_job(2, "other"), unique_job(3)]
    for job in jobs:
        in_flight.waits_for_start(job)
    in_flight.being_started = 1
    in_flight.give_back_of({"q"})
    assert in_flight.starting == [jobs[0], jobs[2]]
    assert [each.job for each in in_flight.settled] == [jobs[3], jobs[1]]
    in_flight.give_back_ready()
    assert in_flight.starting == [jobs[0]]
