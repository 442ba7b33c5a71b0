"""The meaning of each end of a job. Pure.

The threads of a worker, give-backs and recovery ask `effects_of`. What is taken out by hand has no
effects, so nothing asks about it. An end goes by the job's declaration where that is known, then by
the envelope, which says what the declaration said when the job was enqueued, then by the settings:
a process that recovers a job may lack its code, and a payload of another program has no envelope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from gresque.jobs import payload
from gresque.jobs.crash_history import add_death, recoveries
from gresque.jobs.definition import DIRTY_EXITS, JobDefinition
from gresque.jobs.envelope import DIRTY_EXIT, member, members_of
from gresque.settings import DEFAULT_FAILURE_BACKEND, Settings
from gresque.store.effects import Effect, failed, requeued, suspected
from gresque.store.failed_list_name import failed_list_name
from gresque.store.keys import Keys


class End(Enum):
    """How a job left the place where it was."""

    DONE = auto()
    """It returned, or a hook skipped it."""
    FAILED = auto()
    """It raised, ran out of its time, or no job of its name is declared."""
    EXPIRED = auto()
    """No worker took it up in time."""
    KILLED = auto()
    """By an operator; or it raised JobKilled itself."""
    CUT_SHORT = auto()
    """By a shutdown."""
    UNREADABLE = auto()
    """The item is no job, or its entry in the ledger is none."""
    GIVEN_BACK = auto()
    """It was reserved, and did not start."""
    DIED = auto()
    """Its process died while it held the job, which may be the reason."""
    DIED_BESIDE = auto()
    """Its process died, and not because of this job."""
    BLAMED = auto()
    """Its process had to be killed because of it."""
    DEQUEUED = auto()
    QUEUE_REMOVED = auto()
    RETRIED = auto()
    """By hand, from its failure entry."""
    ENTRY_REMOVED = auto()
    """The entry of its failure was removed by hand."""


BY_HAND = frozenset({End.DEQUEUED, End.QUEUE_REMOVED, End.RETRIED, End.ENTRY_REMOVED})
DIRTY = frozenset({End.CUT_SHORT, End.DIED, End.DIED_BESIDE})
"""The job was cut off in the middle; what becomes of it is its declaration's to say."""


class Way(Enum):
    """Where an end leads, and what it counts as."""

    DONE = auto()
    FAILED = auto()
    POISON = auto()
    """A failure: too many processes died under the job."""
    BACK = auto()
    """To the head of its queue, or to the suspects of that."""
    GONE = auto()
    """The job was not taken by a worker, so it counts as nothing."""


@dataclass(frozen=True)
class EndRules:
    """The settings of a worker about ends, and the keys that effects name."""

    keys: Keys
    on_dirty_exit: str = "requeue"
    max_recoveries: int = 0
    failure_backend: str = DEFAULT_FAILURE_BACKEND

    @classmethod
    def of(cls, keys: Keys, settings: Settings) -> EndRules:
        return cls(keys, settings.on_dirty_exit, settings.max_recoveries, settings.failure_backend)


class EndedJob(NamedTuple):
    queue: str
    raw: bytes
    """Its payload, as it came."""
    death: str = ""
    """For DIED: the process and the time, as the crash history has it."""


class Ending(NamedTuple):
    """The outcome of an end."""

    way: Way
    effects: tuple[Effect, ...] = ()
    raw: bytes = b""
    """The payload that goes on, with its history."""


MakeEntry = Callable[[Way, bytes], bytes]
"""Writes the failure entry of a job that has ended this way, with this payload. Called only for a
failure that leaves one."""


def effects_of(
    job: EndedJob,
    end: End,
    definition: JobDefinition | None,
    rules: EndRules,
    make_entry: MakeEntry | None = None,
) -> Ending:
    """Where a job goes, and the effects that take it there. Without `make_entry` a failure leaves
    no entry."""
    if end is End.DONE or (end is End.EXPIRED and definition and definition.on_expire == "drop"):
        return Ending(Way.DONE)
    if end in BY_HAND:
        return Ending(Way.GONE)
    if end is End.GIVEN_BACK:
        return _back(job.queue, job.raw, rules)
    if end in DIRTY and dirty_exit(job.raw, definition, rules) == "requeue":
        # Also when a field that is not read is broken: such a job runs, and may be to blame.
        if end is End.DIED and payload.class_of(job.raw) is not None:
            return _after_death(job, definition, rules, make_entry)
        return _back(job.queue, job.raw, rules)
    return _failure(Way.FAILED, job.queue, job.raw, definition, rules, make_entry)


def dirty_exit(raw: bytes, definition: JobDefinition | None, rules: EndRules) -> str:
    """Whether a job that is cut short is put back or fails: `requeue` or `fail`."""
    if definition is not None and definition.on_dirty_exit:
        return definition.on_dirty_exit
    declared = member(members_of(raw), DIRTY_EXIT, str)
    return declared if declared in DIRTY_EXITS else rules.on_dirty_exit


def _after_death(
    job: EndedJob, definition: JobDefinition | None, rules: EndRules, make_entry: MakeEntry | None
) -> Ending:
    """The death counts on the job. After the last one that it may see the job fails."""
    raw = add_death(job.raw, job.death)
    if 0 < rules.max_recoveries <= recoveries(raw):
        return _failure(Way.POISON, job.queue, raw, definition, rules, make_entry)
    return _back(job.queue, raw, rules)


def _back(queue: str, raw: bytes, rules: EndRules) -> Ending:
    """A suspect goes to the list of suspects, from any list."""
    deaths = recoveries(raw) if b'"recoveries"' in raw else 0
    keys = rules.keys
    effect = suspected(keys, queue, deaths) if deaths else requeued(keys, queue)
    return Ending(Way.BACK, (effect,), raw)


def _failure(
    way: Way,
    queue: str,
    raw: bytes,
    definition: JobDefinition | None,
    rules: EndRules,
    make_entry: MakeEntry | None,
) -> Ending:
    if make_entry is None or (definition is not None and definition.skip_failed_queue):
        return Ending(way, raw=raw)
    place = failed_list_name(rules.failure_backend, rules.keys, queue)
    return Ending(way, (failed(place.key, make_entry(way, raw), place.name),), raw)
