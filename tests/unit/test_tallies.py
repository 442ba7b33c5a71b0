from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from gresque.processes import tallies
from gresque.processes.tallies import ENTRIES, Heard, Tallies, Tally, own_tallies, shared_tallies

BOOM = ("failed", "m.boom", "ValueError", "/app/m.py:12:in `boom'")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tallies, "monotonic", clock)
    return clock


def only(found: Tallies) -> Tally:
    ((_, tally),) = found.read()
    return tally


def test_the_first_in_ten_seconds_is_logged_and_the_others_counted(clock: Clock) -> None:
    own = own_tallies()
    assert own.note(BOOM, "a", log_first=True) is Heard.FIRST
    clock.now += 9
    assert own.note(BOOM, "b", log_first=True) is Heard.COUNTED
    assert own.note((*BOOM[:3], "another frame"), "c", log_first=True) is Heard.FIRST
    clock.now += 1
    assert own.note(BOOM, "d", log_first=True) is Heard.FIRST
    assert own.note(BOOM, "é" * 40, log_first=True) is Heard.COUNTED
    (_, first), (_, second) = own.read()
    assert (first.label, first.counted, first.since, first.at) == (BOOM, 2, 1010.0, 1010.0)
    assert first.last_id == "é" * 20
    assert second.counted == 0


def test_what_is_never_logged_is_counted_from_the_first(clock: Clock) -> None:
    own = own_tallies()
    assert own.note(("put back", "m.f", "q"), "a", log_first=False) is Heard.COUNTED
    assert only(own).counted == 1


def test_one_of_all_processes_logs(clock: Clock) -> None:
    first, second, third = shared_tallies(3)
    assert first.note(BOOM, "a", log_first=True) is Heard.FIRST
    clock.now += 6
    assert second.note(BOOM, "b", log_first=True) is Heard.COUNTED
    clock.now += 5
    assert third.note(BOOM, "c", log_first=True) is Heard.FIRST
    assert second.note(BOOM, "d", log_first=True) is Heard.COUNTED
    assert [only(each).counted for each in (first, second, third)] == [0, 2, 0]


def test_a_successor_goes_on_counting() -> None:
    places = shared_tallies(2)
    heard = multiprocessing.get_context("fork").Queue()

    def live(job_id: str) -> None:
        heard.put(places[0].note(BOOM, job_id, log_first=True).name)

    for job_id in "abc":
        child = multiprocessing.get_context("fork").Process(target=live, args=(job_id,))
        child.start()
        child.join()
    assert [heard.get() for _ in range(3)] == ["FIRST", "COUNTED", "COUNTED"]
    assert (only(places[0]).counted, only(places[0]).last_id) == (2, "c")


def test_what_has_no_room_is_counted_together_until_an_entry_is_free(clock: Clock) -> None:
    own = own_tallies()
    for number in range(ENTRIES):
        assert own.note(("failed", str(number)), "", log_first=True) is Heard.FIRST
        clock.now += 0.01
    assert own.note(BOOM, "a", log_first=True) is Heard.FIRST
    assert own.note(("failed", "another"), "b", log_first=True) is Heard.COUNTED
    assert own.note(("put back", "m.f", "q"), "c", log_first=False) is Heard.COUNTED
    successor = Tallies(own._memory)
    assert successor.note(BOOM, "d", log_first=True) is Heard.COUNTED
    together = [tally for _, tally in own.read()][ENTRIES:]
    assert [(tally.label, tally.counted, tally.last_id) for tally in together] == [
        (("failed",), 2, "d"), (("put back",), 1, "c"),
    ]  # fmt: skip
    clock.now += 21
    own.note(("failed", "0"), "", log_first=True)
    assert own.note(BOOM, "a", log_first=True) is Heard.FIRST
    assert own.note(BOOM, "a", log_first=True) is Heard.COUNTED
    labels = [tally.label for _, tally in own.read()][:ENTRIES]
    assert len(set(labels)) == ENTRIES
    assert ("failed", "1") not in labels
    assert BOOM in labels


def test_any_label_fits(clock: Clock) -> None:
    own = own_tallies()
    own.note(("failed", "a\0b\udcff", "x" * 1000), "", log_first=True)
    assert only(own).label[:2] == ("failed", "ab\\udcff")


def test_a_number_is_never_read_half_written() -> None:
    """The master reads while a process counts; from 255 to 256 two bytes change."""
    own = own_tallies()
    own.note(BOOM, "a", log_first=False)
    ((place, _),) = own.read()
    numbers = [(1 << 56) - 2, (1 << 56) - 1]
    pid = os.fork()
    if not pid:
        while True:
            for number in numbers:
                own._words[place // 8 + 1] = number
                own.note(BOOM, "a", log_first=False)
    try:
        begun, seen = time.monotonic(), set[int]()
        # Until the process has run, and then for half a second.
        while not seen - {1} or time.monotonic() - begun < 0.5:
            assert time.monotonic() - begun < 60
            seen.update(tally.counted for _, tally in own.read())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert seen <= {1, *numbers, 1 << 56}
    assert seen - {1}


def test_an_entry_that_becomes_another_one_while_it_is_read_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the new label would stand beside the count of the old one."""
    own = own_tallies()
    own.note(BOOM, "a", log_first=False)
    ((place, _),) = own.read()

    def text(raw: bytes) -> str:
        own._begin(place, 7, ("failed", "m.other"), 0.0)
        return ""

    monkeypatch.setattr(tallies, "_text", text)
    assert list(own.read()) == []
