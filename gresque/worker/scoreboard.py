"""The scoreboard: memory that the master shares with its worker processes.

Each process writes its own row, the master reads them all; no message can be lost or block.
"""

from __future__ import annotations

import mmap
from enum import IntEnum

from gresque.store.ledger import Totals

_WORDS = 10
_STATE, _HEIR, _GUILTY, _LEFT, _SIGHTINGS = 0, 1, 6, 7, 8
_TOTALS = slice(2, 6)


class ProcessState(IntEnum):
    """Where a worker process stands in its life."""

    BOOTING = 0
    READY = 1  # works
    RETIRING = 2  # reserved all it may: its successor can start while its last jobs run
    DRAINING = 3  # was told to leave
    DRY = 4  # found its queues empty, in a burst
    STRANDED = 5  # was declared dead and lives: must start afresh


class Row:
    """What one worker process shows: its state, its totals, whether it took its heritage on.

    Every word is written by one process only, in one aligned store.
    """

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def clear(self) -> None:
        for index in range(_WORDS):
            self._words[index] = 0

    @property
    def state(self) -> ProcessState:
        return ProcessState(self._words[_STATE])

    @state.setter
    def state(self, state: ProcessState) -> None:
        self._words[_STATE] = state

    @property
    def heir(self) -> bool:
        """True once the process recovered the dead ones that were passed to it."""
        return bool(self._words[_HEIR])

    @heir.setter
    def heir(self, done: bool) -> None:
        self._words[_HEIR] = done

    @property
    def guilty(self) -> int | None:
        """The slot of the job for whose sake the process had to die, if there was one."""
        word = self._words[_GUILTY]
        return word - 1 if word else None

    @guilty.setter
    def guilty(self, slot: int) -> None:
        self._words[_GUILTY] = slot + 1

    @property
    def left(self) -> bool:
        """True once the process has settled all and left: a job may exit with 0 just as well."""
        return bool(self._words[_LEFT])

    @left.setter
    def left(self, done: bool) -> None:
        self._words[_LEFT] = done

    @property
    def sightings(self) -> int:
        """How often the process has seen suspects in a queue and left them there."""
        return self._words[_SIGHTINGS]

    @sightings.setter
    def sightings(self, count: int) -> None:
        self._words[_SIGHTINGS] = count

    @property
    def totals(self) -> Totals:
        return Totals(*self._words[_TOTALS])

    @totals.setter
    def totals(self, totals: Totals) -> None:
        for index, number in enumerate(totals, start=_TOTALS.start):
            self._words[index] = number


class Scoreboard:
    """`size` rows in anonymous shared memory; make it before the first fork."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, size * _WORDS * 8)
        words = memoryview(self._memory).cast("Q")
        self.rows = [Row(words[n * _WORDS : (n + 1) * _WORDS]) for n in range(size)]
