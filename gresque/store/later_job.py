"""A job that waits for its time, and when it is due. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from gresque.store.keys import Keys
from gresque.store.ledger import write_entry
from gresque.text import encoded

LATEST_MS = 253_402_300_799_000
"""The end of the year 9999: no job is due after it."""

_ID = re.compile("[0-9a-f]{32}")


def member_for(job_id: object) -> str:
    """The name under which a job waits: its id, or a random one for a job that has none of its own.
    The script that adds it lengthens it when another job has it."""
    if isinstance(job_id, str) and _ID.fullmatch(job_id):
        return job_id
    return os.urandom(16).hex()


class Times(NamedTuple):
    """When the jobs of a call are due: delays from the server's time, or times of the epoch."""

    are_delays: bool
    milliseconds: Sequence[int]
    """One for each job."""


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
