"""Jobs that wait for their time in `later`: delayed ones, and failed ones before another attempt.

A member of the ZSET `later` is scored with the time at which its job is due; the HASH `later:jobs`
holds the job, as an entry of a ledger. Both are written by one script, so a job never stands in one
of them alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis

from gresque.store.keys import Keys
from gresque.store.later_job import LATEST_MS, LaterJob
from gresque.store.ledger import UNCOUNTED, LedgerEntry, parse_entry
from gresque.store.refusals import pairs
from gresque.store.server import Server
from gresque.text import decoded, encoded

PAGE = OVERLAP = 500
PROMOTED_JOBS = 250
PROMOTED_BYTES = 4 * 1024 * 1024
"""What one script moves at most: while it runs the server serves nobody else."""


class Later:
    """The jobs in `later`, in the order in which they are due."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def count(self) -> int:
        return int(self._server.read(0, "ZCARD", self._keys.later))

    def page(self, start: int = 0, count: int = 1) -> list[LaterJob]:
        """`count` jobs from position `start`, the next due one first. A member without a readable
        entry is left out."""
        if count <= 0:
            return []
        found = self._server.read(
            (), "ZRANGE", self._keys.later, start, start + count - 1, "WITHSCORES"
        )
        return self._jobs(dict(_scores(found)))

    def each(self) -> Iterator[LaterJob]:
        """All, the next due one first, read as they are taken. A page begins among the jobs of the
        one before it, as many of those may be on their way meanwhile."""
        start, seen = 0, frozenset[str]()
        while True:
            found = self._server.read(
                (), "ZRANGE", self._keys.later, start, start + PAGE + OVERLAP - 1, "WITHSCORES"
            )
            dues = dict(_scores(found))
            yield from self._jobs({name: dues[name] for name in dues if name not in seen})
            if len(dues) < PAGE + OVERLAP:
                return
            start += PAGE
            seen = frozenset(dues)

    def _jobs(self, dues: Mapping[str, int]) -> list[LaterJob]:
        if not dues:
            return []
        entries = self._server.read(
            [None] * len(dues), "HMGET", self._keys.later_jobs, *map(encoded, dues)
        )
        jobs = (
            self._job(member, due, entry)
            for (member, due), entry in zip(dues.items(), entries, strict=True)
        )
        return [job for job in jobs if job is not None]

    def find(self, member: str) -> LaterJob | None:
        """The job that waits under this name, which mostly is its id."""
        entry = self._server.read(None, "HGET", self._keys.later_jobs, member)
        due = self._server.read(None, "ZSCORE", self._keys.later, member)
        return None if due is None else self._job(*_scores([encoded(member), due])[0], entry)

    # Due jobs

    def due(self, skip: int = 0) -> list[tuple[bytes, bytes]]:
        """The next jobs that are due by the server's clock, 250 at most, after the first `skip`:
        name and queue key, which is empty for what is no entry of a job."""
        keys = [self._keys.later, self._keys.later_jobs]
        arguments = [skip, PROMOTED_JOBS, PROMOTED_BYTES]
        found: list[bytes]
        try:
            found = self._server.run_script("due_later", keys, arguments)
        except redis.ResponseError as error:
            of_jobs = str(error).endswith(f": {self._keys.later_jobs}")
            found = self._server.reply([], keys[of_jobs], error, "delayed jobs wait")
        return list(zip(found[::2], found[1::2], strict=True))

    def promote(self, due: Sequence[tuple[bytes, bytes]]) -> tuple[int, list[tuple[str, str]]]:
        """Move due jobs to their queues, in this order; an empty queue key forgets a name without
        an entry. Returns how many were moved, and the keys that refused, with their errors."""
        numbers: dict[bytes, int] = {}
        places: list[Any] = []
        for name, queue_key in due:
            number = numbers.setdefault(queue_key, len(numbers) + 1) if queue_key else 0
            places += name, number
        skip = len(encoded(self._keys.queue_prefix))
        ours = [self._keys.later, self._keys.later_jobs, self._keys.queues]
        keys: list[str | bytes] = [*ours, *numbers]
        names = [key[skip:] for key in numbers]
        moved, refused = self._server.run_script("promote", keys, [len(names), *names, *places])
        return int(moved), pairs(refused)

    def entry(self, member: str) -> bytes | None:
        """What stands in `later:jobs`, of any form."""
        found: bytes | None = self._server.read(None, "HGET", self._keys.later_jobs, member)
        return found

    # Jobs without a time

    def count_strays(self) -> int:
        """How many more jobs there are than times: as when another program has deleted some."""
        keys = [self._keys.later, self._keys.later_jobs]
        pipeline = self._server.redis.pipeline(transaction=True)
        pipeline.zcard(keys[0])
        pipeline.hlen(keys[1])
        times, jobs = self._server.numbers(keys, pipeline.execute(raise_on_error=False))
        return max(jobs - times, 0)

    def strays(self, cursor: int) -> tuple[int, dict[bytes, bytes]]:
        """Some jobs that have no time, name -> entry, and the cursor for more; 0 at the end."""
        keys = self._keys
        following, flat = self._server.call("HSCAN", keys.later_jobs, cursor, "COUNT", PAGE)
        found = dict(_pairs(flat))
        if not found:
            return int(following), {}
        dues = self._server.call("ZMSCORE", keys.later, *found)
        return int(following), {
            name: entry
            for (name, entry), due in zip(found.items(), dues, strict=True)
            if due is None
        }

    def give_times(self, dues: Mapping[bytes, int]) -> int:
        """Let jobs without a time be due then (epoch milliseconds); returns how many were."""
        arguments = [part for pair in dues.items() for part in pair]
        given = 0
        for first in range(0, len(arguments), 2 * PAGE):
            some = arguments[first : first + 2 * PAGE]
            keys = [self._keys.later, self._keys.later_jobs]
            given += int(self._server.run_script("restore_later", keys, some))
        return given

    # One job

    def cancel(self, member: str) -> bool:
        """Remove a job; False when none waits under this name any more."""
        pipeline = self._server.redis.pipeline(transaction=True)
        pipeline.zrem(self._keys.later, encoded(member))
        pipeline.hdel(self._keys.later_jobs, encoded(member))
        return bool(pipeline.execute()[1])

    def run_now(self, job: LaterJob, raw: bytes) -> bool:
        """Move a job to the end of its queue, with this payload; False when it was moved, removed
        or changed since it was read."""
        keys = self._keys
        return self._move(
            job.member, job.entry(keys), keys.queue(job.queue), raw, keys.queues, job.queue
        )

    def bury(
        self, member: str, entry: bytes, failed_list: str, failed_entry: bytes, list_name: str
    ) -> bool:
        """Move what is no entry of a job to a failed list."""
        known = self._keys.failed_queues
        return self._move(member, entry, failed_list, failed_entry, known, list_name)

    def _move(
        self, member: str, entry: bytes, list_key: str, pushed: bytes, known: str, name: str
    ) -> bool:
        keys = [self._keys.later, self._keys.later_jobs, list_key, known]
        return bool(self._server.run_script("move_later", keys, [member, entry, pushed, name]))

    def put_off(
        self,
        job: LaterJob,
        raw: bytes,
        milliseconds: int,
        *,
        is_delay: bool,
        lock: tuple[str, str] | None = None,
    ) -> bool:
        """Give a job another time, and this payload; False as for `run_now`. `lock` is the digest
        of a unique job, and its id."""
        keys, (digest, job_id) = self._keys, lock or ("", "")
        names = [keys.later, keys.later_jobs]
        names += [keys.unique(digest), keys.unique_waiting(digest)] if lock else 2 * [keys.later]
        new, how = job._replace(raw=raw).entry(keys), "in" if is_delay else "at"
        arguments = [job.member, job.entry(keys), new, how, milliseconds, job_id]
        return bool(self._server.run_script("put_off_again", names, arguments))

    def _job(self, member: str, due_ms: int, entry: bytes | None) -> LaterJob | None:
        found = entry_of(self._keys, entry)
        if found is None:
            return None
        queue = self._keys.queue_of(decoded(found.queue_key))
        assert queue is not None
        return LaterJob(member, due_ms, queue, found.raw)


def entry_of(keys: Keys, entry: bytes | None) -> LedgerEntry | None:
    """What stands in `later:jobs`; None for what is no job of a queue."""
    try:
        found = parse_entry(entry or b"", (encoded(keys.queue_prefix),))
    except ValueError:
        return None
    return found if found.flag == UNCOUNTED else None


def _pairs(flat: Any) -> Iterable[tuple[bytes, bytes]]:
    return flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)


def _scores(flat: list[bytes]) -> list[tuple[str, int]]:
    return [
        (decoded(member), int(min(max(float(score), 0), LATEST_MS)))
        for member, score in zip(flat[::2], flat[1::2], strict=True)
    ]
