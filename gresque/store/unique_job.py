"""The form in which `enqueue_unique.lua` takes unique jobs. Pure."""

from __future__ import annotations

from typing import NamedTuple

MOST_JOBS = 775
"""The most jobs of one call: it takes 3,900 KEYS and ARGV, and each job has five."""


class Terms(NamedTuple):
    """What the jobs of a call have in common, in the order of the script's ARGV."""

    kind: str
    """`in` or `at`: what the times of the jobs are; or `debounce`, `throttle`."""
    mode: str
    on_duplicate: str
    job_class: str
    ttl_ms: int
    period_ms: int = 0
    most: int = 0


class UniqueJob(NamedTuple):
    """A job, and its key."""

    job_id: str
    milliseconds: int
    """A delay, or a time since the epoch."""
    key: str
    digest: str
    raw: bytes
