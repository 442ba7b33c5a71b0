"""Who is dead: whose heartbeat has not changed for a minute of the judge's own clock."""

from __future__ import annotations

import itertools
import os
import random
import signal

import pytest

from gresque.maintenance import judge
from gresque.maintenance.judge import (
    LOOK_SECONDS,
    NOTHING,
    Judge,
    Memory,
    SharedMemory,
    Sighting,
)


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


def watch(one: Judge, clock: Clock, *beats: float, every: float = 10.0) -> list[bool]:
    """Whether a process with these heartbeats at one look after the other is judged dead."""
    verdicts = []
    for beat in beats:
        verdicts.append(one.judge([(b"p", beat)], clock.now) == [b"p"])
        clock.now += every
    return verdicts


def test_dead_is_a_heartbeat_that_stands_still_for_a_minute(clock: Clock) -> None:
    assert watch(Judge(SharedMemory()), clock, *[5] * 8) == [False] * 6 + [True] * 2


def test_each_judge_of_a_master_knows_what_the_last_one_saw(clock: Clock) -> None:
    """A maintenance process that dies has a successor."""
    memory = SharedMemory()
    told = [watch(Judge(memory), clock, 5) for _ in range(8)]
    assert told == [[False]] * 6 + [[True]] * 2


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
    one = Judge(SharedMemory())
    assert not any(watch(one, clock, *beats))


def test_one_that_stops_later_is_dead_a_minute_later(clock: Clock) -> None:
    one = Judge(SharedMemory())
    assert not any(watch(one, clock, 1, 2, 3, 4, 4, 4, 4, 4, 4))
    assert watch(one, clock, 4) == [True]
    assert watch(one, clock, 5) == [False], "it was frozen only"


def test_a_judge_that_could_not_look_starts_watching_again(clock: Clock) -> None:
    """Redis was away, or the judge was stopped: the others may not have been able to beat."""
    one = Judge(SharedMemory())
    assert not any(watch(one, clock, *[5] * 6))
    clock.now += 30
    assert watch(one, clock, *[5] * 8) == [False] * 6 + [True] * 2


def test_an_answer_that_came_late_proves_nothing(clock: Clock) -> None:
    """The judge was stopped after it had asked: what it was told is as old as that."""
    judge_ = Judge(SharedMemory())
    judge_.judge([(b"p", 5)], clock.now)
    sent = clock.now + 10
    clock.now += 300
    assert judge_.judge([(b"p", 5), (b"q", 1)], sent) == []
    sent += 20
    assert judge_.judge([(b"p", 5), (b"q", 1)], sent) == []
    # What was first heard of in that answer counts from when it came.
    assert judge_._memory.read().seen.popitem()[1].since == clock.now


def test_when_it_looks(clock: Clock) -> None:
    """At once, then every 9 s, and at the moment when a minute is over."""
    one = Judge(SharedMemory())
    assert one.due(clock.now) <= 0
    one.judge([(b"p", 5)], clock.now)
    assert one.due(clock.now) == LOOK_SECONDS
    clock.now += 53
    one.judge([(b"p", 5)], clock.now)  # the gap was too long: it begins again
    for seconds in (20, 20, 15):
        clock.now += seconds
        assert one.judge([(b"p", 5), (b"q", clock.now)], clock.now) == []
    assert one.due(clock.now) == 5
    clock.now += 5
    assert one.judge([(b"p", 5), (b"q", clock.now)], clock.now) == [b"p"]
    assert one.due(clock.now) == LOOK_SECONDS, "a dead one does not hurry the judge"


def test_the_memory_outlives_its_writer() -> None:
    memory = SharedMemory()
    assert memory.read() == NOTHING
    memory.write(Memory(1.0, {b"12345678": Sighting(1.0, 2.0)}))
    pid = os.fork()
    if pid == 0:
        memory.write(Memory(3.0, {b"abcdefgh": Sighting(4.0, 5.0)}))
        os._exit(0)
    os.waitpid(pid, 0)
    assert memory.read() == Memory(3.0, {b"abcdefgh": Sighting(4.0, 5.0)})


def test_a_writer_that_is_killed_half_way_leaves_nothing_wrong() -> None:
    """It writes as fast as it can, and is killed; what is read is whole, or nothing."""
    memory = SharedMemory()
    whole = 0
    while whole < 5:
        ready, written = os.pipe()
        pid = os.fork()
        if pid == 0:
            for n in itertools.count():
                memory.write(Memory(n, {b"%08d" % k: Sighting(n, n) for k in range(300)}))
                if n == 20:
                    os.write(written, b"x")
        os.read(ready, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(written)
        looked, seen = memory.read()
        if seen:
            assert set(seen.values()) == {Sighting(looked, looked)}
            assert len(seen) == 300
            whole += 1
        else:
            assert looked == float("-inf")


def test_more_processes_than_fit(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead are found later, and all of them are."""
    monkeypatch.setattr(judge, "random", random.Random(5))
    monkeypatch.setattr(judge, "CAPACITY", 256)
    one, dead = Judge(SharedMemory()), {b"dead %d" % n for n in range(50)}
    found: set[bytes] = set()
    for look in range(60):
        beats = [(b"alive %d" % n, float(look)) for n in range(2 * judge.CAPACITY)]
        told = one.judge([*beats, *((name, 1.0) for name in dead - found)], clock.now)
        assert set(told) <= dead
        found |= set(told)
        clock.now += 10
        if found == dead:
            break
    assert found == dead
