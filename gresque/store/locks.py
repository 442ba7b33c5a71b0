"""The locks of unique jobs: listing them, and releasing them from outside of the job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gresque.store.effects import Effect, EffectKeys
from gresque.store.refusals import name_refused, pairs
from gresque.store.server import Server
from gresque.text import decoded, encoded

RELEASED_AT_ONCE = 300
"""The effects of one call: each takes four arguments and up to five keys."""
REFUSED = "the lock stays until it is swept, or expires"
PAGE, OVERLAP = 500, 100


class Lock(NamedTuple):
    """A lock as it was read. A text is empty where the lock has no such field."""

    digest: str
    job_id: str
    mode: str
    """`queued`, `running`, `both`, or `throttle`."""
    job_class: str
    key: str
    queue: str
    since: float | None
    """When the lock was taken, in epoch seconds by the server's clock."""
    expires: float | None
    """Seconds until it expires; None for never."""
    waiting: int
    """The number of jobs that wait for it."""
    by: str
    """In mode `running`: the process that runs the job, and its slot."""
    next_run: bool
    """One more run follows the job."""
    keeps_payload: bool
    """It keeps the payload of that run, or one in place of its job's. The script that put it there
    gave the lock ten years, which stand for never."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a user may ask for it: its key, its digest, the id of its job."""
        return tuple(name for name in (self.key, self.digest, self.job_id) if name)


class Locks:
    """The HASH of each lock, and the ZSET of those that wait for it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    # Jobs that are taken out by hand

    def apply(self, effects: Sequence[Effect]) -> None:
        """Apply these effects of the kinds `unlock` and `pass_on`."""
        for first in range(0, len(effects), RELEASED_AT_ONCE):
            keys = EffectKeys(2)
            arguments: list[Any] = []
            for kind, key, a, b, _, second in effects[first : first + RELEASED_AT_ONCE]:
                arguments += kind, keys.place(key, second), _text(a), _text(b)
            all_keys: list[str | bytes] = [self._keys.queues, *map(encoded, keys.keys)]
            refused = self._server.run_script("release_locks", all_keys, arguments)
            name_refused(self._keys, pairs(refused), REFUSED)

    def take_out(self, queue: str, effect: Effect, *, item: bytes = b"", member: str = "") -> int:
        """Take a unique job out of its queue, or under its name out of `later`, and release its
        lock in the same step; returns how many there were."""
        keys, more = self._keys, EffectKeys(7)
        kind, key, a, b, _, second = effect
        more.place(key, second)
        places = map(encoded, keys.places(queue))
        all_keys: list[str | bytes] = [keys.queues, keys.later, keys.later_jobs]
        all_keys += *places, *map(encoded, more.keys)
        arguments = [item, encoded(member), kind, _text(a), _text(b)]
        return int(self._server.run_script("take_out", all_keys, arguments))

    # All of them

    def each(self) -> Iterator[Lock]:
        """All locks, in no order. Locks may be taken and released meanwhile."""
        for digests in self._pages():
            yield from self._read(digests)

    def some(self, cursor: int = 0, count: int = 100, steps: int = 20) -> tuple[list[Lock], int]:
        """Some locks, in no order, and the cursor for more, 0 at the end. It stops when it has
        `count` of them, or after this number of steps of PAGE keys of the database."""
        found: list[Lock] = []
        for _ in range(steps):
            cursor, digests = self._scan(cursor)
            found += self._read(sorted(digests))
            if not cursor or len(found) >= count:
                break
        return found, cursor

    def find(self, digest: str) -> Lock | None:
        """The lock with this digest."""
        return next(self._read([digest]), None)

    def _read(self, digests: Sequence[str]) -> Iterator[Lock]:
        if digests:
            pipeline = self._server.redis.pipeline(transaction=False)
            for digest in digests:
                pipeline.hgetall(self._keys.unique(digest))
                pipeline.pttl(self._keys.unique(digest))
                pipeline.zcard(self._keys.unique_waiting(digest))
            replies = pipeline.execute(raise_on_error=False)
            for digest, fields, expires, waiting in zip(
                digests, replies[::3], replies[1::3], replies[2::3], strict=True
            ):
                if isinstance(fields, dict) and fields:  # it may be gone by now
                    yield _lock(digest, fields, expires, waiting)

    def by_age(self) -> list[Lock]:
        """All locks, the oldest first."""
        return sorted(self.each(), key=lambda lock: (lock.since or 0.0, lock.digest))

    def _pages(self) -> Iterator[list[str]]:
        cursor, seen = 0, set[str]()
        while True:
            cursor, found = self._scan(cursor)
            digests = found - seen
            seen |= digests
            if digests:
                yield sorted(digests)
            if not cursor:
                return

    def _scan(self, cursor: int) -> tuple[int, set[str]]:
        prefix = self._keys.unique("")
        pattern = "".join(f"\\{c}" if c in "\\*?[]" else c for c in prefix) + "?" * 32
        following, found = self._server.call("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)
        return int(following), {decoded(key).removeprefix(prefix) for key in found}

    # The places of the jobs that hold them

    def delayed_among(self, job_ids: Sequence[str]) -> set[str]:
        """Those of these jobs that wait in `later`."""
        pipeline = self._server.redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hexists(self._keys.later_jobs, job_id)
        return {job_id for job_id, there in zip(job_ids, pipeline.execute(), strict=True) if there}

    def held_by(self, process_id: str) -> set[str]:
        """The ids of the jobs that a process holds."""
        ids = self._server.run_script("ids_of", [encoded(self._keys.ledger(process_id))], [])
        return set(map(decoded, ids))

    def waiting_in(self, queue: str) -> Iterator[set[str]]:
        """The ids of the jobs that wait in a queue, page by page from its end. Jobs that are
        reserved meanwhile leave at its head, so none is missed."""
        for place in self._keys.places(queue):
            end = int(self._server.read(0, "LLEN", place))
            while end > 0:
                start = max(end - PAGE, 0)
                ids = self._server.run_script("ids_of", [encoded(place)], [start, end - 1])
                yield set(map(decoded, ids))
                end = start + OVERLAP if start else 0

    def prolong(self, lock: Lock, milliseconds: int) -> None:
        """Let a lock expire this long from now."""
        self._server.call("PEXPIRE", self._keys.unique(lock.digest), milliseconds)

    def release(self, lock: Lock) -> bool:
        """Delete a lock if the same job still holds it. Jobs that wait for it are due at once, and
        a further run is enqueued now."""
        keys = self._keys
        names: list[str | bytes] = [
            keys.unique(lock.digest), keys.unique_waiting(lock.digest), keys.later, keys.queues,
            encoded(keys.queue(lock.queue)),
        ]  # fmt: skip
        arguments = [encoded(lock.job_id), encoded(lock.queue)]
        return bool(self._server.run_script("release_lock", names, arguments))


def _text(value: Any) -> Any:
    return encoded(value) if isinstance(value, str) else value


def _lock(digest: str, fields: dict[bytes, bytes], expires: Any, waiting: Any) -> Lock:
    texts = {decoded(name): decoded(value) for name, value in fields.items()}
    since = texts.get("since", "")
    return Lock(
        digest,
        texts.get("id", ""),
        texts.get("mode", ""),
        texts.get("class", ""),
        texts.get("key", ""),
        texts.get("queue", ""),
        int(since) / 1000 if since.isdigit() else None,
        expires / 1000 if isinstance(expires, int) and expires >= 0 else None,
        waiting if isinstance(waiting, int) else 0,
        texts.get("by", ""),
        "again" in texts,
        "again" in texts or "payload" in texts,
    )
