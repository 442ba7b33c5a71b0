"""Pausing and limiting queues from a program."""

from __future__ import annotations

import pytest
import redis

import gresque
from gresque.client.flow import QueueLimits
from gresque.errors import GresqueError


def test_pause(client: gresque.Client, redis_client: redis.Redis) -> None:
    assert client.pause("mail") and not client.pause("mail")
    assert redis_client.hgetall("resque:policies") == {b"mail": b"p"}
    assert client.limits() == [QueueLimits("mail", True, None, 0, None, None, 0.0)]
    assert client.info()["paused"] == ["mail"]
    assert client.unpause("mail") and not client.unpause("mail")
    assert client.limits() == []


def test_all(client: gresque.Client) -> None:
    assert client.info()["all_paused"] is False
    assert client.pause_all() and not client.pause_all()
    assert client.info()["all_paused"] is True
    assert client.unpause_all() and not client.unpause_all()


def test_limits(client: gresque.Client, redis_client: redis.Redis) -> None:
    client.limit("mail", concurrent=20, rate="100/m", burst=10)
    redis_client.hset("resque:inflight", mapping={"mail": 3, "was": 1})
    assert client.limits() == [
        QueueLimits("mail", False, 20, 3, "100/m", 10, 0.0),
        QueueLimits("was", False, None, 1, None, None, 0.0),
    ]
    assert client.info()["limited"] == ["mail"]
    client.limit("mail", concurrent=5)
    client.limit("mail", rate="10/s")
    assert client.limits()[0] == QueueLimits("mail", False, 5, 3, "10/s", 1, 0.0)
    client.limit("mail", concurrent=None)
    assert client.limits()[0] == QueueLimits("mail", False, None, 3, "10/s", 1, 0.0)
    client.limit("mail", concurrent=2, rate=None)
    assert redis_client.hgetall("resque:policies") == {b"mail": b"c2"}
    client.limit("mail", concurrent=None, rate=None)
    assert not redis_client.exists("resque:policies")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "nothing to limit; give concurrent=, rate= or both"),
        ({"concurrent": 0}, "a cap of 0 is a pause"),
        ({"concurrent": -1}, "a cap is a whole number from 1"),
        ({"rate": "0/s"}, "starts no job"),
        ({"rate": 5}, "5 is no rate"),
        ({"burst": 5}, "a burst belongs to a rate"),
        ({"burst": 5, "rate": None}, "a burst belongs to a rate"),
        ({"concurrent": 5, "burst": 5}, "a burst belongs to a rate"),
        ({"rate": "5/s", "burst": 0}, "burst is a whole number from 1"),
    ],
)
def test_bad_limits_change_nothing(
    client: gresque.Client, redis_client: redis.Redis, arguments: dict[str, object], reason: str
) -> None:
    with pytest.raises(GresqueError) as caught:
        client.limit("mail", **arguments)  # type: ignore[arg-type]
    assert reason in str(caught.value)
    assert redis_client.keys() == []


@pytest.mark.parametrize("method", ["pause", "unpause", "limit"])
def test_what_is_no_queue(client: gresque.Client, method: str) -> None:
    more = {"concurrent": 1} if method == "limit" else {}
    with pytest.raises(GresqueError, match="is not the name of a queue"):
        getattr(client, method)("", **more)


def test_functions_of_the_default_client(redis_url: str, redis_client: redis.Redis) -> None:
    gresque.configure(redis_url)
    assert gresque.pause("mail") and gresque.pause_all()
    gresque.limit("mail", rate="5/s", concurrent=3)
    assert [each.concurrent for each in gresque.limits()] == [3]
    assert gresque.unpause("mail") and gresque.unpause_all()
    assert redis_client.keys() == [b"resque:policies"]


def test_words_of_a_newer_version_are_shown(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    redis_client.hset("resque:policies", "mail", "c5 zz")
    assert client.limits()[0].unread == ("zz",)
