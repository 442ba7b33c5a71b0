"""Recovery: what a dead process held goes back to its queues, or fails where it is to fail."""

from __future__ import annotations

import json
import logging
import os
import socket
import time

from gresque.errors import DirtyExit, JobTimeout, PoisonJob
from gresque.failure.entry import encode_entry
from gresque.failure.own import Failure
from gresque.jobs import payload
from gresque.jobs.deaths import add_death, deaths, recoveries
from gresque.jobs.definition import JobDefinition, dirty_exit
from gresque.jobs.registry import Registry, registry
from gresque.raised import exception_name
from gresque.settings import DEFAULT_FAILURE_BACKEND, Settings
from gresque.store.data_store import DataStore, Move, StillAlive, encoded, text
from gresque.store.ledger import LedgerEntry, Totals
from gresque.worker.birth import Estate
from gresque.worker.failures import Failures
from gresque.worker.identity import queues_of, split_process_id
from gresque.worker.scoreboard import Verdict

log = logging.getLogger("gresque.recovery")

BATCH = 500


class Recovery:
    """Recovers the ledgers of dead processes. Two that recover the same one do no harm."""

    def __init__(
        self,
        store: DataStore,
        registry: Registry,
        on_dirty_exit: str,
        max_recoveries: int,
        failure_backend: str = DEFAULT_FAILURE_BACKEND,
    ) -> None:
        self.store = store
        self._registry = registry
        self._on_dirty_exit = on_dirty_exit
        self._max_recoveries = max_recoveries
        self._failures = Failures(failure_backend, store.keys)
        self._untold: dict[bytes, Failure] = {}

    def recover(self, dead: Estate) -> Totals:
        """Empty the ledger of a dead process; returns its totals with those jobs in them.

        First the ledger is fenced, so that a process given up wrongly can settle nothing that
        is no longer its own; then each job moves in one atomic step. Raises RedisError; what was
        not moved by then stands in the ledger still.
        """
        try:
            held = self.store.fence(dead.process_id, dead.beat)
        except StillAlive:
            return Totals()
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.store.now()))
        # Slots are given out in rising order; the last one moved comes to the head of its queue.
        entries = sorted(held.entries.items(), key=lambda item: (len(item[0]), item[0]))
        moves = [self._move(dead, now, slot, entry) for slot, entry in reversed(entries)]
        recovered = Totals()
        for start in range(0, max(len(moves), 1), BATCH):
            batch = moves[start : start + BATCH]
            moved = self.store.recover(dead.process_id, batch, _log_entry(dead, now))
            recovered += Totals(requeued=moved.requeued, failed=moved.failed)
            self._tell(moved.failed_slots)
        queues = queues_of(dead.process_id)
        if queues is not None:
            self.store.leave_bell(queues, dead.process_id)
        if moves:
            log.warning(
                "recovered %d jobs of the dead process %s (%s): %d requeued, %d failed",
                len(moves),
                dead.process_id,
                dead.cause,
                recovered.requeued,
                recovered.failed,
            )
        return held.totals + recovered

    def _move(self, dead: Estate, now: str, slot: bytes, entry: LedgerEntry) -> Move:
        """Where a job goes. What the process had to die for fails; then the others are innocent.
        Else each of them may be what killed it, and the death counts on it."""
        definition = self._find(entry.raw)
        guilty = dead.guilty
        if guilty is not None and slot == str(guilty.slot).encode():
            error = _sentence(dead.process_id, guilty.verdict)
            return self._failure(dead, slot, entry, definition, error, list(guilty.stack))
        if dirty_exit(definition, self._on_dirty_exit) != "requeue":
            died = DirtyExit(f"its process died: {dead.process_id} ({dead.cause})")
            return self._failure(dead, slot, entry, definition, died, [])
        raw = entry.raw
        if guilty is None and not dead.blameless and payload.is_object(raw):
            raw = add_death(raw, f"{dead.process_id} at {now}")
            if 0 < self._max_recoveries <= recoveries(raw):
                poison = PoisonJob(
                    f"{recoveries(raw)} processes died while they held it, the last: {dead.cause}"
                )
                log.error("given up as poison, %s: %s", poison, payload.loads(raw).get("class"))
                entry = LedgerEntry(entry.queue_key, raw)
                history = deaths(raw)[::-1]
                return self._failure(dead, slot, entry, definition, poison, history)
        return Move(slot, "requeue", entry.queue_key, raw, self._queue(entry))

    def _failure(
        self,
        dead: Estate,
        slot: bytes,
        entry: LedgerEntry,
        definition: JobDefinition | None,
        error: BaseException,
        backtrace: list[str],
    ) -> Move:
        action = "poison" if isinstance(error, PoisonJob) else "fail"
        if definition is not None and definition.skip_failed_queue:
            return Move(slot, action, b"", b"", "")
        queue, (worker_id, _) = self._queue(entry), split_process_id(dead.process_id)
        name = exception_name(error)
        failed = encode_entry(entry.raw, name, str(error), backtrace, worker_id, queue)
        if self._failures.told:
            self._untold[slot] = Failure(
                queue, worker_id, entry.raw, error, name, str(error), backtrace, time.time()
            )
        list_key, list_name = self._failures.place(queue)
        return Move(slot, action, encoded(list_key), failed, list_name)

    def _tell(self, failed_slots: list[bytes]) -> None:
        """Tell of what this recovery failed; what another one moved, that one tells of."""
        for slot in failed_slots:
            if slot in self._untold:
                self._failures.tell(self._untold.pop(slot))

    def _find(self, raw: bytes) -> JobDefinition | None:
        name = payload.loads(raw).get("class")
        return self._registry.find(name) if isinstance(name, str) else None

    def _queue(self, entry: LedgerEntry) -> str:
        return text(entry.queue_key).removeprefix(self.store.keys.queue_prefix)

    def close(self) -> None:
        self._failures.part()
        self.store.close()


def _sentence(process_id: str, verdict: Verdict) -> BaseException:
    if verdict is Verdict.KILLED:
        return DirtyExit(f"Job was killed, and did not die without its process: {process_id}")
    return JobTimeout(f"it ran over its time, and did not end without its process: {process_id}")


def _log_entry(dead: Estate, now: str) -> bytes:
    """As `DataStore.recover` wants it."""
    by = f"{socket.gethostname()}:{os.getpid()}"
    told = {"at": now, "process": dead.process_id, "cause": dead.cause, "by": by}
    return json.dumps(told).encode()[:-1]


def recovery_for(settings: Settings) -> Recovery:
    """A Recovery with a Redis client of its own."""
    store = DataStore(settings.redis_url, settings.namespace)
    return Recovery(
        store,
        registry,
        settings.on_dirty_exit,
        settings.max_recoveries,
        settings.failure_backend,
    )
