"""How a worker process leaves that holds nothing any more."""

from __future__ import annotations

import logging
from functools import partial

from gevent import Timeout

from gresque.failure.failure_reporter import FINISH_SECONDS, FailureReporter
from gresque.forked import end_processes
from gresque.jobs.hooks import process_hooks
from gresque.logs import fields
from gresque.processes.scoreboard import Row
from gresque.processes.state import ProcessState
from gresque.text import counted
from gresque.worker.shutdown import Shutdown
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.notifier import Notifier
from gresque.worker.turns.registration import Registration
from gresque.worker.turns.turn_loop import TurnLoop

log = logging.getLogger("gresque.worker")

UNREGISTER_TRIES = 3


def end_user_code(failures: FailureReporter, shutdown: Shutdown) -> None:
    """Wait for failure reports that are under way, run the `worker_exit` hooks, and end the
    processes that jobs have left in pools and the like."""
    failures.finish(shutdown.seconds_left(FINISH_SECONDS))
    if process_hooks.has("worker_exit"):
        process_hooks.run("worker_exit")
    try:
        end_processes(lambda: Timeout(max(shutdown.seconds_left(FINISH_SECONDS), 0), False))
    except Exception:
        log.exception(
            "cannot end the processes that jobs have left", extra=fields("end_processes_failed")
        )


def unregister(
    cycle: Cycle, turns: TurnLoop, notifier: Notifier, registration: Registration
) -> None:
    """Take this process out of Redis. Jobs that Redis refuses to move stay in its ledger."""
    cycle.ask(notifier.stand_down)
    for _ in range(UNREGISTER_TRIES):
        left = cycle.ask(partial(registration.unregister, cycle.number))
        if left <= len(cycle.refused):
            return
        turns.turn(0)  # Redis has forgotten how jobs ended: it is brought up to date


def note_end(row: Row, refused: int) -> None:
    """Write the last state. `refused`: how many jobs Redis refuses to move."""
    if refused:
        log.error(
            "left with %s in the ledger that Redis refuses to move; recovery takes over",
            counted(refused, "job"),
            extra=fields("left_holding", jobs=refused),
        )
        row.enter(ProcessState.LEFT_HOLDING)
    else:
        dry = row.state is ProcessState.DRY
        row.enter(ProcessState.LEFT_DRY if dry else ProcessState.LEFT)
