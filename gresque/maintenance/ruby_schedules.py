"""Schedule entries that Ruby programs set by `Resque.set_schedule(…, persist: true)`."""

from __future__ import annotations

import logging
import math
import time

import msgspec

from gresque.client.schedules import change_to
from gresque.errors import NotReadableHere, ScheduleError
from gresque.logs import fields
from gresque.schedule.declared import find_queue
from gresque.schedule.entry import Entry, from_json
from gresque.schedule.ruby import is_meant_for, read_entry
from gresque.store.cron_snapshot import Change
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.cron")

TRIES = 10
RESYNC_SECONDS = 30.0
"""How long what was read once counts, while it is the same: where the server does not announce
changes it is looked at each second."""


class RubySchedules:
    """Keeps the schedule in step with the HASH `persistent_schedules`."""

    def __init__(self, keys: Keys, env: str) -> None:
        """`env`: the environment that an entry may name."""
        self._keys = keys
        self._env = env
        self._named: dict[str, str] = {}
        """Name of an entry that cannot be read -> the error that was logged."""
        self._followed: tuple[dict[str, bytes], float] = {}, -math.inf
        """What was read last, and when, on the monotonic clock."""
        self._holder = ""
        """The scheduler of another program that was named last."""
        self.lacks_something = False
        """Whether an entry needs what this machine has not, and another one may have."""

    def sync(self, store: Store) -> None:
        """Write what Ruby programs have set, and remove what they have removed."""
        for _ in range(TRIES):
            configs, read_at = store.cron.ruby(), time.monotonic()
            known, known_at = self._followed
            if configs == known and read_at < known_at + RESYNC_SECONDS:
                return
            if not configs and not store.cron.counts()[0]:
                self._followed = configs, read_at
                return
            found = store.cron.read().entries
            now, wanted = int(store.now() * 1000), self._entries(configs, found)
            changes = [change_to(entry, found.get(name), now) for name, entry in wanted.items()]
            changes = [change for change in changes if change.new != change.old]
            changes += [
                Change(name, raw, b"", None)
                for name, raw in found.items()
                if name not in wanted and _source(raw) == "ruby"
            ]
            if not changes or not store.cron.put(changes)[1]:
                self._followed = configs, read_at
                return
        raise ScheduleError("the schedule is changed by other programs all the time")

    def _entries(self, configs: dict[str, bytes], found: dict[str, bytes]) -> dict[str, Entry]:
        entries, wrong, self.lacks_something = {}, {}, False
        for name, raw in configs.items():
            try:
                if name in found and _source(found[name]) not in ("ruby", None):
                    raise ScheduleError("another entry of gresque has that name; rename one")
                config = msgspec.json.decode(raw)
                if is_meant_for(config, self._env):
                    entries[name] = read_entry(name, config, find_queue, "ruby", "")
            except Exception as error:  # whatever another program wrote, the others run
                wrong[name] = str(error)
                self.lacks_something |= isinstance(error, NotReadableHere)
                if self._named.get(name) != str(error):
                    log.error(
                        "schedule entry %s of a Ruby program does not run: %s", name, error,
                        extra=fields("schedule_wrong", entry=name),
                    )  # fmt: skip
        self._named = wrong
        return entries

    def are_run_elsewhere(self, store: Store) -> bool:
        """Whether a scheduler of Ruby's runs the entries: while one holds its lock it does."""
        lock = self._keys.scheduler_locks[0]
        holder = dict(store.delayed.lock_holders()).get(lock, "")
        if holder != self._holder:
            self._holder = holder
            if holder:
                log.warning(
                    "schedule entries of Ruby programs are left to the scheduler %s, which holds "
                    "%s",
                    printable(holder),
                    printable(lock),
                    extra=fields("scheduler_elsewhere", lock=lock, holder=holder),
                )
        return bool(holder)


def _source(raw: bytes) -> str | None:
    try:
        return from_json(raw).source
    except ScheduleError:
        return None
