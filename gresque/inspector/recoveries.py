"""The log of recoveries."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gresque.clock import parse_iso_8601
from gresque.store.store import Store


@dataclass(frozen=True)
class LoggedRecovery:
    """One entry of the log of recoveries: the time, the dead process and the cause of its death,
    the process that recovered it (`host:pid`), and how its jobs ended. Poison jobs count among the
    failed ones, too."""

    at: str
    process: str
    cause: str
    by: str
    requeued: int
    failed: int
    poison: int
    retried: int = 0

    @property
    def order(self) -> float:
        """By which recoveries of several shards are merged: the newest first."""
        return -(parse_iso_8601(self.at) or 0.0)

    @classmethod
    def newest(cls, store: Store, count: int) -> list[LoggedRecovery]:
        """The last recoveries, the newest first; what cannot be read is left out."""
        entries = map(_parse, store.recovery.log(count))
        return [entry for entry in entries if entry is not None]


def _parse(raw: bytes) -> LoggedRecovery | None:
    try:
        return msgspec.json.decode(raw, type=LoggedRecovery)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
