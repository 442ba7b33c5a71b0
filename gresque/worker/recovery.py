"""Recovery: what a dead process held goes back to its queues, or fails where it is to fail."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.exceptions import RedisError

from gresque.clock import iso_8601
from gresque.errors import DirtyExit, InvalidPayload, JobTimeout, PoisonJob
from gresque.failure.entry import encode_entry
from gresque.failure.failure_reporter import FailureReporter
from gresque.failure.reporters import Failure
from gresque.jobs import payload
from gresque.jobs.crash_history import deaths, recoveries
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ends import Attempt, End, EndedJob, Ending, EndRules, Way, effects_of, next_run
from gresque.jobs.registry import Registry, registry
from gresque.jobs.retry_policy import Again
from gresque.logs import fields
from gresque.processes.identity import queues_of, split_process_id, worker_of
from gresque.processes.scoreboard import KillReason
from gresque.processes.spec import DeadProcess
from gresque.raised import exception_name
from gresque.settings import DEFAULT_FAILURE_BACKEND, Settings
from gresque.store.bulk import in_bulks
from gresque.store.commands import Fate, KillAnswer
from gresque.store.effects import KINDS, Effect
from gresque.store.ledger import UNCOUNTED, HeldLedger, LedgerEntry, Totals, Unreadable
from gresque.store.recovery import Counting, Move, StillAlive
from gresque.store.refusals import name_refused
from gresque.store.store import Store
from gresque.text import counted, decoded, printable, shell
from gresque.unpatched import original

log = logging.getLogger("gresque.recovery")

OWN_CODE_SECONDS = 1.0
"""How long a recovery waits for the back-off function of a job."""

MOST_RUNG = 1000
"""The most queues of a dead process's counted jobs that are announced to processes that found them
full."""
BATCH = 3780
"""Keys and arguments of the jobs of one call: with the others they stay under the 3,900 that every
server takes.
"""
REFUSED = (
    "jobs that belong there stay in the ledger of their dead process and are tried again; counters "
    "and notes are left out"
)

WITHOUT_ENTRY = Effect("fail", "")
UNREADABLE = "unreadable"
"""The queue of a failed ledger entry that names none, where its process names none either. A retry
needs one."""


class Failed(NamedTuple):
    """The data of the failure entry of a job."""

    error: BaseException
    backtrace: list[str]


class Recovery:
    """Recovers the ledgers of dead processes. Two that recover the same one do no harm.

    The readable jobs of every ledger are recovered; entries that cannot be read end among the
    failed jobs. A job that Redis refuses to take, because its queue or the failed list is of
    another type, stays in the ledger: the next one that finds the process dead tries again.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        on_dirty_exit: str,
        max_recoveries: int,
        failure_backend: str = DEFAULT_FAILURE_BACKEND,
        retries: int = 0,
    ) -> None:
        self.store = store
        self._registry = registry
        self._rules = EndRules(store.keys, on_dirty_exit, max_recoveries, failure_backend, retries)
        self._failures = FailureReporter(failure_backend)
        self._unreported: dict[bytes, Failure] = {}
        self.has_found_suspects = False
        """A job that it moved is a suspect: a process may be needed that takes those."""

    def recover(self, dead: DeadProcess) -> Totals:
        """Empty the ledger of a dead process and remove it; returns the totals of the process, with
        the jobs that were held in them. Raises RedisError."""
        try:
            totals = self.empty(dead)
        except StillAlive:
            return Totals()
        self.remove(dead)
        return totals

    def empty(self, dead: DeadProcess) -> Totals:
        """The first part of `recover`: the ledger stays, with the totals alone. Called again, it
        returns the same.

        First the ledger is fenced, so that a process given up wrongly can settle nothing that
        is no longer its own; then each job moves in one atomic step. Raises RedisError; what was
        not moved by then stands in the ledger still. Raises StillAlive.
        """
        held = self.store.recovery.fence(dead.process_id, dead.beat)
        self._name_unreadable(dead.process_id, held)
        now = iso_8601(self.store.now())
        # Slots are given out in rising order; the last one moved comes to the head of its queue.
        entries = sorted(held.entries.items(), key=lambda item: (len(item[0]), item[0]))
        moves = [self._move(dead, now, slot, entry) for slot, entry in reversed(entries)]
        moves += [self._fail_unreadable(dead, slot, each) for slot, each in held.unreadable.items()]
        self.has_found_suspects |= any(move.action == "suspect" for move in moves)
        counting = self._counting(dead.process_id, held.entries.values())
        recovered, left = Totals(), 0
        for batch in _batches(moves, len(counting.queues)):
            moved = self.store.recovery.move(dead.process_id, batch, counting)
            recovered += Totals(requeued=moved.requeued, failed=moved.failed, retried=moved.retried)
            left = moved.left
            self._report(moved.failed_slots)
            name_refused(self.store.keys, moved.refused, REFUSED)
        moved_jobs = recovered.requeued + recovered.failed + recovered.retried
        if moved_jobs:
            log.warning(
                "recovered %s of the dead process %s (%s): %d requeued, %d failed%s%s",
                counted(moved_jobs, "job"),
                printable(dead.process_id),
                dead.cause,
                recovered.requeued,
                recovered.failed,
                f", {recovered.retried} retried" if recovered.retried else "",
                f", {left} left in its ledger, as Redis refused them" if left else "",
                extra=fields(
                    "process_recovered",
                    process_id=dead.process_id,
                    cause=dead.cause,
                    requeued=recovered.requeued,
                    failed=recovered.failed,
                    retried=recovered.retried,
                    left=left,
                ),
            )
        if not left:  # else the recovery that empties it does so
            self._answer_kills(dead, held.entries, moves)
        self.store.maintenance.write_vitals({}, [dead.process_id])
        self._forget_threads(dead.process_id)
        queues = queues_of(dead.process_id)
        if queues is not None:
            for line in (queues, worker_of(dead.process_id)):  # by worker where its list has caps
                self.store.recovery.hand_over(line, dead.process_id)
        if dead.counted:
            return recovered
        return (held.totals if held.is_fenced else dead.totals) + recovered

    def remove(self, dead: DeadProcess) -> None:
        """Remove an emptied ledger, and log the recovery; one with jobs that Redis refused to move
        stays. Raises RedisError."""
        entry = _log_entry(dead, iso_8601(self.store.now()))
        self.store.recovery.remove(dead.process_id, entry)

    def _forget_threads(self, process_id: str) -> None:
        with suppress(ValueError):  # a name of another format
            self.store.workers.forget_threads(*split_process_id(process_id))

    def _name_unreadable(self, process_id: str, held: HeldLedger) -> None:
        ledger = printable(self.store.keys.ledger(process_id))
        if held.broken_state is not None and held.entries:
            log.error(
                "the field state of %s cannot be read: %r; its totals count as 0",
                ledger,
                held.broken_state[:100],
                extra=fields("ledger_unreadable", process_id=process_id),
            )
        if held.unreadable:
            slot, first = next(iter(held.unreadable.items()))
            log.error(
                "%s in %s cannot be read (%r: %s); each goes to the failed jobs as %s, see gresque "
                "failed",
                counted(len(held.unreadable), "entry", "entries"),
                ledger,
                slot[:100],
                first.reason,
                payload.INVALID,
                extra=fields(
                    "entries_unreadable", process_id=process_id, entries=len(held.unreadable)
                ),
            )

    def _fail_unreadable(self, dead: DeadProcess, slot: bytes, unreadable: Unreadable) -> Move:
        error = InvalidPayload(
            f"the entry in slot {slot[:100]!r} of the ledger of {dead.process_id} cannot be read: "
            f"{unreadable.reason}"
        )
        job = EndedJob(_likely_queue(dead.process_id), unreadable.raw)
        return self._end(dead, slot, job, End.UNREADABLE, None, error)

    def _answer_kills(
        self, dead: DeadProcess, entries: Mapping[bytes, LedgerEntry], moves: list[Move]
    ) -> None:
        """Answer the commands that asked the process to kill a job."""
        try:
            for token, job_id in self.store.commands.kills(dead.process_id).items():
                answer = _fate(dead, job_id, entries, moves)
                self.store.commands.give_answer(token, answer)
        except RedisError as error:  # a key of another type; callers do not wait for long
            unanswered = fields("kills_unanswered", process_id=dead.process_id)
            log.warning("kill commands cannot be answered: %s", error, extra=unanswered)

    def _move(self, dead: DeadProcess, now: str, slot: bytes, entry: LedgerEntry) -> Move:
        """The way of one job out of the ledger. The job that the process had to be killed for
        fails, and the others are innocent then. Else each may be what ended the process."""
        definition = self._find(entry.raw)
        job = EndedJob(self._queue(entry), entry.raw, f"{dead.process_id} at {now}")
        blamed = dead.blamed
        if blamed is not None and slot == str(blamed.slot).encode():
            error = _sentence(dead.process_id, blamed.kill_reason)
            end = End.BLAMED if blamed.kill_reason is KillReason.KILLED else End.TIMED_OUT
            return self._end(dead, slot, job, end, definition, error, blamed.stack)
        innocent = blamed is not None or dead.blameless
        died = DirtyExit(f"its process died: {dead.process_id} ({dead.cause})")
        end = End.DIED_BESIDE if innocent else End.DIED
        return self._end(dead, slot, job, end, definition, died)

    def _counting(self, process_id: str, entries: Iterable[LedgerEntry]) -> Counting:
        """Its worker, and the queues of its counted jobs. Processes that wait for room in further
        queues find it at their fallback poll."""
        queues = {self._queue(each) for each in entries if each.flag != UNCOUNTED}
        return Counting(worker_of(process_id), sorted(queues)[:MOST_RUNG])

    def _end(
        self,
        dead: DeadProcess,
        slot: bytes,
        job: EndedJob,
        end: End,
        definition: JobDefinition | None,
        error: BaseException,
        backtrace: Sequence[str] = (),
    ) -> Move:
        """`error` and `backtrace` are for the entry of a failure."""

        def make_entry(way: Way, raw: bytes) -> bytes:
            if way is Way.POISON:
                found = Failed(_poison(dead, raw), deaths(raw)[::-1])
            else:
                found = Failed(error, list(backtrace))
            return self._entry(dead, slot, job.queue, raw, found, end)

        now = time.time()
        rules = self._rules
        try:
            if end is End.TIMED_OUT:
                again = _in_time(lambda: next_run(job, end, definition, rules, error, now))
            else:
                again = next_run(job, end, definition, rules, error, now)
        except BaseException:  # its own back-off function, which may raise SystemExit
            again = next_run(job, end, definition, self._rules, error, now, own_delays=False)
        attempt = Attempt(exception_name(error), str(error), now, again)
        ending = effects_of(job, end, definition, self._rules, make_entry, attempt)
        if ending.way is Way.POISON:
            # The rest of the item may be unreadable.
            name, job_id = payload.class_of(ending.raw), payload.loads(ending.raw).get("id")
            log.error(
                "given up as poison, %s: %s %s from %s%s",
                _poison(dead, ending.raw),
                name,
                job_id or "without an id",
                job.queue,
                f"; {shell('gresque', 'failed', 'show', job_id)}"
                if job_id and ending.is_kept
                else "",
                extra=fields(
                    "job_poisoned",
                    job_id=job_id,
                    job=name,
                    queue=job.queue,
                    process_id=dead.process_id,
                ),
            )
        return _as_move(slot, ending)

    def _entry(
        self,
        dead: DeadProcess,
        slot: bytes,
        queue: str,
        raw: bytes,
        failed: Failed,
        end: End,
    ) -> bytes:
        worker_id, text = worker_of(dead.process_id), str(failed.error)
        name = exception_name(failed.error)
        if self._failures.has_backends:
            self._unreported[slot] = Failure(
                queue, worker_id, raw, failed.error, name, text, failed.backtrace, time.time()
            )
        is_item = end is not End.UNREADABLE
        return encode_entry(raw, name, text, failed.backtrace, worker_id, queue, is_item=is_item)

    def _report(self, failed_slots: list[bytes]) -> None:
        """Report what this recovery failed; what another one moved is reported by that one."""
        for slot in failed_slots:
            if slot in self._unreported:
                self._failures.report(self._unreported.pop(slot))

    def _find(self, raw: bytes) -> JobDefinition | None:
        return self._registry.of(raw)

    def _queue(self, entry: LedgerEntry) -> str:
        return self.store.keys.queue_of(decoded(entry.queue_key)) or UNREADABLE

    def close(self) -> None:
        self._failures.finish()
        self.store.close()


def _as_move(slot: bytes, ending: Ending) -> Move:
    """An end has one carrier, before its other effects, or it is a failure without an entry."""
    effect, more = WITHOUT_ENTRY, ending.effects
    if more and KINDS[more[0].kind].carrier:
        effect, *rest = more
        more = tuple(rest)
    action = "poison" if ending.way is Way.POISON else effect.kind
    return Move(slot, action, b"" if effect.kind == "fail" else ending.raw, effect, more)


def _batches(moves: list[Move], others: int) -> Iterator[list[Move]]:
    """Split the moves into calls that have room for `others` keys beside them. There is at least
    one call, which asks how many jobs are left."""
    if not moves:
        yield []
    most = (BATCH - others) // max((move.arguments for move in moves), default=1)
    yield from in_bulks(moves, lambda move: move.size, most)


def _poison(dead: DeadProcess, raw: bytes) -> PoisonJob:
    died = counted(recoveries(raw), "process", "processes")
    return PoisonJob(f"{died} died while holding it, the last: {dead.cause}")


def _sentence(process_id: str, kill_reason: KillReason) -> BaseException:
    if kill_reason is KillReason.KILLED:
        return DirtyExit(f"Job was killed, and did not die without its process: {process_id}")
    return JobTimeout(f"it ran over its time, and did not end without its process: {process_id}")


def _likely_queue(process_id: str) -> str:
    """The first of the process's queues that is named in full."""
    names = (queues_of(process_id) or "").split(",")
    return next((name for name in names if name and not set(name) & set("*?[!~")), UNREADABLE)


def _fate(
    dead: DeadProcess, job_id: str, entries: Mapping[bytes, LedgerEntry], moves: list[Move]
) -> KillAnswer:
    """The fate of the job with this id in this recovery."""
    for move in moves:
        entry = entries.get(move.slot)
        if entry is None or str(payload.loads(entry.raw).get("id")) != job_id:
            continue
        if KINDS[move.effect.kind].counts != "failed":
            return KillAnswer(Fate.DIED_REQUEUED)
        in_failed = bool(move.effect.key)
        if dead.blamed is not None and move.slot == str(dead.blamed.slot).encode():
            return KillAnswer(Fate.REPLACED, in_failed)
        return KillAnswer(Fate.DIED_FAILED, in_failed)
    return KillAnswer(Fate.DIED_WITHOUT)


def _log_entry(dead: DeadProcess, now: str) -> bytes:
    """As `Recoveries.remove` wants it."""
    by = f"{socket.gethostname()}:{os.getpid()}"
    logged = {"at": now, "process": printable(dead.process_id), "cause": dead.cause, "by": by}
    return json.dumps(logged).encode()[:-1]


def recovery_for(settings: Settings) -> Recovery:
    """A Recovery with a Redis client of its own."""
    store = Store(settings.redis_url, settings.namespace)
    return Recovery(
        store,
        registry,
        settings.on_dirty_exit,
        settings.max_recoveries,
        settings.failure_backend,
        settings.retries,
    )


def _in_time(call: Callable[[], Again | None]) -> Again | None:
    """What a call of a job's own code returns or raises. It runs in a native thread: what it waits
    for, all that its process held would wait for. Raises TimeoutError after a second; the thread is
    left to itself then."""
    results: list[Again | None] = []
    errors: list[BaseException] = []
    done = original("_thread", "allocate_lock")()
    done.acquire()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.release()

    original("_thread", "start_new_thread")(run, ())
    if not done.acquire(timeout=OWN_CODE_SECONDS):
        raise TimeoutError
    if errors:
        raise errors[0]
    return results[0]
