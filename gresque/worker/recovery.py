"""Recovery: what a dead process held goes back to its queues, or fails where it is to fail."""

from __future__ import annotations

import logging
import time

from gresque.errors import DirtyExit, JobTimeout
from gresque.failure.entry import encode_entry, exception_name
from gresque.failure.own import Failure
from gresque.jobs import payload
from gresque.jobs.definition import dirty_exit
from gresque.jobs.registry import Registry, registry
from gresque.settings import DEFAULT_FAILURE_BACKEND, Settings
from gresque.store.data_store import DataStore, Move, encoded, text
from gresque.store.ledger import LedgerEntry, Totals
from gresque.worker.birth import Guilty
from gresque.worker.failures import Failures
from gresque.worker.identity import split_process_id
from gresque.worker.scoreboard import Verdict

log = logging.getLogger("gresque.recovery")

BATCH = 500
PRUNE_SECONDS = 60
"""Without a heartbeat for this long, by the server's clock, a process of another host is dead."""


class Recovery:
    """Recovers the ledgers of dead processes. Two that recover the same one do no harm."""

    def __init__(
        self,
        store: DataStore,
        registry: Registry,
        on_dirty_exit: str,
        failure_backend: str = DEFAULT_FAILURE_BACKEND,
    ) -> None:
        self.store = store
        self._registry = registry
        self._on_dirty_exit = on_dirty_exit
        self._failures = Failures(failure_backend, store.keys)
        self._untold: dict[bytes, Failure] = {}

    def recover(self, process_id: str, guilty: Guilty | None = None) -> Totals:
        """Empty the ledger of a dead process; returns its totals with those jobs in them.

        The `guilty` job, for whose sake the process had to die, fails.

        First the ledger is fenced, so that a process given up wrongly can settle nothing that
        is no longer its own; then each job moves in one atomic step. Raises RedisError; what was
        not moved by then stands in the ledger still.
        """
        held = self.store.fence(process_id)
        # Slots are given out in rising order; the last one moved comes to the head of its queue.
        entries = sorted(held.entries.items(), key=lambda item: (len(item[0]), item[0]))
        guilty_slot = b"" if guilty is None else str(guilty.slot).encode()
        moves = [
            self._move(process_id, slot, entry, guilty if slot == guilty_slot else None)
            for slot, entry in reversed(entries)
        ]
        recovered = Totals()
        for start in range(0, max(len(moves), 1), BATCH):
            moved = self.store.recover(process_id, moves[start : start + BATCH])
            recovered += Totals(requeued=moved.requeued, failed=moved.failed)
            self._tell(moved.failed_slots)
        if moves:
            log.warning(
                "recovered %d jobs of the dead process %s: %d requeued, %d failed",
                len(moves),
                process_id,
                recovered.requeued,
                recovered.failed,
            )
        return held.totals + recovered

    def _move(
        self, process_id: str, slot: bytes, entry: LedgerEntry, guilty: Guilty | None
    ) -> Move:
        queue = text(entry.queue_key).removeprefix(self.store.keys.queue_prefix)
        name = payload.loads(entry.raw).get("class")
        definition = self._registry.find(name) if isinstance(name, str) else None
        if dirty_exit(definition, self._on_dirty_exit) == "requeue" and guilty is None:
            return Move(slot, "requeue", entry.queue_key, entry.raw, queue)
        if definition is not None and definition.skip_failed_queue:
            return Move(slot, "fail", b"", b"", "")
        error: BaseException = DirtyExit(f"its process died: {process_id}")
        if guilty is not None and guilty.verdict is Verdict.KILLED:
            error = DirtyExit(f"Job was killed, and did not die without its process: {process_id}")
        elif guilty is not None:
            error = JobTimeout(
                f"it ran over its time, and did not end without its process: {process_id}"
            )
        stack = [] if guilty is None else list(guilty.stack)
        worker_id, _ = split_process_id(process_id)
        name = exception_name(error)
        failed = encode_entry(entry.raw, name, str(error), stack, worker_id, queue)
        if self._failures.told:
            self._untold[slot] = Failure(
                queue, worker_id, entry.raw, error, name, str(error), stack, time.time()
            )
        list_key, list_name = self._failures.place(queue)
        return Move(slot, "fail", encoded(list_key), failed, list_name)

    def _tell(self, failed_slots: list[bytes]) -> None:
        """Tell of what this recovery failed; what another one moved, that one tells of."""
        for slot in failed_slots:
            if slot in self._untold:
                self._failures.tell(self._untold.pop(slot))

    def close(self) -> None:
        self._failures.part()
        self.store.redis.close()


def recovery_for(settings: Settings) -> Recovery:
    """A Recovery with a Redis client of its own."""
    store = DataStore(settings.redis_url, settings.namespace)
    return Recovery(store, registry, settings.on_dirty_exit, settings.failure_backend)
