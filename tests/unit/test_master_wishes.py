"""What the master orders on the scoreboard, where its signals do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending, Row, Scoreboard
from gresque.processes.state import ProcessState
from gresque.worker.native.master_wishes import SIGNAL_SECONDS, MasterWishes
from gresque.worker.orders import Orders
from tests.support.states import bring_to

SOON, LATE = SIGNAL_SECONDS / 2, SIGNAL_SECONDS * 1.1


class Process:
    """Carries its orders out, and notes them."""

    def __init__(self) -> None:
        (self.row,) = Scoreboard(1, 1).rows
        self.row.kind = Kind.STANDBY
        bring_to(self.row, ProcessState.STANDING_BY)
        self.done: list[str] = []
        self.ending = Ending.NONE
        self.pause_seen = False
        self.wishes = MasterWishes(self.row, cast(Orders, self))

    def quit(self) -> None:
        self.done.append("quit")
        self.ending = Ending.QUIT

    def terminate(self) -> None:
        self.done.append("terminate")
        self.ending = Ending.TERMINATE

    def kill_jobs(self) -> None:
        self.done.append("kill")
        self.row.kills_done = self.row.kills

    def pause(self) -> None:
        self.done.append("pause")
        self.pause_seen = self.row.paused

    def resume(self) -> None:
        self.done.append("resume")
        self.pause_seen = self.row.paused
        if not self.row.stands_by:
            self.row.enter(ProcessState.READY)

    def check(self, *times: float) -> None:
        for now in times:
            if (wish := self.wishes.check(now)) is not None:
                wish.do()


def pause(row: Row) -> None:
    row.paused = True


def call(row: Row) -> None:
    row.kind = Kind.WORKER


def test_a_signal_gets_its_time_again_after_a_gap() -> None:
    process = Process()
    pause(process.row)
    process.check(0.0)
    process.wishes.wait_again()
    process.check(LATE, LATE + SOON)
    assert process.done == []
    process.check(2 * LATE)
    assert process.done == ["pause"]


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
    process.check(0.0)
    told(process.row)
    process.check(0.1, 0.1 + SOON)
    assert process.done == []
    process.check(0.1 + LATE, 0.2 + LATE, 5 * LATE, 6 * LATE)
    assert process.done == done


def test_what_the_signal_brought_is_not_done_again() -> None:
    process = Process()
    process.row.kill_jobs()
    process.check(0.0)
    process.row.kills_done = process.row.kills
    process.check(LATE, 2 * LATE)
    assert process.done == []


def test_a_term_after_a_quit_counts_and_a_quit_after_a_term_does_not() -> None:
    process = Process()
    process.row.end(Ending.QUIT)
    process.ending = Ending.QUIT
    process.row.end(Ending.TERMINATE)
    process.row.end(Ending.QUIT)
    process.check(0.0, LATE)
    assert process.done == ["terminate"]


def test_the_end_of_a_pause() -> None:
    process = Process()
    process.row.paused = True
    process.check(0.0, LATE)
    process.row.paused = False
    process.check(2 * LATE, 3.5 * LATE)
    assert process.done == ["pause", "resume"]


def test_while_the_loop_does_not_turn_it_is_asked_once_a_second_and_done_once() -> None:
    process = Process()
    process.row.kill_jobs()
    wishes = [process.wishes.check(now) for now in (0.0, LATE, 2 * LATE, 3 * LATE)]
    assert [wish is not None for wish in wishes] == [False, True, True, True]
    assert process.wishes.kill_is_overdue
    assert process.wishes.check(3 * LATE + SOON) is None
    for wish in wishes[1:]:
        assert wish is not None
        wish.do()
    assert process.done == ["kill"]


def test_a_pause_that_is_over_before_the_loop_gets_there() -> None:
    process = Process()
    process.row.paused = True
    assert process.wishes.check(0.0) is None
    wish = process.wishes.check(LATE)
    process.row.paused = False
    assert wish is not None
    wish.do()
    assert process.done == []
    process.row.paused = True
    process.check(2 * LATE, 3.5 * LATE)
    assert process.done == ["pause"]


def test_a_pause_that_is_over_while_it_begins() -> None:
    process = Process()

    def change_of_mind() -> None:
        process.done.append("pause")
        process.row.paused = False
        process.pause_seen = process.row.paused

    process.pause = change_of_mind  # type: ignore[method-assign]
    process.row.paused = True
    process.check(0.0, LATE, 1.5 * LATE, 3 * LATE)
    assert process.done == ["pause", "resume"]
