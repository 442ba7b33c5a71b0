"""Jobs that wait for their time in `later`: delayed ones, and failed ones before another attempt.

A member of the ZSET `later` is scored with the time at which its job is due; the HASH `later:jobs`
holds the job, as an entry of a ledger. Both are written by one script, so a job never stands in one
of them alone.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from gresque.store.keys import Keys
from gresque.store.ledger import LedgerEntry, parse_entry, write_entry
from gresque.store.server import Server
from gresque.text import decoded, encoded

LATEST_MS = 253_402_300_799_000
"""The end of the year 9999: no job is due after it."""

_ID = re.compile("[0-9a-f]{32}")


def member_for(job_id: object) -> str:
    """The name under which a job waits: its id, or a random one for a job that has none of its own.
    The script that adds it lengthens it when another job has it."""
    if isinstance(job_id, str) and _ID.fullmatch(job_id):
        return job_id
    return os.urandom(16).hex()


class LaterJob(NamedTuple):
    """A job that waits for its time."""

    member: str
    due_ms: int
    """When it is due: milliseconds of the epoch, by the server's clock."""
    queue: str
    raw: bytes
    """Its payload."""

    def entry(self, keys: Keys) -> bytes:
        """As it stands in `later:jobs`."""
        return write_entry(encoded(keys.queue(self.queue)), self.raw)


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
        dues = dict(_scores(found))
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
        return None if due is None else self._job(member, int(float(due)), entry)

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
        return parse_entry(entry or b"", (encoded(keys.queue_prefix),))
    except ValueError:
        return None


def _scores(flat: list[bytes]) -> list[tuple[str, int]]:
    return [
        (decoded(member), int(float(score)))
        for member, score in zip(flat[::2], flat[1::2], strict=True)
    ]
