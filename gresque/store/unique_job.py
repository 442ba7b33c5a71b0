"""Unique jobs as the script that enqueues them takes them. Pure."""

from __future__ import annotations

from typing import NamedTuple

MOST_JOBS = 775
"""Of one call: a script takes 3,900 KEYS and ARGV, and each job has five."""


class Terms(NamedTuple):
    """What the jobs of a call have in common, as the script takes it (see its ARGV)."""

    kind: str
    """`in` or `at`: what the times of the jobs are; or `debounce`, `throttle`."""
    mode: str
    on_duplicate: str
    job_class: str
    ttl_ms: int
    period_ms: int = 0
    most: int = 0


class UniqueJob(NamedTuple):
    """A job, and what it has in common with those that it excludes."""

    job_id: str
    milliseconds: int
    """A delay, or a time of the epoch."""
    key: str
    digest: str
    raw: bytes
