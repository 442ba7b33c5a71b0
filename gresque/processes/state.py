"""The life of a worker process as one state machine: read by the process itself, by its master, and
by all who look at it from outside."""

from __future__ import annotations

from enum import IntEnum


class ProcessState(IntEnum):
    """Where a worker process is in its life; it writes its state to its row of the scoreboard.

    The orders of the master (`Row.ending`, `paused`) stand beside the state. When a process died
    before it wrote its end, the master sees by its exit status how.
    """

    BOOTING = 0
    """It recovers what dead siblings held, and connects."""
    REGISTERING = 1
    """Its totals contain those of the siblings; whether it stands in Redis is not known yet."""
    REGISTERED = 2
    """It stands in Redis; its hooks run."""
    STANDING_BY = 3
    """It came up, and waits until the master calls it to work."""
    READY = 4
    """It takes jobs."""
    PAUSED = 5
    """It takes no jobs until it is resumed; jobs that run go on."""
    RETIRING = 6
    """It reserved all it may: its successor can start while its last jobs run."""
    DRAINING = 7
    """It was asked to leave, and its last jobs run."""
    DRY = 8
    """It found its queues empty, and leaves: in a burst, or as a quarantine."""
    LEFT = 9
    """It settled everything and left."""
    LEFT_DRY = 10
    """So it did, with its queues empty."""
    LEFT_HOLDING = 11
    """It left with jobs that Redis refuses to move: they are to be recovered."""
    STRANDED = 12
    """It was declared dead, and its jobs recovered, while it lived: its successor starts afresh."""

    may_have_registered: bool
    """Whether there may be a ledger of it. It then took over what its dead siblings left, so that
    nobody else has to."""
    has_booted: bool
    takes_jobs: bool
    is_at_work: bool
    """Whether it counts as one of WORKER_COUNT now; a paused one does."""
    may_be_replaced: bool
    """Whether it takes no more jobs, so that its successor may start."""
    gives_back: bool
    """Whether jobs that no thread has taken go back to their queues."""
    has_left: bool
    """Whether it settled everything; a job may exit with status 0 just as well."""
    has_ended: bool
    word: str
    """As it is shown: `working`, `standing by`, `draining`."""

    def may_become(self, state: ProcessState) -> bool:
        return state in TRANSITIONS[self]


def _states(*states: ProcessState) -> frozenset[ProcessState]:
    return frozenset(states)


_ANY_END = _states(
    ProcessState.LEFT, ProcessState.LEFT_DRY, ProcessState.LEFT_HOLDING, ProcessState.STRANDED
)
_NOT_DRY_END = _ANY_END - {ProcessState.LEFT_DRY}

TRANSITIONS: dict[ProcessState, frozenset[ProcessState]] = {
    ProcessState.BOOTING: _states(ProcessState.REGISTERING),
    # Redis may refuse, and the process ends or tries again.
    ProcessState.REGISTERING: _states(ProcessState.REGISTERED, ProcessState.BOOTING),
    ProcessState.REGISTERED: _states(
        ProcessState.STANDING_BY, ProcessState.READY, ProcessState.PAUSED, ProcessState.DRAINING
    ),
    ProcessState.STANDING_BY: _states(
        ProcessState.READY, ProcessState.PAUSED, ProcessState.RETIRING, ProcessState.DRAINING,
        ProcessState.STRANDED,
    ),
    ProcessState.READY: _states(
        ProcessState.PAUSED, ProcessState.RETIRING, ProcessState.DRAINING, ProcessState.DRY,
        ProcessState.STRANDED,
    ),
    ProcessState.PAUSED: _states(
        ProcessState.READY, ProcessState.RETIRING, ProcessState.DRAINING, ProcessState.DRY,
        ProcessState.STRANDED,
    ),
    # Where Redis refuses jobs for now, a process keeps them and works on.
    ProcessState.RETIRING: _NOT_DRY_END
    | {ProcessState.READY, ProcessState.PAUSED, ProcessState.DRAINING},
    ProcessState.DRAINING: _NOT_DRY_END,
    ProcessState.DRY: _ANY_END - {ProcessState.LEFT} | {ProcessState.DRAINING},
    **dict.fromkeys(_ANY_END, _states()),
}  # fmt: skip
"""State -> those that may follow it. A step that does not stand here is not taken."""

_REPLACEABLE = _ANY_END | {ProcessState.RETIRING, ProcessState.DRAINING, ProcessState.DRY}

_WORDS = {
    ProcessState.REGISTERING: "booting",
    ProcessState.REGISTERED: "booting",
    ProcessState.STANDING_BY: "standing by",
    ProcessState.READY: "working",
    ProcessState.DRY: "draining",
    ProcessState.LEFT: "draining",
    ProcessState.LEFT_DRY: "draining",
    ProcessState.LEFT_HOLDING: "draining",
    ProcessState.STRANDED: "draining",
}

# The master and each turn of a worker process ask for these: they are looked up, not worked out.
for _state in ProcessState:
    _state.may_have_registered = _state is not ProcessState.BOOTING
    _state.has_booted = _state > ProcessState.REGISTERED
    _state.takes_jobs = _state is ProcessState.READY
    _state.is_at_work = _state in (ProcessState.READY, ProcessState.PAUSED)
    _state.may_be_replaced = _state in _REPLACEABLE
    _state.gives_back = _state in (ProcessState.DRAINING, ProcessState.PAUSED)
    _state.has_left = _state in (ProcessState.LEFT, ProcessState.LEFT_DRY)
    _state.has_ended = not TRANSITIONS[_state]
    _state.word = _WORDS.get(_state, _state.name.lower())
