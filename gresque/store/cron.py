"""The schedule: entries that enqueue jobs again and again, and when each is due next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gresque.store.cron_snapshot import LOCK_MS, Change, Push, Snapshot
from gresque.store.server import Server
from gresque.text import decoded, encoded

PUT_AT_ONCE = 500
"""Entries of one script, of five arguments each."""
LAST_MS = 253_370_764_800_000
"""The year 9999. A time that was written by hand counts as within this and 1970: cron_tick.lua."""


class CronTable:
    """The entries in `cron`, and those of Ruby programs in `persistent_schedules`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def read(self) -> Snapshot:
        keys, read = self._keys, self._server.read
        entries = _pairs(read((), "HGETALL", keys.cron))
        scores = _pairs(read((), "ZRANGE", keys.cron_next, 0, -1, "WITHSCORES"))
        last = _pairs(read((), "HGETALL", keys.cron_last))
        paused = read((), "SMEMBERS", keys.cron_paused)
        return Snapshot(
            dict(entries),
            {name: _time(score) for name, score in scores},
            {name: _last(raw) for name, raw in last},
            set(map(decoded, paused)),
        )

    def entry(self, name: str) -> bytes | None:
        found: bytes | None = self._server.read(None, "HGET", self._keys.cron, name)
        return found

    def entries(self, names: Sequence[str]) -> list[bytes | None]:
        """Those of these names; None for one that is not there."""
        missing = [None] * len(names)
        return list(self._server.read(missing, "HMGET", self._keys.cron, *names))

    def counts(self) -> tuple[int, int]:
        """How many entries there are, and how many of them are paused."""
        keys, read = self._keys, self._server.read
        return int(read(0, "HLEN", keys.cron)), int(read(0, "SCARD", keys.cron_paused))

    def has_app(self, app: str) -> bool:
        """Whether a master with this app has declared entries."""
        return self._server.read(None, "HGET", self._keys.cron_apps, app) is not None

    def put(self, changes: Sequence[Change], app: str = "", boot: int = 0) -> tuple[int, list[str]]:
        """Write, change and remove entries. `app` and `boot` are those of a master that declares
        them; `boot` is 0 when it does so for the first time.

        Returns when the master did so first, 0 when a newer one has; and the names of those entries
        that were not as they were read, which are left as they are.
        """
        keys, changed = self._keys, list[str]()
        names = [
            keys.cron, keys.cron_next, keys.cron_paused, keys.cron_last, keys.cron_apps,
            keys.last_enqueued,
        ]  # fmt: skip
        for first in range(0, max(len(changes), 1), PUT_AT_ONCE):
            arguments: list[Any] = [app, boot]
            for change in changes[first : first + PUT_AT_ONCE]:
                tick = "" if change.next is None else change.next
                arguments += (change.name, change.old, change.new, tick, int(change.keep))
            found, *others = self._server.run_script("cron_put", names, arguments)
            changed += map(decoded, others)
            boot = int(found)
            if not boot:
                break
        return boot, changed

    def tick(self, pushes: Sequence[Push]) -> list[int | Exception]:
        """Enqueue the job of each tick and set the next one, in one round trip. Returns for each
        tick 1 when it is done; 0 when it was done before or its entry has changed; 2 when it does
        not run, as another job has its lock; an error when it is refused, and stays due."""
        keys = self._keys
        ours = [keys.cron, keys.cron_next, keys.cron_last, keys.last_enqueued, keys.queues]
        calls = []
        for push in pushes:
            name, entry, due, following = push.tick
            arguments = [
                encoded(name), entry, due, "" if following is None else following,
                encoded(push.queue), push.raw, push.ran,
                push.shown,
            ]  # fmt: skip
            lock = push.lock
            if lock is not None:
                arguments += lock.job_id, lock.mode, encoded(lock.job), encoded(lock.key), LOCK_MS
            # The script takes a key for a lock in any case; without a lock it leaves this one
            # alone.
            locked = keys.queues if lock is None else keys.unique(lock.digest)
            calls.append(([*ours, keys.queue(push.queue), locked], arguments))
        replies = self._server.pipeline_script("cron_tick", calls)
        return [reply if isinstance(reply, Exception) else int(reply) for reply in replies]

    def due(self, until: int) -> list[tuple[str, int]]:
        """Entries with a tick up to `until` (epoch milliseconds), the earliest first."""
        found = self._server.read(
            (), "ZRANGEBYSCORE", self._keys.cron_next, "-inf", until, "WITHSCORES"
        )
        return [(name, _time(score)) for name, score in _pairs(found)]

    def next_of(self, name: str) -> int | None:
        """The next tick of an entry, in epoch milliseconds; None where it has none."""
        score = self._server.read(None, "ZSCORE", self._keys.cron_next, name)
        return None if score is None else _time(score)

    def first_after(self, ms: int) -> int | None:
        """The first tick after `ms` of any entry."""
        found = self._server.read(
            (), "ZRANGEBYSCORE", self._keys.cron_next, f"({ms}", "+inf", "WITHSCORES", "LIMIT",
            0, 1,
        )  # fmt: skip
        return next((_time(score) for _, score in _pairs(found)), None)

    def forget_next(self, name: str) -> None:
        """Take away the next tick of an entry that is not there."""
        self._server.call("ZREM", self._keys.cron_next, name)

    # Pausing

    def pause(self, name: str, entry: bytes) -> int:
        """1 when it is paused now, 0 when it was, -1 when the entry is another by now."""
        return self._pause(name, entry, "pause", "")

    def resume(self, name: str, entry: bytes, following: int | None) -> int:
        """As `pause`; `following` is its next tick."""
        return self._pause(name, entry, "resume", "" if following is None else following)

    def _pause(self, name: str, entry: bytes, act: str, tick: Any) -> int:
        keys = self._keys
        names = [keys.cron, keys.cron_next, keys.cron_paused]
        return int(self._server.run_script("cron_pause", names, [name, entry, act, tick]))

    # Those of Ruby programs

    def ruby(self) -> dict[str, bytes]:
        """Their entries: name -> configuration as JSON."""
        return dict(_pairs(self._server.read((), "HGETALL", self._keys.persistent_schedules)))

    def remove_ruby(self, name: str) -> None:
        """Remove an entry as Ruby's `remove_schedule` does."""
        self._server.call("HDEL", self._keys.persistent_schedules, name)
        self._server.call("SADD", self._keys.schedules_changed, name)


def _pairs(flat: Any) -> Iterator[tuple[str, bytes]]:
    if isinstance(flat, dict):
        return ((decoded(name), value) for name, value in flat.items())
    return ((decoded(name), value) for name, value in zip(flat[::2], flat[1::2], strict=True))


def _time(score: bytes | str | float) -> int:
    return int(min(max(float(score), 0), LAST_MS))


def _last(raw: bytes) -> tuple[int, str]:
    tick, _, job_id = decoded(raw).partition(" ")
    try:
        return _time(tick), job_id
    except ValueError:
        return 0, job_id
