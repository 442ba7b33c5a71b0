"""Who is dead: whose heartbeat has not changed for a minute of the judge's own clock."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Iterator

import pytest

from gresque.processes import judge
from gresque.processes.judge import CAPACITY, NOTHING, Judge, Memory, SharedMemory, Sighting


class Clock:
    """The monotonic clock of the judges' machine."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(judge, "time", clock)
    return clock


def watch(judges: Iterator[Judge], clock: Clock, *beats: float, every: float = 10.0) -> list[bool]:
    """Whether a process with these heartbeats at one look after the other is judged dead."""
    verdicts = []
    for beat in beats:
        verdicts.append(next(judges).judge([(b"p", beat)], clock.now) == [b"p"])
        clock.now += every
    return verdicts


@pytest.mark.parametrize("processes", [1, 3])
def test_dead_is_a_heartbeat_that_stands_still_for_a_minute(clock: Clock, processes: int) -> None:
    """Whichever processes of the master look: together they know what each of them has seen."""
    memory = SharedMemory(processes)
    judges = itertools.cycle([Judge(memory, n) for n in range(processes)])
    assert watch(judges, clock, *[5] * 8) == [False] * 6 + [True] * 2


# Scores at looks 10 s apart, as an hour's steps of the server's clock leave them
ALIVE = {
    "as ever": [n * 10_000 for n in range(20)],
    "forwards": [n * 10_000 + (3_600_000 if n > 9 else 0) for n in range(20)],
    "backwards": [3_600_000 + min(n, 9) * 10_000 + max(n - 9, 0) for n in range(20)],
    "to and fro": [(n % 2) * 3_600_000 + n for n in range(20)],
    "frozen": [1_000_000 + n for n in range(20)],
}


@pytest.mark.parametrize("beats", ALIVE.values(), ids=ALIVE)
def test_who_beats_lives_whatever_its_scores_are(clock: Clock, beats: list[float]) -> None:
    judges = itertools.cycle([Judge(SharedMemory(1), 0)])
    assert not any(watch(judges, clock, *beats))


def test_one_that_stops_later_is_dead_a_minute_later(clock: Clock) -> None:
    judges = itertools.cycle([Judge(SharedMemory(1), 0)])
    assert not any(watch(judges, clock, 1, 2, 3, 4, 4, 4, 4, 4, 4))
    assert watch(judges, clock, 4) == [True]
    assert watch(judges, clock, 5) == [False], "it was frozen only"


def test_a_judge_that_could_not_look_starts_watching_again(clock: Clock) -> None:
    """Redis was away, or the judge was stopped: the others may not have been able to beat."""
    judges = itertools.cycle([Judge(SharedMemory(1), 0)])
    assert not any(watch(judges, clock, *[5] * 6))
    clock.now += 30
    assert watch(judges, clock, *[5] * 8) == [False] * 6 + [True] * 2


def test_an_answer_that_came_late_proves_nothing(clock: Clock) -> None:
    """The judge was stopped after it had asked: what it was told is as old as that."""
    judge_ = Judge(SharedMemory(1), 0)
    judge_.judge([(b"p", 5)], clock.now)
    sent = clock.now + 10
    clock.now += 300
    assert judge_.judge([(b"p", 5), (b"q", 1)], sent) == []
    sent += 20
    assert judge_.judge([(b"p", 5), (b"q", 1)], sent) == []
    # What was first heard of in that answer counts from when it came.
    assert judge_._memory.read().seen.popitem()[1].since == clock.now


def test_of_two_that_look_at_once_the_later_one_counts(clock: Clock) -> None:
    memory = SharedMemory(2)
    first, second = Judge(memory, 0), Judge(memory, 1)
    second.judge([(b"p", 6)], clock.now + 1)
    assert first.judge([(b"p", 5)], clock.now) == []
    assert [sighting.beat for sighting in memory.read().seen.values()] == [6]


def test_one_look_of_a_master_every_nine_seconds(clock: Clock) -> None:
    memory = SharedMemory(2)
    first, second = Judge(memory, 0), Judge(memory, 1)
    assert first.is_due
    first.judge([], clock.now)
    clock.now += 8
    assert not first.is_due
    assert not second.is_due
    clock.now += 1
    assert second.is_due


def test_the_memory_outlives_its_writers() -> None:
    memory = SharedMemory(3)
    assert memory.read() == NOTHING
    memory.write(0, Memory(1.0, {b"12345678": Sighting(1.0, 2.0)}))
    pid = os.fork()
    if pid == 0:
        memory.write(2, Memory(3.0, {b"abcdefgh": Sighting(4.0, 5.0)}))
        os._exit(0)
    os.waitpid(pid, 0)
    assert memory.read() == Memory(3.0, {b"abcdefgh": Sighting(4.0, 5.0)})


def test_writers_that_are_killed_half_way_spoil_nothing() -> None:
    """Three write as fast as they can, and are killed; all that is ever read is whole."""
    memory = SharedMemory(3)
    for _ in range(20):
        pids = []
        for writer in range(3):
            pid = os.fork()
            if pid == 0:
                for n in itertools.count():
                    seen = {b"%08d" % k: Sighting(n, writer) for k in range(300)}
                    memory.write(writer, Memory(n, seen))
            pids.append(pid)
        whole = 0
        while whole < 30:
            looked, seen = memory.read()
            if seen:
                assert len({sighting.beat for sighting in seen.values()} | {looked}) == 1
                assert len({sighting.since for sighting in seen.values()}) == 1
                whole += 1
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        assert len(memory.read().seen) == 300


def test_more_processes_than_fit(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead are found later, and all of them are."""
    monkeypatch.setattr(judge, "random", random.Random(5))
    one, dead = Judge(SharedMemory(1), 0), {b"dead %d" % n for n in range(50)}
    found: set[bytes] = set()
    for look in range(60):
        beats = [(b"alive %d" % n, float(look)) for n in range(2 * CAPACITY)]
        told = one.judge([*beats, *((name, 1.0) for name in dead - found)], clock.now)
        assert set(told) <= dead
        found |= set(told)
        clock.now += 10
        if found == dead:
            break
    assert found == dead
