"""What the master wants, told by the scoreboard where its signals do nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending, Row, Scoreboard
from gresque.processes.state import ProcessState
from gresque.worker.native.master_wishes import SIGNAL_SECONDS, Wanted
from tests.support.states import bring_to

SOON, LATE = SIGNAL_SECONDS / 2, SIGNAL_SECONDS * 1.1


class Process:
    """Does what it is told, and notes it."""

    def __init__(self) -> None:
        (self.row,) = Scoreboard(1, 1).rows
        self.row.kind = Kind.STANDBY
        bring_to(self.row, ProcessState.STANDING_BY)
        self.done: list[str] = []
        self.wanted = Wanted(
            self.row,
            quit=self._does("quit", lambda: self.wanted.note_ending(Ending.QUIT)),
            terminate=self._does("terminate", lambda: self.wanted.note_ending(Ending.TERMINATE)),
            kill=self._does("kill", lambda: self.wanted.note_kill()),
            pause=self._does("pause", lambda: self.wanted.note_pause()),
            resume=self._does("resume", self._resume),
        )

    def _resume(self) -> None:
        self.wanted.note_pause()
        if not self.row.stands_by:
            self.row.enter(ProcessState.READY)

    def _does(self, name: str, note: Callable[[], None]) -> Callable[[], None]:
        def do() -> None:
            self.done.append(name)
            note()

        return do

    def look(self, *times: float) -> None:
        for now in times:
            if (wish := self.wanted.look(now)) is not None:
                wish.do()


def pause(row: Row) -> None:
    row.paused = True


def call(row: Row) -> None:
    row.kind = Kind.WORKER


@pytest.mark.parametrize(
    ("told", "done"),
    [
        (lambda row: row.end(Ending.QUIT), ["quit"]),
        (lambda row: row.end(Ending.TERMINATE), ["terminate"]),
        (lambda row: row.kill_jobs(), ["kill"]),
        (pause, ["pause"]),
        (call, ["resume"]),
        (lambda row: None, []),
    ],
)
def test_it_is_done_once_and_not_at_once(told: Callable[[Row], None], done: list[str]) -> None:
    process = Process()
    process.look(0.0)
    told(process.row)
    process.look(0.1, 0.1 + SOON)
    assert process.done == []
    process.look(0.1 + LATE, 0.2 + LATE, 5 * LATE, 6 * LATE)
    assert process.done == done


def test_what_the_signal_brought_is_not_done_again() -> None:
    process = Process()
    process.row.kill_jobs()
    process.look(0.0)
    process.wanted.note_kill()
    process.look(LATE, 2 * LATE)
    assert process.done == []


def test_a_term_after_a_quit_counts_and_a_quit_after_a_term_does_not() -> None:
    process = Process()
    process.row.end(Ending.QUIT)
    process.wanted.note_ending(Ending.QUIT)
    process.row.end(Ending.TERMINATE)
    process.row.end(Ending.QUIT)
    process.look(0.0, LATE)
    assert process.done == ["terminate"]


def test_the_end_of_a_pause() -> None:
    process = Process()
    process.row.paused = True
    process.look(0.0, LATE)
    process.row.paused = False
    process.look(2 * LATE, 3.5 * LATE)
    assert process.done == ["pause", "resume"]


def test_while_the_loop_does_not_turn_it_is_asked_once_a_second_and_done_once() -> None:
    process = Process()
    process.row.kill_jobs()
    wishes = [process.wanted.look(now) for now in (0.0, LATE, 2 * LATE, 3 * LATE)]
    assert [wish is not None for wish in wishes] == [False, True, True, True]
    assert process.wanted.kill_is_overdue
    assert process.wanted.look(3 * LATE + SOON) is None
    for wish in wishes[1:]:
        assert wish is not None
        wish.do()
    assert process.done == ["kill"]


def test_a_pause_that_is_over_before_the_loop_gets_there() -> None:
    process = Process()
    process.row.paused = True
    assert process.wanted.look(0.0) is None
    wish = process.wanted.look(LATE)
    process.row.paused = False
    assert wish is not None
    wish.do()
    assert process.done == []
    process.row.paused = True
    process.look(2 * LATE, 3.5 * LATE)
    assert process.done == ["pause"]


def test_a_pause_that_is_over_while_it_begins() -> None:
    process = Process()

    def change_of_mind() -> None:
        process.done.append("pause")
        process.row.paused = False
        process.wanted.note_pause()

    process.wanted._pause = change_of_mind
    process.row.paused = True
    process.look(0.0, LATE, 1.5 * LATE, 3 * LATE)
    assert process.done == ["pause", "resume"]
