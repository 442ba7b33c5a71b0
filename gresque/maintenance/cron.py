"""The schedule: its entries are declared, and their jobs enqueued when they are due."""

from __future__ import annotations

import logging
import math
import time
from typing import NamedTuple

import redis

from gresque.clock import started
from gresque.connection.errors import is_reply, means_not_here
from gresque.errors import GresqueError, ScheduleError
from gresque.jobs.registry import registry
from gresque.logs import fields
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.lease import Lease
from gresque.maintenance.ruby_schedules import RubySchedules
from gresque.maintenance.task import NEVER, Interval
from gresque.processes.declared_memory import DeclaredMemory
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry, from_json
from gresque.schedule.ticks import due_ticks, jitter
from gresque.settings import Settings
from gresque.store.cron_snapshot import Tick
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.worker.schedules import declare

log = logging.getLogger("gresque.cron")

PASS_SECONDS = 0.5
"""After this time other tasks have their turn, the lease above all; in a burst all is done."""
RESYNC_SECONDS = 60.0
"""How long it relies on its view of the server's clock."""
REFUSED_SECONDS = 5.0
"""An entry whose job Redis refuses is tried again after this time."""
DECLARE_SECONDS = 60.0
"""How often a master sees to it that a server which forgot its entries has them again."""


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
        self._held: dict[str, _Held] = {}
        self._named: dict[str, str] = {}
        """Name of an entry -> what was logged of it last."""

    def due(self, now: float) -> float:
        if not self._lease.held:
            return NEVER
        watch = self._watch
        if watch is None or not watch.has_looked:
            return 0.0
        if watch.has_changed(self._keys.cron_next) or self._ruby_changed(watch):
            return 0.0
        return min(watch.left(now), self._next_pass - now)

    def _ruby_changed(self, watch: DueWatch) -> bool:
        return watch.has_changed(self._keys.persistent_schedules)

    def run(self, store: Store) -> None:
        watch = self._watch
        if watch is not None and (not watch.has_looked or watch.left(time.monotonic()) <= 0):
            watch.look()
        if watch is None or watch.take_change(self._keys.persistent_schedules):
            self._ruby.sync(store)
        if watch is not None:
            watch.take_change(self._keys.cron_next)
        self._next_pass = time.monotonic() + self._run_due(store)

    def _run_due(self, store: Store) -> float:
        """Enqueue what is due; returns the seconds until more is."""
        until = math.inf if self._watch is None else time.monotonic() + PASS_SECONDS
        now = int(store.now() * 1000)
        due = store.cron.due(now)
        wait = RESYNC_SECONDS if due else NEVER
        for name, tick in due:
            if time.monotonic() >= until:
                return 0.0
            wait = min(wait, self._run_entry(store, name, tick, now))
        following = store.cron.first_after(now)
        if following is not None:
            wait = min(wait, RESYNC_SECONDS, following / 1000 - store.now())
        return wait

    def _run_entry(self, store: Store, name: str, tick: int, now: int) -> float:
        """Enqueue the jobs of one entry whose tick has come; returns the seconds until it is to be
        looked at again, if that is not known by its next tick."""
        raw = store.cron.entry(name)
        if raw is None:
            store.cron.forget_next(name)
            return NEVER
        held = self._held.get(name)
        if held is not None and held.entry == raw and time.monotonic() < held.until:
            return held.until - time.monotonic()
        try:
            entry = from_json(raw)
            return self._run_ticks(store, entry, Tick(name, raw, tick, None), now)
        except ScheduleError as error:
            self._hold(name, raw, NEVER, f"it cannot run: {error}")
            return NEVER
        except (redis.ResponseError, GresqueError) as error:
            if isinstance(error, redis.RedisError) and (
                not is_reply(error) or means_not_here(error)
            ):
                raise
            self._hold(name, raw, REFUSED_SECONDS, f"its job is refused: {error}")
            return REFUSED_SECONDS

    def _run_ticks(self, store: Store, entry: Entry, first: Tick, now: int) -> float:
        name, schedule = entry.name, entry.schedule
        late = first.due + jitter(name, first.due, entry.jitter_seconds) - now
        if late > 0:
            return late / 1000
        found = due_ticks(name, schedule, entry.policy, first.due, now)
        runs = () if self._ruby.is_run_elsewhere(store, entry) else found.runs
        if found.is_late:
            log.warning(
                "schedule entry %s: ticks were missed since %s; %s of them run (catch_up=%s)",
                name, started(first.due / 1000), len(runs) or "none", entry.catch_up,
                extra=fields("ticks_missed", entry=name, job=entry.job),
            )  # fmt: skip
        expected = first.due
        for number, tick in enumerate(runs, start=1):
            following = runs[number] if number < len(runs) else found.next
            if not self._enqueue(store, entry, first._replace(due=expected, next=following), tick):
                return 0.0
            expected = following or 0
        if not runs:
            store.cron.tick(first._replace(next=found.next), entry.queue)
        self._held.pop(name, None)
        self._name_undeclared(entry)
        return NEVER

    def _enqueue(self, store: Store, entry: Entry, tick: Tick, run: int) -> bool:
        """False when another process did it, or the entry is another by now."""
        now = store.now()
        job_id, raw = entry.payload(run, now)
        done = store.cron.tick(tick, entry.queue, raw, f"{run} {job_id}", started(now))
        if done:
            log.debug(
                "schedule entry %s: job %s enqueued into %s, %.3f s late",
                entry.name, job_id, entry.queue, now - run / 1000,
                extra=fields(
                    "scheduled", entry=entry.name, job_id=job_id, job=entry.job, queue=entry.queue
                ),
            )  # fmt: skip
        return done

    def _hold(self, name: str, raw: bytes, seconds: float, problem: str) -> None:
        self._held[name] = _Held(raw, time.monotonic() + seconds)
        self._name(name, problem)

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
            self._name(entry.name, f"{registry.explain_unknown(entry.job)}; its job fails here")
