"""Which running jobs are meant."""

from __future__ import annotations

import pytest
import redis

from gresque.inspector.running import RunningJob
from gresque.inspector.running_groups import RunningGroup
from gresque.inspector.wanted import WantedRunning
from gresque.store.store import Store
from tests.support.views import OTHER, PROCESS, item, process


@pytest.fixture(autouse=True)
def _running(redis_client: redis.Redis) -> None:
    process(
        redis_client, PROCESS, item("A", 0), item("B", 1), item("A", 2),
        runs={"0": 3600, "1": 7200}, blocks=("1", 9),
    )  # fmt: skip
    process(redis_client, OTHER, item("A", 3), runs={"0": 10_800})
    bulk = b"%d:resque:queue:bulk%b" % (len("resque:queue:bulk"), item("A", 4))
    redis_client.hset(f"resque:ledger:{OTHER}", "1", bulk)


def numbers(store: Store, wanted: WantedRunning) -> list[int]:
    return [job.item["args"][0] for job in RunningJob.all(store, wanted)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (WantedRunning(), [1, 3, 0, 2, 4]),
        (WantedRunning(job_class="A"), [3, 0, 2, 4]),
        (WantedRunning(queue="bulk"), [4]),
        (WantedRunning(process="vm:11"), [1, 0, 2]),
        (WantedRunning(process="nowhere"), []),
        (WantedRunning(longer_than=5400), [1, 3]),
        (WantedRunning(longer_than=0), [1, 3, 0]),  # of the others it is not known
        (WantedRunning(job_class="A", longer_than=5400, process="vm"), [3]),
        (WantedRunning(job_class="C"), []),
    ],
    ids=str,
)
def test_wanted(store: Store, wanted: WantedRunning, found: list[int]) -> None:
    assert numbers(store, wanted) == found


def test_only_old_enough_payloads_are_read(store: Store, redis_client: redis.Redis) -> None:
    redis_client.config_resetstat()
    numbers(store, WantedRunning(longer_than=5400))
    assert "cmdstat_hgetall" not in redis_client.info("commandstats")


def test_what_stands_in_the_slot_comes_along(store: Store) -> None:
    (job,) = RunningJob.all(store, WantedRunning(queue="bulk"))
    assert store.processes.holds([job.held]) == [True]


def test_groups(store: Store) -> None:
    first, second, third = RunningGroup.all(store)
    assert (first.job_class, first.queue, first.count, first.blocking) == ("A", "mail", 3, 0)
    assert first.oldest_seconds == pytest.approx(10_800, abs=60)
    assert first.median_seconds == pytest.approx(3600, abs=60)
    assert (second.job_class, second.queue, second.oldest_seconds) == ("A", "bulk", None)
    assert (third.job_class, third.blocking) == ("B", 1)
    (group,) = RunningGroup.all(store, WantedRunning(job_class="A", longer_than=5400))
    assert group.count == 1
