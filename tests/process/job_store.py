"""The Redis of the jobs of tests."""

from __future__ import annotations

import os

import redis

_pool: redis.Redis | None = None


def store() -> redis.Redis:
    """The tests' Redis; one client per process, made by its first job. JOBS_REDIS_URL is its URL
    where redis-py does not understand that of the worker."""
    global _pool
    if _pool is None or _pool.owner != os.getpid():  # type: ignore[attr-defined]
        _pool = redis.Redis.from_url(
            os.environ.get("JOBS_REDIS_URL") or os.environ["REDIS_URL"],
            max_connections=10_000,
            socket_timeout=60,  # for a busy machine
        )
        _pool.owner = os.getpid()  # type: ignore[attr-defined]
    return _pool
