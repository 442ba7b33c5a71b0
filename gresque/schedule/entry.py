"""A schedule entry: when to enqueue which job. Pure.

It stands in Redis as JSON, so that the process that enqueues needs none of the job's code. The
enqueue middleware that it calls is that of this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from gresque.errors import GresqueError, ScheduleError
from gresque.jobs.envelope import CRON, SCHEDULED_FOR
from gresque.jobs.ids import new_id
from gresque.jobs.middleware import Message, enqueue_chain, with_meta
from gresque.jobs.payload import encode, split
from gresque.jobs.unique import KEY_SHOWN, UNIQUE
from gresque.schedule.every import Every
from gresque.schedule.line import CronLine
from gresque.schedule.ticks import CATCH_UP, Policy, Schedule
from gresque.seconds import is_number
from gresque.text import is_utf8

SOURCES = ("code", "file", "dynamic", "ruby")
"""The origins of an entry: a declaration in code, a schedule file, `schedules.set`, or a Ruby
program in `persistent_schedules`."""

OVERLAP = ("allow", "skip")
"""Whether a tick runs while an earlier job of its entry still waits or runs."""

_GAPS_TRIED = 50


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One entry. `cron` or `every` (seconds) says when; `job` is the "class" of its payloads."""

    name: str
    cron: str | None = None
    every: float | None = None
    tz: str = "UTC"
    job: str
    queue: str
    args: list[Any] = []
    catch_up: str = "one"
    max_late_seconds: float | None = 3600.0
    jitter_seconds: float = 0
    overlap: str = "allow"
    enabled: bool = True
    description: str = ""
    source: str = "dynamic"
    app: str = ""
    """The program whose code or file declares it."""
    envelope: dict[str, Any] | None = None
    """What its job's declaration adds to each payload."""
    expires_seconds: float | None = None
    unique: tuple[str, str, str] | None = None
    """The lock of a job that is declared as unique: its digest, its mode, and its key as text."""

    @property
    def lock(self) -> tuple[str, str, str] | None:
        """Digest, mode and key of the lock of its jobs, if they have one."""
        if self.overlap == "skip":
            return lock_digest(self.name), "both", f"schedule entry {self.name}"[:KEY_SHOWN]
        return self.unique

    @property
    def schedule(self) -> Schedule:
        return _schedule(self.cron, self.every, self.tz)

    @property
    def policy(self) -> Policy:
        return Policy(self.catch_up, self.max_late_seconds, self.jitter_seconds)

    def same_times(self, other: Entry | None) -> bool:
        """Whether it is due at the same times as the other one."""
        return other is not None and (self.cron, self.every, self.tz, self.enabled) == (
            other.cron, other.every, other.tz, other.enabled
        )  # fmt: skip

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    def make_job(self, tick: int, now: float) -> tuple[str, bytes] | None:
        """The id and the queue item of the job for a tick (epoch milliseconds), made within the
        enqueue middleware; None when that leaves it out. `now` (epoch seconds) is when it is
        enqueued."""
        job_id = new_id()
        args, kwargs = split(self.args)
        if not enqueue_chain.runs:
            return job_id, self.payload(job_id, tick, now, args, kwargs)
        message = Message(job_id, self.job, self.queue, args, kwargs, {"cron": self.name})
        raw = enqueue_chain.run(
            message,
            lambda: self.payload(
                job_id,
                tick,
                now,
                message.args,
                message.kwargs,
                with_meta(self.job, None, message.meta),
            ),
        )
        return None if raw is None else (job_id, raw)

    def payload(
        self,
        job_id: str,
        tick: int,
        now: float,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        more: dict[str, Any] | None = None,
    ) -> bytes:
        """The queue item with this id and these arguments; `more` is what else stands in its
        envelope."""
        envelope = (self.envelope or {}) | {
            CRON: self.name,
            SCHEDULED_FOR: moment(tick, self.schedule).isoformat(),
            **(more or {}),
        }
        if self.lock is not None:
            envelope[UNIQUE] = self.lock[:2]
        expires_at = None if self.expires_seconds is None else round(now + self.expires_seconds, 3)
        return encode(self.job, args, kwargs, job_id, 1, envelope, expires_at)


def lock_digest(name: str) -> str:
    """The digest of the lock of an entry's jobs. The key of a job never has this form."""
    return sha256(f"cron\0{name}".encode()).hexdigest()[:32]


_decode = msgspec.json.Decoder(Entry).decode


@lru_cache(maxsize=1000)
def from_json(raw: bytes) -> Entry:
    """Read and check an entry. Raises ScheduleError."""
    try:
        entry = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ScheduleError(f"it cannot be read: {error}") from None
    return check(entry)


def moment(tick: int, schedule: Schedule) -> datetime:
    """A tick as a datetime in the zone of its schedule."""
    return datetime.fromtimestamp(tick / 1000, getattr(schedule, "zone", UTC))


def arguments(args: object) -> list[Any]:
    """The `args` of payloads for what a user gives: a tuple or list of positional arguments, or a
    dict of keywords. Raises ScheduleError."""
    if args is None:
        return []
    if isinstance(args, Mapping):
        for name in args:
            if not isinstance(name, str):
                raise ScheduleError(f"{name!r} is no name of an argument; names are str")
        return [{**args, "_kwargs": True}] if args else []
    if isinstance(args, Sequence) and not isinstance(args, str | bytes):
        return list(args)
    raise ScheduleError(
        f"args={args!r} are no arguments; give a tuple or list of positional ones, or a dict of "
        "keywords"
    )


def check_name(name: object) -> None:
    """Raises ScheduleError for what is not the name of an entry."""
    if not _is_text(name) or not name:
        raise ScheduleError(f"{name!r} is not the name of an entry; give one such as 'nightly'")


def check(entry: Entry) -> Entry:
    """The entry, if it can run. Raises ScheduleError that says what to write."""
    check_name(entry.name)
    if (entry.cron is None) == (entry.every is None):
        raise ScheduleError("give either a cron line or an interval (every)")
    for what, text in (("the name of a job", entry.job), ("the name of a queue", entry.queue)):
        if not _is_text(text) or not text:
            raise ScheduleError(f"{text!r} is not {what}; give one such as 'mail'")
    if entry.catch_up not in CATCH_UP:
        raise ScheduleError(f"catch_up={entry.catch_up!r} is unknown; give 'one', 'all' or 'skip'")
    late = entry.max_late_seconds
    if late is not None and (not is_number(late) or late <= 0):
        raise ScheduleError(
            f"max_late_seconds={late!r} is no time; give a number of seconds above 0, or None for "
            "no limit"
        )
    if entry.source not in SOURCES:
        raise ScheduleError(f"its source {entry.source!r} is unknown")
    if not isinstance(entry.enabled, bool):
        raise ScheduleError(f"enabled={entry.enabled!r} is unknown; give True or False")
    if not _is_text(entry.description):
        raise ScheduleError(f"description={entry.description!r} is no text; give a str")
    if entry.overlap not in OVERLAP:
        raise ScheduleError(f"overlap={entry.overlap!r} is unknown; give 'allow' or 'skip'")
    if entry.overlap == "skip" and entry.unique is not None:
        raise ScheduleError(
            f"job {entry.job} is declared as unique and has its own lock; leave out overlap='skip'"
        )
    _check_jitter(entry)
    try:
        entry.payload(new_id(), 0, 0.0, *split(entry.args))
    except GresqueError as error:
        raise ScheduleError(str(error)) from None
    return entry


def _is_text(value: object) -> bool:
    return isinstance(value, str) and is_utf8(value)


def _check_jitter(entry: Entry) -> None:
    seconds, schedule = entry.jitter_seconds, entry.schedule
    if not is_number(seconds) or seconds < 0:
        raise ScheduleError(f"jitter_seconds={seconds!r} is no time; give a number of seconds")
    if seconds:
        shortest = _shortest_gap(schedule) / 1000
        if seconds > shortest:
            raise ScheduleError(
                f"jitter_seconds={seconds:g} is longer than the {shortest:g} s between two ticks "
                f"of {schedule.text}; give less"
            )


def _shortest_gap(schedule: Schedule) -> float:
    last, shortest = None, float("inf")
    for tick, _ in zip(schedule.after(0), range(_GAPS_TRIED), strict=False):
        if last is not None:
            shortest = min(shortest, tick - last)
        last = tick
    return shortest


@lru_cache(maxsize=10_000)
def _schedule(cron: str | None, every: float | None, tz: str) -> Schedule:
    return Every(every) if cron is None else CronLine(cron, tz)
