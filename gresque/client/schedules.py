"""The schedule in Redis: what `gresque.schedules` and `gresque cron` do."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from gresque.client.cron import entry_for
from gresque.client.when import Delay
from gresque.errors import NoScheduleEntry, ScheduleError
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ids import DuplicateId, JobId
from gresque.jobs.registry import registry
from gresque.schedule.entry import Entry, check_name, from_json, moment
from gresque.schedule.every import Every
from gresque.schedule.line import CronLine
from gresque.schedule.ticks import jitter
from gresque.store.cron_snapshot import LOCK_MS, Change, Snapshot
from gresque.store.unique_job import Terms, UniqueJob

if TYPE_CHECKING:
    from gresque.store.store import Store

TRIES = 10
"""Of a change that another program comes before."""


@dataclass(frozen=True)
class ScheduleEntry:
    """An entry of the schedule, as it stands."""

    name: str
    schedule: str
    """Its cron line with its zone, or its interval."""
    job: str
    queue: str
    args: builtins.list[Any]
    next: datetime | None
    """When its job is enqueued next; None while it is paused."""
    last: datetime | None
    """The last tick whose job was enqueued."""
    last_job_id: str | None
    paused: bool
    enabled: bool
    source: str
    """Its origin: `code`, `file`, `dynamic` or `ruby`."""
    app: str
    catch_up: str
    max_late_seconds: float | None
    jitter_seconds: float
    overlap: str
    description: str
    error: str | None
    """Why it cannot run, if so."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        times = {"next": self.next, "last": self.last}
        return asdict(self) | {
            name: None if time is None else time.isoformat() for name, time in times.items()
        }


class Schedules:
    """Sets, removes, pauses and lists the entries of the schedule; `gresque.schedules` is the one
    of the default client.

        gresque.schedules.set("report", cron="0 9 * * MON-FRI", tz="Europe/Berlin", job=report)
        gresque.schedules.pause("report")

    Workers enqueue the jobs. A new or changed entry counts from now on. Methods raise
    ScheduleError, and RedisUnavailable when Redis fails.
    """

    def __init__(self, asking: Callable[[], AbstractContextManager[Store]]) -> None:
        self._asking = asking

    def _asking_for(self, name: str) -> AbstractContextManager[Store]:
        """The store that has this entry."""
        return self._asking()

    def _asking_new(self, entry: Entry) -> AbstractContextManager[Store]:
        """The store where this entry is to stand."""
        return self._asking()

    def set(
        self,
        name: str,
        *,
        job: Any,
        cron: str | None = None,
        every: float | str | timedelta | None = None,
        tz: str | None = None,
        queue: str | None = None,
        args: Any = None,
        description: str = "",
        catch_up: str = "one",
        max_late_seconds: Delay | None = 3600.0,
        jitter_seconds: Delay = 0,
        overlap: str = "allow",
        enabled: bool = True,
    ) -> None:
        """Make an entry, or change one that was made so. The options are those of `gresque.cron`.

        `job` is a job that is declared here, or the name of one, then with its `queue`. An entry
        that code or a schedule file declares is changed there; it can be paused.
        """
        if (cron is None) == (every is None):
            raise ScheduleError("give either cron= or every=")
        line = None if cron is None else CronLine(cron, tz)
        if tz and line is None:
            raise ScheduleError("an interval has no zone; leave out tz=")
        entry = entry_for(
            name, _job(job), queue, args,
            cron=None if line is None else line.line,
            tz="UTC" if line is None else line.tz,
            every=None if line is not None else Every(every).seconds,
            description=description, catch_up=catch_up, max_late_seconds=max_late_seconds,
            jitter_seconds=jitter_seconds, overlap=overlap, enabled=enabled,
        )  # fmt: skip
        with self._asking_new(entry) as store:
            for _ in range(TRIES):
                old = store.cron.entry(name)
                known = None if old is None else _readable(old)
                if known is not None and known.source != "dynamic":
                    raise ScheduleError(f"entry {name!r} is {_maker(known)}; change it there")
                change = change_to(entry, old, int(store.now() * 1000))
                if not store.cron.put([change])[1]:
                    return
        raise _busy(name)

    def remove(self, name: str) -> None:
        """Remove an entry. One that code or a schedule file declares comes back within a minute
        while a worker of it runs; it can be paused."""
        with self._asking_for(name) as store:
            for _ in range(TRIES):
                raw = _existing(store, name)
                known = _readable(raw)
                if known is not None and known.source == "ruby":
                    store.cron.remove_ruby(name)
                if not store.cron.put([Change(name, raw, b"", None)])[1]:
                    return
        raise _busy(name)

    def pause(self, name: str) -> bool:
        """Let an entry rest until `resume`, also when it is declared again. False when it does."""
        with self._asking_for(name) as store:
            for _ in range(TRIES):
                done = store.cron.pause(name, _existing(store, name))
                if done >= 0:
                    return bool(done)
        raise _busy(name)

    def resume(self, name: str) -> bool:
        """End a pause: the entry counts from now on, what it missed is not made up. False when
        there was none."""
        with self._asking_for(name) as store:
            for _ in range(TRIES):
                raw = _existing(store, name)
                entry = _checked(name, raw)
                if not entry.enabled:
                    raise ScheduleError(
                        f"entry {name!r} is {_maker(entry)} with enabled=False; change it there"
                    )
                now = int(store.now() * 1000)
                done = store.cron.resume(name, raw, entry.schedule.next_after(now))
                if done >= 0:
                    return bool(done)
        raise _busy(name)

    def skip(self, name: str) -> datetime | None:
        """Leave out the next time of an entry, and return it; None when the entry has none, as one
        that is paused. The times after it stay."""
        with self._asking_for(name) as store:
            for _ in range(TRIES):
                raw = _existing(store, name)
                entry, tick = _checked(name, raw), store.cron.next_of(name)
                if tick is None:
                    return None
                following = entry.schedule.next_after(tick)
                if not store.cron.put([Change(name, raw, raw, following)])[1]:
                    return next_times(entry, tick - 1, 1)[0]
        raise _busy(name)

    def run_now(self, name: str) -> JobId:
        """Enqueue the job of an entry at once, even when the entry is paused; returns the job's id.
        The ticks of the entry do not change. With `overlap="skip"` nothing is enqueued while an
        earlier job of the entry waits or runs: the id is that of the earlier job, and its
        `duplicate` is true."""
        with self._asking_for(name) as store:
            entry = _checked(name, _existing(store, name))
            now = store.now()
            made = entry.make_job(int(now) * 1000, now)
            if made is None:
                raise ScheduleError(f"an enqueue middleware left out the job of entry {name!r}")
            job_id, raw = made
            if entry.lock is None or entry.lock[1] == "running":
                store.enqueuer.push(entry.queue, [raw])
                return JobId(job_id)
            digest, mode, key = entry.lock
            terms = Terms("in", mode, "drop", entry.job, LOCK_MS)
            job = UniqueJob(job_id, 0, key, digest, raw)
            (holder,) = store.unique_enqueuer.enqueue(entry.queue, terms, [job])
            return JobId(job_id) if holder is None else DuplicateId(holder)

    def list(self) -> builtins.list[ScheduleEntry]:
        """All entries, sorted by name."""
        with self._asking() as store:
            snapshot = store.cron.read()
        return [_shown(name, snapshot) for name in sorted(snapshot.entries)]

    def next(self, name: str, count: int = 10) -> builtins.list[datetime]:
        """The next times at which a job of the entry is enqueued, in its zone, as if it were not
        paused. A time that is skipped is not among them."""
        if not isinstance(count, int) or count < 0:
            raise ScheduleError(f"count={count!r} is no number of times; give 0 or more")
        with self._asking_for(name) as store:
            entry = _checked(name, _existing(store, name))
            now, tick = int(store.now() * 1000), store.cron.next_of(name) or 0
        return next_times(entry, max(now, tick - 1), count)


def next_times(entry: Entry, after: int, count: int) -> list[datetime]:
    """The next times of an entry after this one (epoch milliseconds), with their jitter."""
    found = islice(entry.schedule.after(after), count)
    return [
        moment(tick + jitter(entry.name, tick, entry.jitter_seconds), entry.schedule)
        for tick in found
    ]


def change_to(entry: Entry, old: bytes | None, now: int) -> Change:
    """Write this entry in place of what stands there. Where its times are the same, its next tick
    stays as it is; else it counts from `now` (epoch milliseconds)."""
    raw = entry.to_json()
    same = old == raw or entry.same_times(None if old is None else _readable(old))
    following = entry.schedule.next_after(now) if entry.enabled else None
    return Change(entry.name, old or b"", raw, following, same)


def _readable(raw: bytes) -> Entry | None:
    try:
        return from_json(raw)
    except ScheduleError:
        return None


def _existing(store: Store, name: str) -> bytes:
    check_name(name)
    raw = store.cron.entry(name)
    if raw is None:
        from difflib import get_close_matches

        near = get_close_matches(name, store.cron.read().entries, 1)
        meant = f"; there is {near[0]!r}" if near else "; gresque cron list shows all"
        raise NoScheduleEntry(f"no schedule entry is named {name!r}{meant}")
    return raw


def _checked(name: str, raw: bytes) -> Entry:
    try:
        return from_json(raw)
    except ScheduleError as error:
        raise ScheduleError(f"entry {name!r}: {error}") from None


def _job(job: Any) -> JobDefinition | str:
    definition = getattr(job, "definition", None)
    if isinstance(definition, JobDefinition):
        return definition
    if not isinstance(job, str):
        raise ScheduleError(f"{job!r} is not a job; give one that is declared, or its name")
    return registry.find(job) or job


def _maker(entry: Entry) -> str:
    return {
        "code": f"declared in the code of {entry.app}",
        "file": f"declared in the schedule file of {entry.app}",
        "ruby": "set by a Ruby program",
    }.get(entry.source, "set by a program")


def _busy(name: str) -> ScheduleError:
    return ScheduleError(f"entry {name!r} is changed by other programs all the time; try again")


def _shown(name: str, snapshot: Snapshot) -> ScheduleEntry:
    entry, error = None, None
    try:
        entry = from_json(snapshot.entries[name])
    except ScheduleError as wrong:
        error = str(wrong)
    tick, (last, last_id) = snapshot.next.get(name), snapshot.last.get(name, (None, None))
    paused = name in snapshot.paused
    if entry is None:
        return ScheduleEntry(
            name,
            "",
            "",
            "",
            [],
            None,
            None,
            last_id,
            paused,
            True,
            "",
            "",
            "",
            None,
            0,
            "",
            "",
            error,
        )
    schedule = entry.schedule
    late = 0 if tick is None else jitter(name, tick, entry.jitter_seconds)
    return ScheduleEntry(
        name=name,
        schedule=schedule.text,
        job=entry.job,
        queue=entry.queue,
        args=entry.args,
        next=None if tick is None else moment(tick + late, schedule),
        last=None if last is None else moment(last, schedule),
        last_job_id=last_id,
        paused=paused,
        enabled=entry.enabled,
        source=entry.source,
        app=entry.app,
        catch_up=entry.catch_up,
        max_late_seconds=entry.max_late_seconds,
        jitter_seconds=entry.jitter_seconds,
        overlap=entry.overlap,
        description=entry.description,
        error=None,
    )
