"""Benches whose Redis is a Cluster, or stands behind Sentinels: one of each for a test process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
from tests.process.support import Bench, Master, wait_for
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.load import JOBS, QUEUE, Load, Outcome
from tests.support.nodes import Node
from tests.support.sentinels import SentinelSet


class MovingBench(Bench):
    """One whose Redis stands now here and now there."""

    def __init__(self, url: str, find: Callable[[], Node], directory: Path, namespace: str) -> None:
        self._find = find
        self._loads: list[Load] = []
        super().__init__(url, find().redis, directory, namespace)
        self.tally = directory / "tally"
        self.tally.touch()

    @property
    def redis(self) -> redis.Redis:
        """A client of the server that has the jobs now."""
        return self._find().redis

    @redis.setter
    def redis(self, client: redis.Redis) -> None:
        """It moves."""

    def load(self, per_second: float = 100, wait_replicas: int = 0, **options: Any) -> Load:
        """Begin to enqueue; a worker must be there."""
        client = gresque.Client(
            self.redis_url, self.namespace, retry_seconds=30, wait_replicas=wait_replicas
        )
        load = Load(client, self.tally, per_second, **options)
        self._loads.append(load)
        return load.begin()

    def work(self, *arguments: str, **env: str) -> Master:
        """Returns when both worker processes are there."""
        env = {"CHAOS_TALLY": str(self.tally), **env}
        width = ("-w", "2", "-t", "20", "-j", "1000000")
        master = self.start("-q", QUEUE, "-r", JOBS, *width, *arguments, **env)
        wait_for(lambda: self.redis.zcard(f"{self.namespace}:ledgers") == 2)
        return master

    def ended(self, key: str) -> bool:
        return f"end {key} " in self.tally.read_text()

    def settle(self, load: Load, master: Master) -> Outcome:
        """End the load, wait until all is settled, and end the worker, which must go in order."""
        load.end()
        wait_for(self.is_settled)
        outcome = load.outcome(self.redis.lrange(f"{self.namespace}:failed", 0, -1))
        master.signal(signal.SIGTERM)
        assert master.wait() == 0
        assert "Traceback" not in master.log
        return outcome

    def is_settled(self) -> bool:
        try:
            # Jobs of a process that was killed wait apart from the others.
            places = ("queue", "suspects:1", "suspects:2")
            waiting = sum(self.redis.llen(f"{self.namespace}:{each}:{QUEUE}") for each in places)
            return not waiting and not self.held()
        except redis.RedisError:
            return False

    def close(self) -> None:
        for load in self._loads:
            load.end()
            load.client.close()
        super().close()


@pytest.fixture(scope="session")
def sentinel_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    servers = SentinelSet(tmp_path_factory.mktemp("sentinels"))
    yield servers
    servers.close()


@pytest.fixture
def sentinels(sentinel_set: SentinelSet) -> SentinelSet:
    """Whole and empty; a test may kill what it likes."""
    sentinel_set.restore()
    return sentinel_set


@pytest.fixture
def watched(sentinels: SentinelSet, tmp_path: Path) -> Iterator[MovingBench]:
    bench = MovingBench(sentinels.url, lambda: sentinels.primary, tmp_path, "resque")
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def cluster_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(cluster_set: Cluster) -> Cluster:
    """Whole and empty; a test may kill nodes and move the slot."""
    cluster_set.restore()
    return cluster_set


@pytest.fixture
def clustered(cluster: Cluster, tmp_path: Path) -> Iterator[MovingBench]:
    """Its only seed is a node that has none of the keys."""
    url = cluster.url(cluster.others[0])
    bench = MovingBench(url, lambda: cluster.owner, tmp_path, NAMESPACE)
    yield bench
    bench.close()
