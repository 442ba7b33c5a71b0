"""Payloads on their way to the server, and what is noted there of tracked jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gresque.store.keys import Keys

ENDED = frozenset({"done", "failed", "cancelled"})
"""The states that no other one follows, but by a retry by hand."""

MOST_TRACKED = 640
"""The most tracked jobs of one call: it takes 3,900 KEYS and ARGV, and each has up to six."""


class Track(NamedTuple):
    """The tracked jobs of a call: their ids, their class, and for how long a result is kept."""

    ids: Sequence[str]
    job_class: str
    ttl_ms: int

    def keys(self, keys: Keys) -> Iterable[str]:
        return map(keys.job, self.ids)


class NewState(NamedTuple):
    """What is to be known of a tracked job from now on. Without `state` it stays as it is, and is
    kept for at least this time."""

    job_id: str
    state: str = ""
    details: bytes = b""
    expiry_ms: int = 0


class Batch(list[bytes]):
    """The arguments of a call, such as payloads. A plain list stands for jobs that are not
    tracked."""

    track: Track | None = None


def tracked(arguments: Iterable[bytes], track: Track | None) -> list[bytes]:
    """These arguments, with what is to be noted of their jobs."""
    if track is None:
        return [*arguments]
    batch = Batch(arguments)
    batch.track = track
    return batch


def track_of(arguments: Sequence[bytes]) -> Track | None:
    """What is to be noted of the jobs of a call."""
    return arguments.track if isinstance(arguments, Batch) else None
