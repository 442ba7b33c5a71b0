"""What is known of tracked jobs: the HASH `job:<id>` of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gresque.store.refusals import name_refused, pairs
from gresque.store.server import Server
from gresque.store.track import NewState
from gresque.text import decoded, encoded

READ_AT_ONCE = 500
WRITTEN_AT_ONCE = 900
REFUSED = "it is not known what becomes of these jobs"


class TrackedState(NamedTuple):
    """The fields of a tracked job, as they were read. A text is empty where there is none."""

    state: str
    job_class: str
    queue: str
    details: bytes
    due_ms: float | None
    """When it is due, if it waits for its time."""


class Tracks:
    """Reads and writes what is known of tracked jobs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def read(self, ids: Sequence[str]) -> list[TrackedState | None]:
        """None for a job of which nothing is known; each at one moment, and all in few trips."""
        found: list[TrackedState | None] = []
        for start in range(0, len(ids), READ_AT_ONCE):
            found += self._read(ids[start : start + READ_AT_ONCE])
        return found

    def _read(self, ids: Sequence[str]) -> Iterable[TrackedState | None]:
        keys, empty = self._keys, dict[bytes, bytes]()
        pipeline = self._server.redis.pipeline(transaction=True)
        for job_id in ids:
            pipeline.execute_command("HGETALL", encoded(keys.job(job_id)))
            pipeline.execute_command("ZSCORE", encoded(keys.later), encoded(job_id))
        replies = pipeline.execute(raise_on_error=False)
        for job_id, fields, due in zip(ids, replies[::2], replies[1::2], strict=True):
            fields = self._server.reply(empty, keys.job(job_id), fields)
            due = self._server.reply(None, keys.later, due)
            if b"s" not in fields:
                yield None
                continue
            state, job_class, queue = (
                decoded(fields.get(name, b"")) for name in (b"s", b"c", b"q")
            )
            details = fields.get(b"d", b"")
            yield TrackedState(
                state, job_class, queue, details, None if due is None else float(due)
            )

    def write(self, states: Sequence[NewState]) -> None:
        """Write these states, all that the server takes."""
        for start in range(0, len(states), WRITTEN_AT_ONCE):
            some = states[start : start + WRITTEN_AT_ONCE]
            keys = [encoded(self._keys.job(each.job_id)) for each in some]
            arguments = [part for each in some for part in each[1:]]
            refused = self._server.run_script("write_states", keys, arguments)
            name_refused(self._keys, pairs(refused), REFUSED)
