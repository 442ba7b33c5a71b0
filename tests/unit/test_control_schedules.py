"""Schedule entries and locks, acted upon from outside: the log says who did it."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import redis

from gresque.client.schedules import Schedules
from gresque.control.locks import release_lock
from gresque.control.schedules import pause, resume, run_now, skip
from gresque.errors import ScheduleError
from gresque.store.store import Store

BY = "joe@vm"


def test_the_log_says_who_did_what(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gresque.control")
    schedules = Schedules(lambda: nullcontext(store))
    schedules.set("a\n", cron="0 9 * * * UTC", job="A", queue="q", overlap="skip")
    first = schedules.next("a\n", 1)[0]
    job = run_now(store, "a\n", by=BY)
    assert run_now(store, "a\n", by=BY).duplicate
    assert skip(store, "a\n", by=BY) == first
    assert pause(store, "a\n", by=BY) and not pause(store, "a\n", by=BY)
    assert skip(store, "a\n", by=BY) is None
    assert resume(store, "a\n", by=BY) and not resume(store, "a\n", by=BY)
    with pytest.raises(ScheduleError, match="no schedule entry is named 'b'"):
        skip(store, "b", by=BY)
    assert [record.getMessage() for record in caplog.records] == [
        rf"joe@vm ran schedule entry a\n: job {job}",
        rf"joe@vm skipped schedule entry a\n at {first.isoformat()}",
        r"joe@vm paused schedule entry a\n",
        r"joe@vm resumed schedule entry a\n",
    ]


def test_a_lock_is_released_from_the_job_that_was_shown(
    store: Store, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gresque.control")
    digest = "0" * 32
    lock = {"id": "one", "mode": "both", "class": "A", "key": "A []", "queue": "q", "since": "1000"}
    redis_client.hset(store.keys.unique(digest), mapping=lock)
    assert release_lock(store, digest, "two", by=BY) is None
    assert redis_client.exists(store.keys.unique(digest))
    released = release_lock(store, digest, "one", by=BY)
    assert released is not None and released.job_class == "A"
    assert not redis_client.exists(store.keys.unique(digest))
    assert release_lock(store, digest, "one", by=BY) is None
    assert [record.getMessage() for record in caplog.records] == [
        "joe@vm released the lock A [] of job one"
    ]
