"""The effects of the ends of unique jobs on their locks. Pure.

A lock names the job that holds it, and effects compare that: the end of another job changes
nothing.
"""

from __future__ import annotations

from gresque.jobs import payload
from gresque.jobs.unique import Mark
from gresque.store.effects import Effect, awaited, passed_on, prolonged, put_off, unlocked
from gresque.store.keys import Keys
from gresque.store.later_job import member_for

WAIT_MS = 60_000
"""A job that waits for a lock is due after this time, if no other job has passed the lock on to
it."""


def release(keys: Keys, queue: str, raw: bytes, mark: Mark) -> Effect:
    """The effect where the job has ended for good, or goes back and releases its lock."""
    job_id = job_id_of(raw)
    make = passed_on if mark.mode == "running" else unlocked
    return make(keys, mark.digest, queue, job_id)


def keep_until(keys: Keys, raw: bytes, mark: Mark, delay_ms: int) -> Effect:
    """The effect where the job waits for its next attempt and keeps its lock."""
    return prolonged(keys, mark.digest, job_id_of(raw), delay_ms)


def wait(keys: Keys, queue: str, raw: bytes, mark: Mark) -> tuple[Effect, Effect]:
    """The effects where another job has the lock: this one waits for it in `later`."""
    job_id = job_id_of(raw)
    away = put_off("snooze", keys, queue, WAIT_MS, member_for(job_id), raw)
    return away, awaited(keys, mark.digest, queue, job_id)


def job_id_of(raw: bytes) -> str:
    """The id of a job; "" for a payload without one, which holds no lock."""
    found = payload.id_of(raw)
    return found if isinstance(found, str) else ""
