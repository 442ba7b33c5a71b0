"""The schedule: its entries are declared, and their jobs enqueued when they are due."""

from __future__ import annotations

import logging
import math
import time
from functools import cached_property
from typing import NamedTuple

import redis

from gresque.clock import started
from gresque.connection.errors import is_reply, means_not_here
from gresque.errors import GresqueError, NotReadableHere
from gresque.jobs.registry import registry
from gresque.logs import fields
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.lease import OFFER_SECONDS, Lease
from gresque.maintenance.ruby_schedules import RubySchedules
from gresque.maintenance.task import NEVER, Interval
from gresque.processes.declared_memory import DeclaredMemory
from gresque.raised import one_line
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry, from_json
from gresque.schedule.ticks import due_ticks, jitter
from gresque.settings import Settings
from gresque.store.cron_snapshot import Push, Tick, TickLock
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.worker.schedules import declare

log = logging.getLogger("gresque.cron")

PASS_SECONDS = 0.5
"""After this time other tasks have their turn, the lease above all; in a burst all is done."""
RESYNC_SECONDS = 60.0
"""How long it relies on its view of the server's clock."""
AT_ONCE = 200
"""Entries of one round trip."""
REFUSED_SECONDS = 5.0
"""What Redis refuses is tried again after this time."""
ANOTHER_SECONDS = 1.0
"""An entry that was changed while its tick was worked out is looked at again after this time: no
announcement follows where its next tick stayed."""
DECLARE_SECONDS = 60.0
"""How often a master sees to it that a server which forgot its entries has them again."""


SKIPPED = 2
"""The reply for a tick that does not run, as another job has its lock."""

RUBY = "(those of Ruby programs)"
"""In the log, where none is meant."""


class DeclareSchedules:
    """Done by every master, without the lease: the last one that started has its entries there.

    Only where the code is loaded in the master; else its worker processes do it."""

    name = "declare schedules"

    def __init__(self, settings: Settings, memory: DeclaredMemory) -> None:
        self._settings = settings
        self._memory = memory
        self._interval = Interval(DECLARE_SECONDS)
        self._failed = ""

    def due(self, now: float) -> float:
        return self._interval.left(now)

    def run(self, store: Store) -> None:
        declare(store, self._settings, self._memory)
        self._interval.begin(time.monotonic(), None if len(declared) else NEVER)


class _Held(NamedTuple):
    """An entry that cannot run as it is."""

    entry: bytes
    until: float
    """On the monotonic clock."""


class _Run(NamedTuple):
    """A job to enqueue for a tick; without `raw` the entry only moves on to its next tick."""

    entry: Entry
    tick: Tick
    run: int
    """The tick that runs: `tick.due` is the first one that was not handled."""
    job_id: str
    raw: bytes

    @property
    def lock(self) -> TickLock | None:
        lock = self.entry.lock
        if lock is None or not self.raw:
            return None
        digest, mode, key = lock
        return TickLock(digest, self.job_id, mode, self.entry.job, key)


class _MiddlewareRaised(Exception):
    """The job of a tick cannot be made now."""


class _RubyElsewhere:
    """Asks once a pass, and only for entries of Ruby programs, whether a scheduler of Ruby's runs
    them."""

    def __init__(self, ruby: RubySchedules, store: Store) -> None:
        self._ruby = ruby
        self._store = store

    @cached_property
    def is_elsewhere(self) -> bool:
        return self._ruby.are_run_elsewhere(self._store)


class CronTicks:
    """Under the lease: enqueues the job of each tick that is due.

    A script compares before it pushes, so a tick runs once however many processes do this at once.
    An entry that cannot run is named in the log once, and holds up no other one.
    """

    name = "cron"

    def __init__(self, lease: Lease, settings: Settings, watch: DueWatch | None = None) -> None:
        """Without a `watch` every run looks, as in a burst."""
        self._lease = lease
        self._settings = settings
        self._keys = Keys(settings.namespace)
        self._watch = watch
        self._ruby = RubySchedules(self._keys, settings.schedule_env)
        self._next_pass = -math.inf
        """On the monotonic clock."""
        self._next_ruby = -math.inf
        self._held: dict[str, _Held] = {}
        self._delayed: dict[str, tuple[int, int]] = {}
        """Name of an entry -> its tick, which is due, and when its jitter lets it run (ms)."""
        self._named: dict[str, str] = {}
        """Name of an entry -> what was logged of it last."""
        self._lacks_something = False
        """Whether an entry needs what this machine has not, and another one may have."""

    def due(self, now: float) -> float:
        if not self._lease.held:
            return NEVER
        watch = self._watch
        if watch is None or not watch.has_looked:
            return 0.0
        if watch.has_changed(self._keys.cron_next):
            return 0.0
        changed = watch.has_changed(self._keys.persistent_schedules)
        ruby = self._next_ruby - now if changed else NEVER
        return min(watch.left(now), self._next_pass - now, ruby)

    def run(self, store: Store) -> None:
        watch = self._watch
        if watch is not None and (not watch.has_looked or watch.left(time.monotonic()) <= 0):
            watch.look()
        if watch is None or watch.has_changed(self._keys.persistent_schedules):
            self._follow_ruby(store)
        if watch is not None:
            watch.take_change(self._keys.cron_next)
        self._next_pass = time.monotonic() + self._run_due(store)

    def _follow_ruby(self, store: Store) -> None:
        """What fails here is tried again, and holds up no tick."""
        if time.monotonic() < self._next_ruby:
            return
        try:
            self._ruby.sync(store)
        except (GresqueError, redis.RedisError) as error:
            if isinstance(error, redis.RedisError) and not _is_refusal(error):
                raise
            self._next_ruby = time.monotonic() + REFUSED_SECONDS
            self._name(RUBY, f"not followed: {one_line(error)}; it is tried again")
            return
        self._named.pop(RUBY, None)
        if self._ruby.lacks_something:
            self._lease.offer(store)
        if self._watch is not None:
            self._watch.take_change(self._keys.persistent_schedules)

    def _run_due(self, store: Store) -> float:
        """Enqueue what is due; returns the seconds until more is."""
        until = math.inf if self._watch is None else time.monotonic() + PASS_SECONDS
        now = int(store.now() * 1000)
        due, wait = self._not_delayed(store.cron.due(now), now)
        ruby = _RubyElsewhere(self._ruby, store)
        for first in range(0, len(due), AT_ONCE):
            if time.monotonic() >= until:
                return 0.0
            some = due[first : first + AT_ONCE]
            planned: list[_Run] = []
            for (name, tick), raw in zip(
                some, store.cron.entries([name for name, _ in some]), strict=True
            ):
                if raw is None:
                    store.cron.forget_next(name)
                else:
                    wait = min(wait, self._plan(planned, Tick(name, raw, tick, None), now, ruby))
            wait = min(wait, self._enqueue(store, planned, now))
        if self._lacks_something:
            self._lacks_something = False
            self._lease.offer(store)
        following = store.cron.first_after(now)
        if following is not None:
            wait = min(wait, RESYNC_SECONDS, following / 1000 - store.now())
        return wait

    def _not_delayed(
        self, due: list[tuple[str, int]], now: int
    ) -> tuple[list[tuple[str, int]], float]:
        """Those whose jitter has passed, as far as it is known, and the seconds until the next one
        is: else thousands that wait for it would be read again in each pass, and none behind them.
        """
        known, self._delayed, left = self._delayed, {}, []
        wait = RESYNC_SECONDS if due else NEVER
        for name, tick in due:
            found = known.get(name)
            if found is not None and found[0] == tick and found[1] > now:
                self._delayed[name] = found
                wait = min(wait, (found[1] - now) / 1000)
            else:
                left.append((name, tick))
        return left, wait

    def _plan(self, planned: list[_Run], due: Tick, now: int, ruby: _RubyElsewhere) -> float:
        """Add what is to be done for one entry whose tick has come; returns the seconds until it is
        to be looked at again, if that is not known by its next tick."""
        held = self._held.get(due.name)
        if held is not None and held.entry == due.entry and time.monotonic() < held.until:
            return held.until - time.monotonic()
        try:
            entry = from_json(due.entry)
            runs_at = due.due + jitter(due.name, due.due, entry.jitter_seconds)
            if runs_at > now:
                self._delayed[due.name] = due.due, runs_at
                return (runs_at - now) / 1000
            planned += self._runs(entry, due, now, ruby)
        except (redis.RedisError, OSError):
            raise
        except NotReadableHere as error:
            self._lacks_something = True
            self._hold(due, OFFER_SECONDS, f"this machine cannot run it: {error}; others may")
            return OFFER_SECONDS
        except _MiddlewareRaised as error:
            self._hold(due, REFUSED_SECONDS, f"{error}; it is tried again")
            return REFUSED_SECONDS
        except Exception as error:  # whatever was written by hand, the others run
            problem = str(error) if isinstance(error, GresqueError) else one_line(error)
            self._hold(due, NEVER, f"it cannot run: {problem}")
        return NEVER

    def _runs(self, entry: Entry, due: Tick, now: int, ruby: _RubyElsewhere) -> list[_Run]:
        found = due_ticks(entry.name, entry.schedule, entry.policy, due.due, now)
        runs = () if entry.source == "ruby" and ruby.is_elsewhere else found.runs
        if found.is_late:
            log.warning(
                "schedule entry %s: ticks were missed since %s; %s of them run (catch_up=%s)",
                entry.name, started(due.due / 1000), len(runs) or "none", entry.catch_up,
                extra=fields("ticks_missed", entry=entry.name, job=entry.job),
            )  # fmt: skip
        if not runs:
            return [_Run(entry, due._replace(next=found.next), 0, "", b"")]
        # Each sets the next one, so that all of them are compared, and one that is refused stays.
        befores, afters = (due.due, *runs[1:]), (*runs[1:], found.next)
        return [
            _planned(entry, due._replace(due=before, next=after), run, now / 1000)
            for run, before, after in zip(runs, befores, afters, strict=True)
        ]

    def _enqueue(self, store: Store, planned: list[_Run], now: int) -> float:
        """Returns the seconds until what Redis has refused is tried again."""
        wait, shown = NEVER, started(now / 1000)
        replies = store.cron.tick(
            [
                Push(
                    each.tick,
                    each.entry.queue,
                    each.raw,
                    f"{each.run} {each.job_id}",
                    shown,
                    each.lock,
                )
                for each in planned
            ]
        )
        for each, reply in zip(planned, replies, strict=True):
            if isinstance(reply, redis.RedisError):
                if not _is_refusal(reply):
                    raise reply
                self._hold(each.tick, REFUSED_SECONDS, f"its job is refused: {reply}")
                wait = min(wait, REFUSED_SECONDS)
            elif not reply:
                wait = min(wait, ANOTHER_SECONDS)
            else:
                self._held.pop(each.entry.name, None)
                if reply == SKIPPED:
                    _log_skipped(each)
                elif each.raw:
                    self._log(each, now)
        return wait

    def _log(self, run: _Run, now: int) -> None:
        entry = run.entry
        log.debug(
            "schedule entry %s: job %s enqueued into %s, %.3f s late",
            entry.name, run.job_id, entry.queue, (now - run.run) / 1000,
            extra=fields(
                "scheduled", entry=entry.name, job_id=run.job_id, job=entry.job, queue=entry.queue
            ),
        )  # fmt: skip
        self._name_undeclared(entry)

    def _hold(self, due: Tick, seconds: float, problem: str) -> None:
        self._held[due.name] = _Held(due.entry, time.monotonic() + seconds)
        self._name(due.name, problem)

    def _name(self, name: str, problem: str) -> None:
        """Log what is wrong with an entry, once until it is something else."""
        if self._named.get(name) != problem:
            self._named[name] = problem
            log.error(
                "schedule entry %s: %s", name, problem, extra=fields("schedule_wrong", entry=name)
            )

    def _name_undeclared(self, entry: Entry) -> None:
        """A job that is not declared here, of a queue that is served here, fails."""
        queues = self._settings.queues
        if not len(registry) or registry.find(entry.job) or queues is None:
            return
        if entry.queue in queues.resolve([entry.queue]):
            self._name(
                entry.name, f"{registry.explain_unknown(entry.job)}; its jobs do not run here"
            )


def _planned(entry: Entry, tick: Tick, run: int, now: float) -> _Run:
    """The job for this tick; where the enqueue middleware leaves it out, only the next tick."""
    try:
        job = entry.make_job(run, now)
    except Exception as error:
        raise _MiddlewareRaised(f"the enqueue middleware raised {one_line(error)}") from error
    return _Run(entry, tick, 0, "", b"") if job is None else _Run(entry, tick, run, *job)


def _log_skipped(run: _Run) -> None:
    log.info(
        "schedule entry %s: the tick of %s does not run, as an earlier job has not ended",
        run.entry.name, started(run.run / 1000),
        extra=fields("tick_skipped", entry=run.entry.name, job=run.entry.job),
    )  # fmt: skip


def _is_refusal(error: redis.RedisError) -> bool:
    """Whether Redis answers, and is the one to ask."""
    return is_reply(error) and not means_not_here(error)
