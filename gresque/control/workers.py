"""Pruning a dead worker of another program by hand, as its own kind would do it."""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec

from gresque.clock import duration, parse_iso_8601
from gresque.control.audit import acting
from gresque.errors import GresqueError
from gresque.failure.entry import encode_entry
from gresque.inspector.other_workers import RUBY_PRUNES_SECONDS, ping_time, queues_of_other
from gresque.inspector.workers import GONE_SECONDS
from gresque.jobs import payload
from gresque.logs import fields
from gresque.settings import DEFAULT_FAILURE_BACKEND
from gresque.store.failed_list_name import failed_list_name
from gresque.store.store import Store
from gresque.store.workers import KnownWorker, PrunedJob
from gresque.text import counted, decoded, printable

log = logging.getLogger("gresque.control")

EXCEPTION = "Resque::PruneDeadWorkerDirtyExit"
NO_CLASS = "<Unknown Job>"
UNREADABLE = "unreadable"
"""The queue of a job that names none, where its worker names none either. A retry needs one."""
TRIES = 5


class NotPruned(GresqueError):
    """The worker is not known, or not to be pruned."""


class _Working(msgspec.Struct):
    """The job of a worker, as Ruby, Node and PHP publish it."""

    queue: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"null")


class LostJob(NamedTuple):
    """A job that a dead worker ran."""

    thread: str
    queue: str
    name: str
    """Its class."""
    raw: bytes
    is_item: bool


class Pruned(NamedTuple):
    """A worker that is to be pruned, or was. `heartbeat_age_seconds` is None where its program
    gives no heartbeat."""

    worker: str
    heartbeat_age_seconds: float | None
    jobs: tuple[LostJob, ...]

    @property
    def last_seen(self) -> str:
        age = self.heartbeat_age_seconds
        return "without a heartbeat" if age is None else f"last heartbeat {duration(age)} ago"


def look_at(store: Store, worker_id: str, *, force: bool = False) -> Pruned:
    """What pruning this worker would do. Raises NotPruned where it is not to be pruned."""
    return _judge(store, _known(store, worker_id), force)


def prune(
    store: Store,
    worker_id: str,
    *,
    by: str,
    force: bool = False,
    failure_backend: str = DEFAULT_FAILURE_BACKEND,
) -> Pruned:
    """Do what Ruby's own pruning does: the jobs that the worker ran go to the failed jobs as
    `Resque::PruneDeadWorkerDirtyExit`, and its keys are removed, in one step. Of a worker of
    gresque that has no process left, the keys are removed.

    Raises NotPruned, before anything is done, for an unknown worker, one with a fresh heartbeat
    unless `force`, and one of gresque's own that has processes: these are recovered.
    """
    with acting(store, by, "workers prune", f"worker {worker_id}") as act:
        for _ in range(TRIES):
            known = _known(store, worker_id)
            found = _judge(store, known, force)
            if known.is_own:
                store.workers.unregister(worker_id)
                break
            failures = [_failure(store, failure_backend, worker_id, each) for each in found.jobs]
            if store.workers.prune(known, failures):
                break
        else:
            raise NotPruned(f"worker {printable(worker_id)} is at work: its keys keep changing")
        act.count = 1
        act.outcome = f"pruned, {counted(len(found.jobs), 'job')} failed"
    log.info(
        "%s pruned worker %s; %s failed", by, printable(worker_id),
        counted(len(found.jobs), "job"),
        extra=fields("worker_pruned", by=by, worker_id=worker_id, jobs=len(found.jobs)),
    )  # fmt: skip
    return found


def _known(store: Store, worker_id: str) -> KnownWorker:
    known = store.workers.know(worker_id) if worker_id else None
    if known is None or not known.exists:
        raise NotPruned(f"no worker {printable(worker_id)!r}; gresque workers lists them")
    return known


def _judge(store: Store, known: KnownWorker, force: bool) -> Pruned:
    name = printable(known.id)
    if known.processes:
        raise NotPruned(
            f"worker {name} is gresque's and has {counted(known.processes, 'process', 'processes')}"
            "; should they be dead, any gresque work recovers them and their jobs within 70 s, see "
            "gresque ledger"
        )
    age = _age(store, known)
    fresh = GONE_SECONDS if known.is_own else RUBY_PRUNES_SECONDS
    if age is not None and age < fresh and not force:
        raise NotPruned(
            f"worker {name} gave a heartbeat {duration(age)} ago, and counts as dead after "
            f"{duration(fresh)}; if you know that it is dead, give --force"
        )
    jobs = () if known.is_own else _lost_jobs(known)
    return Pruned(known.id, age, jobs)


def _age(store: Store, known: KnownWorker) -> float | None:
    """A time that lies ahead is as good as now: its clock, or ours, is wrong."""
    beat = parse_iso_8601(decoded(known.heartbeat)) or ping_time(known.ping)
    return None if beat is None else max(store.server.now() - beat, 0.0)


def _lost_jobs(known: KnownWorker) -> tuple[LostJob, ...]:
    published = {"": known.job, **known.threads}
    found = (_lost_job(known.id, thread, raw) for thread, raw in published.items() if raw)
    return tuple(each for each in found if each is not None)


def _lost_job(worker_id: str, thread: str, raw: bytes) -> LostJob | None:
    """None where a worker says that it runs nothing."""
    try:
        working = msgspec.json.decode(raw, type=_Working)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return LostJob(thread, _likely_queue(worker_id), NO_CLASS, raw, False)
    item = bytes(working.payload)
    if item == b"null":
        return None
    name = payload.class_of(item) or NO_CLASS
    return LostJob(thread, working.queue or _likely_queue(worker_id), name, item, True)


def _likely_queue(worker_id: str) -> str:
    names = queues_of_other(worker_id).partition(":")[0].split(",")
    return next((name for name in names if name and not set(name) & set("*?[!~")), UNREADABLE)


def _failure(store: Store, failure_backend: str, worker_id: str, job: LostJob) -> PrunedJob:
    error = f"Worker {worker_id} did not gracefully exit while processing {job.name}"
    entry = encode_entry(job.raw, EXCEPTION, error, [], worker_id, job.queue, is_item=job.is_item)
    return PrunedJob(job.thread, failed_list_name(failure_backend, store.keys, job.queue), entry)
