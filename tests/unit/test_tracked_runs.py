"""What is written of tracked jobs that run: when, how often, and what not."""

from __future__ import annotations

import pytest

from gresque.errors import UnserializableResult
from gresque.jobs import payload
from gresque.jobs.tracking import decode_details
from gresque.store.effects import Effect
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns import tracked_runs
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from gresque.worker.turns.tracked_runs import MOST_NOTES, TrackedRuns

KEYS = Keys("resque")


def job(number: int = 1, track: int = 60) -> ReservedJob:
    raw = payload.encode("t.job", (), None, f"id{number}", envelope={"track": track})
    return b"%d" % number, "mail", raw


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(tracked_runs, "monotonic", lambda: Clock.now)
    Clock.now = 100.0
    return Clock


def texts(notes: tuple[Effect, ...]) -> list[tuple[str, str, object]]:
    found = []
    for each in notes:
        assert isinstance(each.b, bytes)
        found.append((each.key, str(each.a), decode_details(each.b).progress))
    return found


def test_a_job_that_runs_for_a_while_is_noted_once(clock: type[Clock]) -> None:
    runs = TrackedRuns(KEYS)
    asked: list[float] = []
    runs.on_note = asked.append
    runs.work_as("vm:1")
    runs.begin(job())
    assert asked == [pytest.approx(0.05)]
    assert not runs.is_due
    assert runs.take_notes() == ()
    clock.now += 0.06
    assert runs.is_due
    (note,) = runs.take_notes()
    assert isinstance(note.b, bytes)
    details = decode_details(note.b)
    assert (note.a, details.worker, details.attempt) == ("running", "vm:1", 1)
    assert note.c == 60_000 + 86_400_000
    assert details.started > 0
    clock.now += 60
    assert not runs.is_due


def test_a_job_that_ends_before_is_not_noted(clock: type[Clock]) -> None:
    runs = TrackedRuns(KEYS)
    runs.begin(job(1))
    runs.begin(job(2))
    runs.pop(b"1")
    clock.now += 0.06
    assert [each[0] for each in texts(runs.take_notes())] == ["resque:job:id2"]
    runs.begin(job(3))
    runs.pop(b"3")
    assert runs.seconds_left() is None  # else the process would make turns for nothing


def test_progress_is_noted_twice_a_second_and_the_last_one_always(clock: type[Clock]) -> None:
    runs, one = TrackedRuns(KEYS), job()
    runs.begin(one)
    clock.now += 0.06
    runs.take_notes()
    written = []
    for number in range(100):  # in 2 s
        assert runs.report(one, number, 100, "")
        if runs.is_due:
            written += texts(runs.take_notes())
        clock.now += 0.02
    assert len(written) == 3
    clock.now += 0.5
    written += texts(runs.take_notes())
    assert written[-1][2] == [99, 100, ""]
    assert not runs.report(job(), 1, 2, "")  # equal, and another one
    with pytest.raises(ValueError, match="give numbers"):
        runs.report(one, "1", 2, "")


def test_the_end_has_what_was_not_noted_yet(clock: type[Clock]) -> None:
    in_flight, one = InFlight(Totals(), KEYS), job()
    in_flight.tracked.begin(one)
    in_flight.tracked.report(one, 9, 9, "all")
    in_flight.tracked.keep_result(one, "t.job", {"a": 1})
    in_flight.ended.append(one[0])
    _, settled = in_flight.take_settled()
    ((effect,),) = [each.effects for each in settled]
    assert isinstance(effect.b, bytes)
    details = decode_details(effect.b)
    assert (effect.a, effect.c, bytes(details.value)) == ("done", 60_000, b'{"a":1}')
    assert details.progress == [9, 9, "all"]
    assert not in_flight.tracked
    assert settled[0].totals == Totals(done=1)


def test_a_job_with_another_end_has_no_result(clock: type[Clock]) -> None:
    in_flight, one = InFlight(Totals(), KEYS), job()
    in_flight.tracked.begin(one)
    in_flight.fail(one, Effect("fail", "resque:failed", b"entry"))
    _, settled = in_flight.take_settled()
    assert [effect.kind for each in settled for effect in each.effects] == ["fail"]
    assert not in_flight.tracked


def test_a_unique_job_has_both_effects_in_one_place(clock: type[Clock]) -> None:
    in_flight = InFlight(Totals(), KEYS)
    envelope = {"track": 60, "unique": ["0" * 32, "both"]}
    one = (b"1", "mail", payload.encode("t.job", (), None, "id1", envelope=envelope))
    assert not in_flight.waits_for_start(one)
    in_flight.tracked.begin(one)
    in_flight.ended.append(b"1")
    _, settled = in_flight.take_settled()
    assert [[effect.kind for effect in each.effects] for each in settled] == [["unlock", "result"]]


def test_what_is_not_tracked_is_not_noted(clock: type[Clock]) -> None:
    runs = TrackedRuns(KEYS)
    runs.begin(job(track=0))
    raw = payload.encode("t.job", ('"track"',), None, "id1")
    runs.begin((b"1", "mail", raw))
    assert not runs
    runs.keep_result((b"1", "mail", raw), "t.job", {1})  # it may return what it likes
    with pytest.raises(UnserializableResult):
        runs.begin(one := job())
        runs.keep_result(one, "t.job", {1})


def test_many_notes_go_by_several_turns_and_again_to_a_server_that_forgot(
    clock: type[Clock],
) -> None:
    runs = TrackedRuns(KEYS)
    for number in range(MOST_NOTES + 5):
        runs.begin(job(number))
    clock.now += 0.06
    assert len(runs.take_notes()) == MOST_NOTES
    assert runs.is_due
    assert len(runs.take_notes()) == 5
    runs.note_all()
    assert len(runs.take_notes()) + len(runs.take_notes()) == MOST_NOTES + 5
