"""The schedule as it stands in Redis, and changes of it."""

from __future__ import annotations

from typing import NamedTuple


class Snapshot(NamedTuple):
    """The schedule as it stands, by the names of its entries."""

    entries: dict[str, bytes]
    """As JSON."""
    next: dict[str, int]
    """The next tick, in epoch milliseconds. A paused entry has none."""
    last: dict[str, tuple[int, str]]
    """The last tick that ran, and the id of its job."""
    paused: set[str]


class Change(NamedTuple):
    """An entry that is written in place of what was read."""

    name: str
    old: bytes
    """Empty: there was none."""
    new: bytes
    """Empty: it goes."""
    next: int | None
    """Its next tick, in epoch milliseconds."""
    keep: bool = False
    """Whether the next tick that it has already stays."""


LOCK_MS = 86_400_000
"""The lock of an entry's job expires after a day, if nothing releases it."""


class Tick(NamedTuple):
    """A tick that is due."""

    name: str
    entry: bytes
    """As it was read."""
    due: int
    """As it was read, in epoch milliseconds."""
    next: int | None


class Push(NamedTuple):
    """The job of a tick, which is enqueued while the next tick is set."""

    tick: Tick
    queue: str
    raw: bytes = b""
    """Empty: the tick does not run."""
    ran: str = ""
    """Written to `cron:last`."""
    shown: str = ""
    """Written to what Ruby's page shows."""
    lock: TickLock | None = None


class TickLock(NamedTuple):
    """The lock that the job of a tick takes. While another job has it, the tick does not run."""

    digest: str
    job_id: str
    mode: str
    job: str
    """The name of the job."""
    key: str
