"""The memory that a master shares with its processes."""

from __future__ import annotations

import os
import threading

from gresque.processes.scoreboard import GUARDED, Ending, KillReason, Scoreboard
from gresque.processes.state import ProcessState
from gresque.store.ledger import Totals
from tests.support.states import bring_to


def test_blaming_a_job() -> None:
    (row,) = Scoreboard(1, 2).rows
    assert (row.blamed, row.pulse) == (None, 0)
    row.blame(0, KillReason.TIMED_OUT)
    row.beat()
    row.threads[1] = GUARDED | 7
    assert (row.blamed, row.kill_reason, row.pulse) == (0, KillReason.TIMED_OUT, 1)
    row.stop_beating()
    assert row.pulse == 0
    row.clear()
    assert (row.blamed, row.kill_reason, list(row.threads)) == (None, KillReason.KILLED, [0, 0])


def test_rows_start_empty_and_do_not_overlap() -> None:
    rows = Scoreboard(5, 3).rows
    assert len(rows) == 5
    states = list(ProcessState)[3:8]
    for number, row in enumerate(rows):
        assert row.state is ProcessState.BOOTING
        assert row.totals == Totals()
        bring_to(row, states[number])
        row.paused = number % 2 == 0
        row.totals = Totals(number, number + 1, number + 2, 2**63, number)
    for number, row in enumerate(rows):
        assert row.state is states[number]
        assert row.paused is (number % 2 == 0)
        assert row.totals == Totals(number, number + 1, number + 2, 2**63, number)


def test_clear_clears_one_row() -> None:
    first, second = Scoreboard(2, 3).rows
    for row in (first, second):
        bring_to(row, ProcessState.DRY)
        row.paused, row.totals = True, Totals(4, 3, 2, 1, 5)
    first.clear()
    assert (first.state, first.paused, first.totals) == (
        ProcessState.BOOTING, False, Totals(),
    )  # fmt: skip
    assert (second.state, second.paused, second.totals) == (
        ProcessState.DRY, True, Totals(4, 3, 2, 1, 5),
    )  # fmt: skip


def test_what_is_inherited_shows_in_one_store() -> None:
    """Of a process that is killed in between, the master sees all or nothing."""
    (row,) = Scoreboard(1, 1).rows
    stores: list[tuple[Totals, int]] = []

    class Words:
        def __init__(self, words: memoryview) -> None:
            self._words = words

        def __getitem__(self, index: int) -> int:
            return self._words[index]

        def __setitem__(self, index: int, word: int) -> None:
            self._words[index] = word
            stores.append((row.totals, row.inherited))

    row._words = Words(row._words)  # type: ignore[assignment]
    old = (Totals(), 0)
    for new in [
        (Totals(4, 3, 2, 1, 5), 1),
        (Totals(9, 9, 9, 9, 9), 2),
        (Totals(9, 9, 9, 9, 10), 2),
    ]:
        row.inherit(*new)
        assert stores == [old] * 5 + [new]
        stores.clear()
        old = new
    row.totals = Totals(5, 6, 7, 8, 9)
    assert (row.totals, row.inherited) == (Totals(5, 6, 7, 8, 9), 2)


def test_an_order_to_end_only_grows() -> None:
    (row,) = Scoreboard(1, 1).rows
    assert (row.must_end, row.ending) == (False, Ending.NONE)
    for order, ending in [
        (Ending.QUIT, Ending.QUIT),
        (Ending.TERMINATE, Ending.TERMINATE),
        (Ending.QUIT, Ending.TERMINATE),
    ]:
        row.end(order)
        assert (row.must_end, row.ending) == (True, ending)


def test_another_process_is_seen() -> None:
    (row,) = Scoreboard(1, 3).rows
    pid = os.fork()
    if not pid:
        try:
            row.totals = Totals(7, 5, 1, 1)
            bring_to(row, ProcessState.RETIRING)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert (row.state, row.totals) == (ProcessState.RETIRING, Totals(7, 5, 1, 1))


def test_a_thread_that_reads_sees_whole_words() -> None:
    (row,) = Scoreboard(1, 3).rows
    values = (Totals(), Totals(*[2**64 - 1] * 5))
    stop, torn = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            torn.extend(word for word in row.totals if word not in (0, 2**64 - 1))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3000):
        row.totals = values[number % 2]
    stop.set()
    reader.join()
    assert torn == []
