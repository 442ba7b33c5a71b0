"""Asking worker processes where their greenlets stand."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any

from gresque.control.targets import find_running
from gresque.logs import fields
from gresque.processes.short_names import processes_named
from gresque.store.commands import Command
from gresque.store.store import Store
from gresque.text import counted

log = logging.getLogger("gresque.control")

FIRST_LOOK_SECONDS = 0.02
LONGEST_LOOK_SECONDS = 0.2

Stacks = dict[str, list[dict[str, Any]] | None]
"""Process -> its greenlets; None for one that did not answer in time."""


def read_stacks(
    store: Store, target: str | None = None, *, by: str, wait_seconds: float
) -> Stacks | None:
    """The greenlets of all processes, or of one; of all those of a worker or of a host; or of the
    job with an id alone. Short names will do (see `processes.short_names`). None when nothing is
    named `target`. Raises AmbiguousId."""
    processes = store.processes.ids()
    if target is None:
        return ask_stacks(store, processes, by=by, wait_seconds=wait_seconds)
    named = processes_named(processes, target)
    if named:
        return ask_stacks(store, named, by=by, wait_seconds=wait_seconds)
    job_id, found = find_running(store, target, processes)
    if not found:
        return None
    holders = list(dict.fromkeys(held.process for held in found))
    return ask_stacks(store, holders, by=by, wait_seconds=wait_seconds, job_id=job_id)


def ask_stacks(
    store: Store, processes: Sequence[str], *, by: str, wait_seconds: float, job_id: str = ""
) -> Stacks:
    """Ask these processes in one round trip, and look at all answers in one round trip each time.
    With a `job_id` they answer with the greenlets of that job alone."""
    commands = {
        process: Command("stacks", secrets.token_hex(8), job_id, by) for process in processes
    }
    log.info(
        "%s asks %s for their stacks",
        by,
        counted(len(processes), "process", "processes"),
        extra=fields("stacks_requested", by=by, processes=len(processes), job_id=job_id or None),
    )
    store.commands.give(commands)
    found: Stacks = dict.fromkeys(commands)
    deadline = time.monotonic() + wait_seconds
    pause = FIRST_LOOK_SECONDS
    while (missing := [each for each, answer in found.items() if answer is None]) and (
        time.monotonic() <= deadline
    ):
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_LOOK_SECONDS)
        answers = store.commands.answers([commands[each].token for each in missing])
        found.update(zip(missing, answers, strict=True))
    return found
