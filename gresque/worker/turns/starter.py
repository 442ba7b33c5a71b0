"""Starting unique jobs that need a script for it: one trip for all that wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from gresque.connection.scripts import script
from gresque.jobs import payload
from gresque.jobs.locks import job_id_of
from gresque.jobs.unique import mark_in
from gresque.logs import fields
from gresque.store.keys import Keys
from gresque.store.refusals import name_refused, pairs
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from gresque.worker.turns.session import Session

log = logging.getLogger("gresque.worker")

MOST_JOBS = 400
"""The most jobs of one trip: with three keys and six arguments each they stay under the 3,900 that
every server takes."""
REFUSED = "jobs that must not run beside others wait for another minute; others run"


class Starter:
    """Sends `start.lua` for the jobs that threads have found to need it (`InFlight.starting`).

    1. A job of mode `queued` gives up its lock, so that an enqueue from now on makes a new one.
    2. A job for which the lock may hold another payload takes that one.
    3. A job of mode `running` takes its lock; where another job has it, it is put off.

    What has started goes to the front of `InFlight.ready`; its slot stands in `InFlight.started`.
    """

    def __init__(self, session: Session, keys: Keys, in_flight: InFlight, process_id: str) -> None:
        self._session = session
        self._keys = keys
        self._in_flight = in_flight
        self._process_id = process_id
        self.on_replaced: Callable[[ReservedJob, ReservedJob], None] = lambda old, new: None
        """Called for a job that starts with another payload."""
        self.on_locked_out: Callable[[ReservedJob], bool] = lambda job: False
        """Called for a job whose lock another one has; True where that has ended it."""

    def start(self) -> bool:
        """Start the jobs that wait for it. False when the server has forgotten turns, so that a
        turn must go first. Raises CutOff."""
        in_flight = self._in_flight
        jobs = in_flight.starting[:MOST_JOBS]
        in_flight.being_started = len(jobs)
        try:
            reply = self._session.ask(partial(self._send, jobs))
        finally:
            in_flight.being_started = 0
        if reply == b"turn":
            return False
        answers, refused = reply
        del in_flight.starting[: len(jobs)]
        started = []
        for job, answer in zip(jobs, answers, strict=True):
            if answer == 0 or answer == -1:
                if self.on_locked_out(job):
                    continue
                in_flight.lock_out(job)
                log.debug(
                    "job of queue %s waits for its lock", job[1],
                    extra=fields("locked_out", queue=job[1]),
                )  # fmt: skip
                continue
            if isinstance(answer, bytes) and answer != job[2]:
                replaced = job[0], job[1], answer
                self.on_replaced(job, replaced)
                job = replaced
            in_flight.started[job[0]] = None
            started.append(job)
        in_flight.ready.extendleft(reversed(started))
        name_refused(self._keys, pairs(refused), REFUSED)
        return True

    def _send(self, jobs: list[ReservedJob]) -> Any:
        keys, made = self._keys, [self._keys.ledger(self._process_id), self._keys.queues]
        arguments: list[Any] = [self._session.number, self._process_id]
        for slot, queue, raw in jobs:
            mark = mark_in(raw)
            assert mark is not None
            made += keys.unique(mark.digest), keys.queue(queue), keys.unique_waiting(mark.digest)
            name = payload.class_of(raw) or ""
            arguments += slot, mark.mode, int(mark.replaced), job_id_of(raw), name, queue
        return self._session.connection.run(script("start"), len(made), *made, *arguments)
