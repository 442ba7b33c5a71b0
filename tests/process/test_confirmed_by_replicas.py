"""An enqueue that waits for its replica."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

import gresque
from gresque.errors import PerhapsEnqueued
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy
from tests.support.nodes import Node, started

QUEUE = "resque:queue:q"
ENQUEUE = b"EVALSHA"


class Pair:
    """A primary behind a proxy, and its replica."""

    def __init__(self, directory: Path) -> None:
        self.primary = started(lambda port: Node(directory / "primary", port))
        follow = f"127.0.0.1 {self.primary.port}"
        options = ("--replicaof", follow)
        self.replica = started(lambda port: Node(directory / "replica", port, *options))
        self.primary.redis.config_set("repl-diskless-sync-delay", 0)
        self.proxy = FaultyProxy(directory / "proxy.sock", self.primary.socket)
        wait_for(lambda: self.replica.follows(self.primary))

    def client(self, retry_seconds: float) -> gresque.Client:
        return gresque.Client(self.proxy.url, retry_seconds=retry_seconds, wait_replicas=1)

    def close(self) -> None:
        self.replica.resume()
        self.proxy.close()
        self.replica.kill()
        self.primary.kill()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def test_a_push_that_is_sent_again_is_not_confirmed_without_the_replica(pair: Pair) -> None:
    """The second time it changes nothing, and WAIT covers only what its own connection wrote: the
    script has to write all the same."""
    with closing(pair.client(retry_seconds=1.0)) as client:
        assert client.enqueue_to("q", "Job", 0)
        assert pair.replica.redis.llen(QUEUE) == 1
        pair.replica.stop()
        cut = pair.proxy.cut(ENQUEUE, "reply", 0)
        since = time.monotonic()
        with pytest.raises(PerhapsEnqueued, match="replica"):
            client.enqueue_to("q", "Job", 1)
        assert cut.done.is_set()
        assert time.monotonic() - since >= 1.0
    assert pair.primary.redis.llen(QUEUE) == 2, "once, on the primary alone"


def test_it_is_confirmed_once_when_the_replica_goes_on(pair: Pair) -> None:
    with closing(pair.client(retry_seconds=30.0)) as client:
        assert client.enqueue_to("q", "Job", 0)
        pair.replica.stop()
        cut = pair.proxy.cut(ENQUEUE, "reply", 0)
        resumed = Timer(0.7, pair.replica.resume)
        resumed.start()
        since = time.monotonic()
        assert client.enqueue_to("q", "Job", 1)
        assert cut.done.is_set()
        assert time.monotonic() - since >= 0.6
        resumed.join()
        assert pair.replica.redis.llen(QUEUE) == 2
        assert pair.primary.redis.llen(QUEUE) == 2


def test_the_replica_is_there_before_the_enqueue_returns(pair: Pair) -> None:
    with closing(pair.client(retry_seconds=30.0)) as client:
        for number in range(1, 21):
            client.enqueue_to("q", "Job", number)
            assert pair.replica.redis.llen(QUEUE) == number
        client.enqueue_many("Job", [(number,) for number in range(2_500)], queue="q")
        assert pair.replica.redis.llen(QUEUE) == 2_520
