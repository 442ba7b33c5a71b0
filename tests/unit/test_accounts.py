"""What the master concludes from the ends of its processes, whatever order it learns of them in."""

from __future__ import annotations

import signal
from itertools import permutations

import pytest

from gresque.master.accounts import Accounts
from gresque.master.child import Child
from gresque.master.exits import EXIT_BOOT_FAILED, Exit
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Row, Scoreboard
from gresque.processes.spec import DeadProcess
from gresque.processes.state import ProcessState
from gresque.store.ledger import Totals
from tests.support.states import bring_to

DEAD = DeadProcess("host:1:q:4:4", "it exited with 1", None, blameless=False)


def ended(row: Row, pid: int, kind: Kind, state: ProcessState) -> Child:
    row.kind = kind
    bring_to(row, state)
    return Child(pid, "host:1:q:1:5:9", 1, row)


def test_a_burst_goes_on_while_the_dead_ones_jobs_are_to_be_put_back() -> None:
    """Two found the queues dry while a quarantine held the rest, and the quarantine died."""
    rows = Scoreboard(3, 5).rows
    ends = [
        (ended(rows[0], 11, Kind.WORKER, ProcessState.LEFT_DRY), 0),
        (ended(rows[1], 12, Kind.QUARANTINE, ProcessState.READY), signal.SIGKILL),
        (ended(rows[2], 13, Kind.WORKER, ProcessState.LEFT_DRY), 0),
    ]
    for order in permutations(ends):
        accounts = Accounts()
        for child, status in order:
            accounts.note_end(child, status)
        assert [dead.process_id for dead in accounts.to_recover] == [ends[1][0].process_id]
        assert not accounts.dry, [child.pid for child, _ in order]


@pytest.mark.parametrize(
    ("kind", "state", "dry"),
    [
        (Kind.WORKER, ProcessState.LEFT_DRY, True),
        (Kind.WORKER, ProcessState.LEFT, False),
        (Kind.QUARANTINE, ProcessState.LEFT_DRY, False),  # its jobs may have enqueued others
        (Kind.STANDBY, ProcessState.LEFT, True),  # it says nothing, so all stays as it was
    ],
)
def test_a_burst_is_dry_when_the_last_one_found_none(
    kind: Kind, state: ProcessState, dry: bool
) -> None:
    (row,) = Scoreboard(1, 5).rows
    accounts = Accounts()
    accounts.dry = True
    assert accounts.note_end(ended(row, 11, kind, state), 0) is Exit.LEFT
    assert accounts.dry is dry


@pytest.mark.parametrize(
    ("state", "status", "end"),
    [
        (ProcessState.READY, 0, Exit.CRASHED),  # a job may exit with 0 just as well
        (ProcessState.READY, signal.SIGKILL, Exit.CRASHED),
        (ProcessState.RETIRING, None, Exit.CRASHED),
        (ProcessState.STRANDED, 0, Exit.STARTS_AFRESH),
        (ProcessState.LEFT_HOLDING, 0, Exit.STARTS_AFRESH),
        (ProcessState.BOOTING, EXIT_BOOT_FAILED << 8, Exit.FAILED_BOOT),
        (ProcessState.BOOTING, signal.SIGSEGV, Exit.FAILED_BOOT),
        (ProcessState.REGISTERING, signal.SIGKILL, Exit.FAILED_BOOT),
        (ProcessState.REGISTERED, signal.SIGSEGV, Exit.FAILED_BOOT),
        (ProcessState.BOOTING, None, Exit.FAILED_BOOT),
        (ProcessState.BOOTING, signal.SIGTERM, Exit.ENDED_AT_START),
    ],
)
def test_ends_have_different_names(state: ProcessState, status: int | None, end: Exit) -> None:
    (row,) = Scoreboard(1, 5).rows
    accounts = Accounts()
    assert accounts.note_end(ended(row, 11, Kind.WORKER, state), status) is end
    assert len(accounts.to_recover) == state.may_have_registered


@pytest.mark.parametrize("recovered", [False, True])
def test_totals_are_counted_once(recovered: bool) -> None:
    """Those of a process that died count when the process that recovers it counts them."""
    (row,) = Scoreboard(1, 5).rows
    row.totals = Totals(reserved=5, done=3)
    bring_to(row, ProcessState.READY if recovered else ProcessState.BOOTING)
    child = Child(11, "host:1:q", 1, row, to_recover=(DEAD,))
    accounts = Accounts()
    assert accounts.totals([child]) == (row.totals if recovered else Totals())
    accounts.note_end(child, signal.SIGKILL)
    # Without a Recovery of its own to its end, it passes on what it was to recover.
    assert accounts.totals([]) == (Totals() if recovered else row.totals)
    heirs = [dead.process_id for dead in accounts.to_recover]
    assert heirs == ([child.process_id] if recovered else [DEAD.process_id])


@pytest.mark.parametrize("held", [0, 1])
def test_what_a_process_counted_is_kept_for_the_case_that_its_ledger_is_gone(held: int) -> None:
    """It is killed while it leaves. A process that held jobs has its ledger still."""
    (row,) = Scoreboard(1, 5).rows
    child = ended(row, 11, Kind.WORKER, ProcessState.RETIRING)
    row.totals = Totals(reserved=2 + held, done=2)
    accounts = Accounts()
    accounts.note_end(child, signal.SIGKILL)
    (dead,) = accounts.to_recover
    assert dead.totals == (Totals() if held else row.totals)
    (other,) = Scoreboard(1, 5).rows
    heir = Child(12, "host:1:q:1:5:9", 1, other, to_recover=(dead, DEAD))
    other.inherit(dead.totals, 1)
    for _ in range(2):  # the next one dies before it does anything
        accounts.to_recover.clear()
        accounts.note_end(heir, signal.SIGKILL)
        assert accounts.totals(()) == dead.totals
        assert accounts.to_recover == [dead._replace(counted=True), DEAD]
        other.clear()
        heir = Child(13, "host:1:q:1:5:9", 1, other, to_recover=tuple(accounts.to_recover))


def test_one_that_dies_while_it_registers_holds_nothing_of_its_own() -> None:
    """It may have no ledger, and jobs that Redis refused are among those that it inherited."""
    (row,) = Scoreboard(1, 5).rows
    child = ended(row, 11, Kind.WORKER, ProcessState.REGISTERING)
    row.inherit(Totals(reserved=3, done=2), 1)
    accounts = Accounts()
    accounts.note_end(child, signal.SIGKILL)
    assert accounts.totals(()) == Totals()
    assert [dead.totals for dead in accounts.to_recover] == [Totals(reserved=3, done=2)]


def test_a_burst_waits_for_suspects_where_a_quarantine_process_takes_them() -> None:
    """With one thread nobody else would: the master waited for ever."""
    row = Scoreboard(1, 5).rows[0]
    accounts = Accounts()
    child = ended(row, 11, Kind.WORKER, ProcessState.LEFT_DRY)
    row.suspects_seen = 1
    accounts.note_end(child, 0)
    assert not accounts.is_burst_over(quarantine=True)
    assert accounts.is_burst_over(quarantine=False)
    accounts.answer_suspects([])
    assert accounts.is_burst_over(quarantine=True)


@pytest.mark.parametrize("to_recover", [(), (DEAD,)])
def test_one_that_dies_in_a_recovery_may_have_moved_suspects(
    to_recover: tuple[DeadProcess, ...],
) -> None:
    """The next one finds that ledger empty, and the maintenance process looks only every 10 s."""
    (row,) = Scoreboard(1, 5).rows
    accounts = Accounts()
    accounts.note_end(Child(11, "host:1:q", 1, row, to_recover), signal.SIGKILL)
    assert accounts.has_new_suspects([]) == bool(to_recover)


def test_suspects_are_answered_once_and_remembered_after_the_process() -> None:
    (row,) = Scoreboard(1, 5).rows
    child = ended(row, 11, Kind.WORKER, ProcessState.LEFT)
    accounts = Accounts()
    assert not accounts.has_new_suspects([child])
    row.suspects_seen = 1
    assert accounts.has_new_suspects([child])
    accounts.note_end(child, 0)
    assert accounts.has_new_suspects([])
    accounts.answer_suspects([])
    assert not accounts.has_new_suspects([])


@pytest.mark.parametrize(
    ("quit_at", "status", "end"),
    [
        (None, signal.SIGKILL, Exit.CRASHED),
        (1.0, signal.SIGKILL, Exit.LEFT),
        (None, signal.SIGTERM, Exit.ENDED_AT_START),
    ],
)
def test_a_maintenance_process_counts_for_no_jobs(
    quit_at: float | None, status: int, end: Exit
) -> None:
    (row,) = Scoreboard(1, 5).rows
    row.kind, row.suspects_seen = Kind.MAINTENANCE, 1
    accounts = Accounts()
    accounts.dry = True
    child = Child(11, "host:1:q", 1, row, quit_at=quit_at)
    assert accounts.note_end(child, status) is end
    assert (accounts.dry, accounts.to_recover) == (True, [])
    assert accounts.has_new_suspects([])
