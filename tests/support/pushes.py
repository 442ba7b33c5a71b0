"""Pushes of one job."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import redis

import gresque
from gresque.errors import NotEnqueued
from tests.support.faults import FaultyProxy
from tests.support.server import OwnServer

Redis = redis.Redis
QUEUE = "resque:queue:q"


@pytest.fixture(name="client")
def client_fixture(proxy: FaultyProxy) -> Iterator[gresque.Client]:
    client = gresque.Client(proxy.url)
    yield client
    client.close()


def ids(redis_client: Redis, queue: str = QUEUE) -> list[str]:
    return [json.loads(raw)["id"] for raw in redis_client.lrange(queue, 0, -1)]


def acl(own: OwnServer, *rules: str) -> None:
    own.redis.execute_command("ACL", "SETUSER", "default", *rules)


def refused(url: str, reason: str) -> None:
    """An impatient client hears why it cannot enqueue."""
    client = gresque.Client(url, retry_seconds=0.2)
    with pytest.raises(
        NotEnqueued, match=rf"^not enqueued: Redis at .* refuses: {reason}"
    ) as raised:
        enqueue(client)
    assert "\n" not in str(raised.value)
    client.close()


def enqueue(client: gresque.Client) -> str | None:
    return client.enqueue_to("q", "Job", 1)
