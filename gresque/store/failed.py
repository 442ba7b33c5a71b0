"""The lists of failed jobs, and the lock that one command at a time takes on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gresque.connection.scripts import script
from gresque.store.failed_changes import trimmed
from gresque.store.server import Server
from gresque.text import decoded, encoded


class RetriedLock(NamedTuple):
    """The lock that a unique job takes, if it is free, when it is tried again by hand. For other
    jobs the digest is empty."""

    digest: str = ""
    job_id: str = ""
    mode: str = ""
    job_class: str = ""


NO_LOCK = RetriedLock()


class RetriedState(NamedTuple):
    """What is known of a tracked job from when it is tried again by hand. For other jobs the id is
    empty."""

    job_id: str = ""
    state: str = ""
    details: bytes = b""
    expiry_ms: int = 0


NO_STATE = RetriedState()


class FailedMove(NamedTuple):
    """A failed job on its way back: the entry as it was read at `place` in the list, what stands
    there then, and the item to push into its queue."""

    place: int
    entry: bytes
    marked: bytes
    queue: str
    item: bytes
    lock: RetriedLock = NO_LOCK
    state: RetriedState = NO_STATE


class FailedChange(NamedTuple):
    """A change of an entry: `kept` stands in its place, or nothing when that is empty; a job is
    pushed when there is a `queue`."""

    entry: bytes
    kept: bytes
    queue: str = ""
    item: bytes = b""
    lock: RetriedLock = NO_LOCK
    state: RetriedState = NO_STATE


class FailedLists:
    """The LIST of failed jobs; for the backend that keeps one for each queue, the lists and the SET
    of their names."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def names(self) -> list[str]:
        """The names of the failed lists, where each queue has one."""
        names = self._server.read((), "SMEMBERS", self._keys.failed_queues)
        return sorted(decoded(name) for name in names)

    def count(self, key: str) -> int:
        return int(self._server.read(0, "LLEN", key))

    def counts(self, names: Sequence[str]) -> list[int]:
        """How many entries the failed lists with these names have."""
        pipeline = self._server.redis.pipeline(transaction=False)
        for name in names:
            pipeline.llen(encoded(self._keys.failed_list(name)))
        sizes = pipeline.execute(raise_on_error=False)
        return self._server.numbers([self._keys.failed_list(name) for name in names], sizes)

    def page(self, key: str, start: int, count: int) -> list[bytes]:
        """`count` entries from index `start`, the oldest being 0."""
        entries: list[bytes] = self._server.read([], "LRANGE", key, start, start + count - 1)
        return entries

    def append(self, key: str, name: str, entries: Sequence[bytes]) -> None:
        """Add entries as the newest of a list, whose name in `failed_queues` this is, if it has
        one."""
        pipeline = self._server.redis.pipeline(transaction=True)
        if name:
            pipeline.sadd(self._keys.failed_queues, encoded(name))
        pipeline.rpush(encoded(key), *entries)
        pipeline.execute()

    def retry(self, key: str, moves: Sequence[FailedMove]) -> list[bool]:
        """Push and mark failed jobs, each in one atomic step, all in one round trip; False where
        another entry stands now."""
        found, keys = script("retry_failed"), self._keys
        pipeline = self._server.redis.pipeline(transaction=False)
        for position, (place, entry, marked, queue, item, lock, state) in enumerate(moves):
            # The first one brings the script along, should the server not know it.
            run = ("EVALSHA", found.sha) if position else ("EVAL", found.text)
            pipeline.execute_command(
                *run, 6, key, keys.queues, keys.queue(queue), self._lock(lock, key),
                keys.failed_changes, self._state(state, key),
                place, entry, marked, queue, item, *lock[1:], *state[1:],
            )  # fmt: skip
        return [bool(done) for done in pipeline.execute()]

    def _lock(self, lock: RetriedLock, otherwise: str) -> str:
        """The key of the lock; another key where there is no lock, as the script takes one for each
        job."""
        return self._keys.unique(lock.digest) if lock.digest else otherwise

    def _state(self, state: RetriedState, otherwise: str) -> str:
        """The key of the state of a tracked job; another key for other jobs."""
        return self._keys.job(state.job_id) if state.job_id else otherwise

    def begin_sweep(self, token: str, expiry_ms: int) -> bool:
        """Take the lock on the failed jobs; False when another command holds it."""
        key = self._keys.failed_sweep
        if self._server.call("SET", key, token, "NX", "PX", expiry_ms):
            return True
        if self._server.call("PTTL", key) > expiry_ms:  # the server's clock was set back
            self._server.call("PEXPIRE", key, expiry_ms)
        return False

    def end_sweep(self, token: str) -> None:
        self._server.run_script("release", [self._keys.failed_sweep], [token])

    def rewrite(
        self,
        key: str,
        token: str,
        expiry_ms: int,
        count: int,
        last: bytes,
        changes: Sequence[tuple[int, FailedChange]],
    ) -> int:
        """Go through the `count` oldest entries in one atomic step: those at the places of
        `changes` (from 1) become what these say, all that are kept become the newest.

        Returns how many jobs could not be pushed, their entries being kept as they were. -1 when
        others are the oldest now, the last of them not being `last`; -2 when another command took
        the lock over: nothing was done.
        """
        keys = self._keys
        queues = [
            part
            for _, change in changes
            for part in (
                keys.queue(change.queue) if change.queue else key,
                self._lock(change.lock, key),
                self._state(change.state, key),
            )
        ]
        arguments: list[Any] = [
            part
            for place, (entry, kept, queue, item, lock, state) in changes
            for part in (
                place,
                entry,
                kept,
                "push" if queue else "",
                queue,
                item,
                *lock[1:],
                *state[1:],
            )
        ]
        return int(
            self._server.run_script(
                "rewrite_failed",
                [key, keys.queues, keys.failed_sweep, keys.failed_changes, *queues],
                [token, expiry_ms, count, last, *arguments],
            )
        )

    def remove(self, key: str, entries: Sequence[tuple[int, bytes]]) -> int:
        """Remove entries by index, in one atomic step, each only if it is the one that was read;
        returns how many were removed."""
        if not entries:
            return 0
        return int(
            self._server.run_script(
                "remove_failed",
                [key, self._keys.failed_changes],
                [part for pair in entries for part in pair],
            )
        )

    def trim_oldest(
        self, key: str, token: str, keep: int | None, too_old: Sequence[bytes], most: int
    ) -> int:
        """Remove the oldest entries: these, which are the first ones of the list as they were
        read, and those above `keep`; `most` of them at once. Returns how many; -1 when another
        process has taken the lock over."""
        return int(
            self._server.run_script(
                "trim_failed",
                [key, self._keys.failed_sweep, self._keys.failed_changes],
                [
                    token, "" if keep is None else keep, len(too_old),
                    too_old[-1] if too_old else "", most,
                ],
            )
        )  # fmt: skip

    def trim(self, key: str, count: int) -> int:
        """Remove the `count` oldest entries; returns how many there were."""
        pipeline = self._server.redis.pipeline(transaction=True)
        pipeline.llen(key)
        pipeline.ltrim(key, count, -1)
        pipeline.execute_command("XADD", *trimmed(self._keys.failed_changes, key, count))
        return min(count, int(pipeline.execute()[0]))
