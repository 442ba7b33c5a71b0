"""The scoreboard: memory that the master shares with its worker processes.

Each process writes its own row, the master reads them all; no message can be lost or block.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from enum import IntEnum

from gresque.forked import own
from gresque.processes import stack_dump
from gresque.processes.kind import Kind
from gresque.processes.state import ProcessState
from gresque.processes.tallies import Tallies, shared_tallies
from gresque.processes.waits import Waits, shared_waits
from gresque.store.ledger import Totals

_STATE, _BLAMED, _KILL_REASON, _PULSE = range(4)
_TOTALS = (slice(4, 9), slice(9, 14))
_SUSPECTS_SEEN, _KIND, _PAUSED, _ENDING, _KILLS, _PID, _BORN_MS, _LAG_MS = range(14, 22)
_INHERITED, _KILLS_DONE = 22, 23
_THREADS = 24
_STATES, _KINDS = tuple(ProcessState), tuple(Kind)  # enum's own lookup takes a microsecond

GUARDED = 1 << 63
"""Set in a thread's word while its job is in an `uninterruptible` section."""

SPAWNED = 1 << 62
"""Set in a thread's word when its job has spawned greenlets or threads of its own."""


def slot_in(word: int) -> int | None:
    """The slot for which a thread's word stands."""
    word &= ~(GUARDED | SPAWNED)
    return word - 1 if word else None


class Ending(IntEnum):
    """How a process is to leave."""

    NONE = 0
    QUIT = 1
    TERMINATE = 2


class KillReason(IntEnum):
    """Why a process has to die for the sake of one job."""

    KILLED = 0
    TIMED_OUT = 1


class _Flag:
    """A word of a row that is true or false."""

    def __init__(self, index: int) -> None:
        self._index = index

    def __get__(self, row: Row, owner: type[Row]) -> bool:
        return bool(row._words[self._index])

    def __set__(self, row: Row, value: bool) -> None:
        row._words[self._index] = value


class Row:
    """The row of one worker process: its state, its totals, that it lives, which job each of its
    threads runs; and the master's orders, beside the signals.

    Every word is written in one aligned store: by the process itself, or, where it cannot act any
    more, by the process that acts for it; a few by the master. `dump` is a file into which the
    process writes where it stands, even while some C code holds the GIL (see
    `processes.stack_dump`).
    """

    def __init__(self, words: memoryview, dump_fd: int, tallies: Tallies, waits: Waits) -> None:
        self._words = words
        self.dump = dump_fd
        self.tallies = tallies
        """Those of this process and of the ones that had the row before."""
        self.waits = waits
        self.threads = words[_THREADS:]
        """Thread number -> 1 + the slot of the job that it started last, GUARDED, SPAWNED."""

    def clear(self) -> None:
        self._words[:] = memoryview(bytes(self._words.nbytes)).cast("Q")
        self.waits.clear()
        stack_dump.empty(self.dump)

    def leave_to_child(self) -> None:
        """In a process that a job forked: nothing that it writes shows on the scoreboard."""
        self._words = memoryview(bytearray(self._words.tobytes())).cast("Q")
        self.threads = self._words[_THREADS:]
        self.dump = -1

    @property
    def state(self) -> ProcessState:
        return _STATES[self._words[_STATE]]

    def enter(self, state: ProcessState) -> bool:
        """By the process: take this step, if the state machine has it. Returns whether it did."""
        if not self.state.may_become(state):
            return False
        self._words[_STATE] = state
        return True

    paused = _Flag(_PAUSED)
    """By the master: the worker is paused. By the process, when an operator has ordered it so."""
    must_end = _Flag(_ENDING)
    """By the master: the process is to leave. It takes no job from then on, even before its signal
    comes: what another process of the worker puts back, it must not take."""

    @property
    def kind(self) -> Kind:
        """By the master: what the process is for. It makes a STANDBY a WORKER to call it to work;
        a CONT follows."""
        return _KINDS[self._words[_KIND]]

    @kind.setter
    def kind(self, kind: Kind) -> None:
        self._words[_KIND] = kind

    @property
    def stands_by(self) -> bool:
        """Whether the process takes no jobs until the master calls it."""
        return self._words[_KIND] == Kind.STANDBY

    @property
    def pid(self) -> int:
        """The process's own; 0 in a row that no process has, and until it has noted it."""
        return self._words[_PID]

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[_PID] = pid

    @property
    def born_ms(self) -> int:
        """By the master: when it forked the process, in milliseconds since 1970."""
        return self._words[_BORN_MS]

    @born_ms.setter
    def born_ms(self, born_ms: int) -> None:
        self._words[_BORN_MS] = born_ms

    @property
    def ending(self) -> Ending:
        """By the master: how the process is to leave, as TERM, INT and QUIT say, too."""
        return Ending(self._words[_ENDING])

    def end(self, ending: Ending) -> None:
        self._words[_ENDING] = max(ending, self._words[_ENDING])

    @property
    def kills(self) -> int:
        """By the master: how often the running jobs were to be killed, as USR1 says."""
        return self._words[_KILLS]

    def kill_jobs(self) -> None:
        self._words[_KILLS] += 1

    @property
    def kills_done(self) -> int:
        """By the process: which of `kills` it has carried out."""
        return self._words[_KILLS_DONE]

    @kills_done.setter
    def kills_done(self, kills: int) -> None:
        self._words[_KILLS_DONE] = kills

    @property
    def blamed(self) -> int | None:
        """The slot of the job for whose sake the process has to die, if there is one."""
        word = self._words[_BLAMED]
        return word - 1 if word else None

    @property
    def kill_reason(self) -> KillReason:
        return KillReason(self._words[_KILL_REASON])

    def blocker(self, found: stack_dump.Dump) -> int:
        """The word of the thread whose job has the CPU by this dump, or has started the greenlet or
        thread that has it; 0 where that is unknown."""
        if found.thread is not None:
            return self.threads[found.thread]
        spawners = [word for word in self.threads if word & SPAWNED] if found.spawned else []
        if len(spawners) != 1:
            return 0
        # A thread shows a job that has ended until it takes another one, and a slot is used again.
        slots = [slot_in(word) for word in self.threads]
        return spawners[0] if slots.count(slot_in(spawners[0])) == 1 else 0

    def blame(self, slot: int, kill_reason: KillReason) -> None:
        """The job in this slot does not end otherwise: the process dies, and that job fails."""
        self._words[_KILL_REASON] = kill_reason
        self._words[_BLAMED] = slot + 1

    def clear_blame(self) -> None:
        self._words[_BLAMED] = 0

    @property
    def pulse(self) -> int:
        """Changes ten times a second while some thread of the process gets the GIL; 0 for none
        before it works, and when it leaves."""
        return self._words[_PULSE]

    def beat(self) -> None:
        self._words[_PULSE] += 1

    def stop_beating(self) -> None:
        self._words[_PULSE] = 0

    def note_lag(self, seconds: float) -> None:
        """The loop of the process has not turned for this long."""
        self._words[_LAG_MS] = max(int(seconds * 1000), self._words[_LAG_MS])

    def take_lag_ms(self) -> int:
        """The longest such time since the last call."""
        lag, self._words[_LAG_MS] = self._words[_LAG_MS], 0
        return lag

    @property
    def suspects_seen(self) -> int:
        """How often the process has seen suspects in a queue and left them there."""
        return self._words[_SUSPECTS_SEEN]

    @suspects_seen.setter
    def suspects_seen(self, count: int) -> None:
        self._words[_SUSPECTS_SEEN] = count

    @property
    def totals(self) -> Totals:
        return Totals(*self._words[_TOTALS[self._words[_INHERITED] & 1]])

    @totals.setter
    def totals(self, totals: Totals) -> None:
        self._write_totals(totals, self._words[_INHERITED] & 1)

    @property
    def inherited(self) -> int:
        """How many of the dead processes that it is to recover `totals` contain: the first
        ones."""
        return self._words[_INHERITED] >> 1

    def inherit(self, totals: Totals, inherited: int) -> None:
        """Set `totals` and `inherited` in one store: whenever the process is killed, its master
        sees which of the dead are counted."""
        place = 1 - (self._words[_INHERITED] & 1)
        self._write_totals(totals, place)
        self._words[_INHERITED] = inherited << 1 | place

    def _write_totals(self, totals: Totals, place: int) -> None:
        for index, number in enumerate(totals, start=_TOTALS[place].start):
            self._words[index] = number


class SharedTotals:
    """The totals of all jobs of the worker, as the master counted them last."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, len(Totals._fields) * 8)
        self._words = memoryview(self._memory).cast("Q")

    def get(self) -> Totals:
        return Totals(*self._words)

    def set(self, totals: Totals) -> None:
        for index, number in enumerate(totals):
            self._words[index] = number


class Scoreboard:
    """`size` rows in anonymous shared memory; make it before the first fork."""

    def __init__(self, size: int, thread_count: int) -> None:
        width = _THREADS + thread_count
        self._memory = mmap.mmap(-1, size * width * 8)
        words = memoryview(self._memory).cast("Q")
        self.rows = [
            Row(words[n * width : (n + 1) * width], _open_dump(), tallies, waits)
            for n, (tallies, waits) in enumerate(
                zip(shared_tallies(size), shared_waits(size), strict=True)
            )
        ]


def _open_dump() -> int:
    """A file without a name, gone with its last user; every write goes to its end."""
    descriptor, path = tempfile.mkstemp(prefix="gresque-dump-")
    own(descriptor)
    os.unlink(path)  # noqa: PTH108
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    return descriptor
