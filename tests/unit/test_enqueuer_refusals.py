"""Servers that refuse a push: for a while, or for good."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

import gresque
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy
from tests.support.pushes import QUEUE, Redis, acl, enqueue, ids, refused
from tests.support.pushes import client_fixture as client_fixture
from tests.support.server import OwnServer


def test_a_restart_is_not_noticed(own: OwnServer) -> None:
    client = gresque.Client(own.url, retry_seconds=20)
    enqueue(client)
    for _ in range(3):
        own.kill()
        threading.Timer(0.3, own.start, kwargs={"wait": False}).start()
        job_id = enqueue(client)
        wait_for(own.serves)
        assert ids(own.redis) == [job_id]  # it keeps nothing over a restart
    client.close()


def passes_when(cure: Callable[[], object], own: OwnServer) -> None:
    """A push that cannot be done waits for `cure`, and is done once."""
    before = own.redis.llen(QUEUE)
    client = gresque.Client(own.url, retry_seconds=20)
    started = time.monotonic()
    timer = threading.Timer(0.5, cure)
    timer.start()
    enqueue(client)
    assert time.monotonic() - started > 0.2
    timer.join()
    assert own.redis.llen(QUEUE) == before + 1
    client.close()


def test_out_of_memory_passes(own: OwnServer) -> None:
    own.redis.config_set("maxmemory-policy", "noeviction")
    own.redis.config_set("maxmemory", "1")
    refused(own.url, r"OOM ")
    assert own.redis.keys() == []
    passes_when(lambda: own.redis.config_set("maxmemory", "0"), own)


def test_a_replica_passes_once_it_is_made_the_primary(own: OwnServer) -> None:
    own.redis.replicaof("127.0.0.1", "1")
    refused(
        own.url, r"(READONLY|MASTERDOWN) [^@]*; this is a replica: give the URL of the primary$"
    )
    passes_when(lambda: own.redis.replicaof("NO", "ONE"), own)


def test_max_clients_passes(own: OwnServer) -> None:
    own.redis.ping()
    own.redis.config_set("maxclients", "1")
    refused(own.url, r"max number of clients reached")
    passes_when(lambda: own.redis.config_set("maxclients", "1000"), own)


def test_a_busy_script_passes(own: OwnServer) -> None:
    own.redis.config_set("busy-reply-threshold", "10")
    spinning = threading.Thread(target=_spin_in, args=(own,))
    spinning.start()
    wait_for(lambda: "BUSY" in _error_of(own))
    refused(own.url, r"BUSY ")
    client = gresque.Client(own.url, retry_seconds=20)
    threading.Timer(0.5, own.redis.script_kill).start()
    enqueue(client)
    spinning.join()
    assert own.redis.llen(QUEUE) == 1
    client.close()


def _spin_in(own: OwnServer) -> None:
    with suppress(redis.ResponseError), redis.Redis.from_url(own.url) as client:
        client.eval("while true do end", 0)


def _error_of(own: OwnServer) -> str:
    try:
        own.redis.get("x")
    except redis.ResponseError as error:
        return str(error)
    return ""


def test_loading_passes(own: OwnServer) -> None:
    for n in range(100):
        own.redis.set(f"filler:{n}", os.urandom(200))
    own.redis.save()
    own.kill()
    often = ("--loading-process-events-interval-bytes", "1024")
    own.start("--key-load-delay", "200000", *often, wait=False)
    wait_for(lambda: "LOADING" in _connect_error(own))
    refused(own.url, r"LOADING ")
    own.kill()
    own.start("--key-load-delay", "10000", *often, wait=False)
    client = gresque.Client(own.url, retry_seconds=60)
    enqueue(client)
    assert own.redis.llen(QUEUE) == 1
    client.close()


def _connect_error(own: OwnServer) -> str:
    try:
        own.redis.get("x")
    except redis.RedisError as error:
        return f"{error.status_code} {error}"
    return ""


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (lambda own: own.redis.config_set("requirepass", "x"), "NOAUTH|Authentication"),
        (lambda own: own.redis.set("resque:queues", "x"), "WRONGTYPE .*: resque:queues"),
        (lambda own: own.redis.set(QUEUE, "x"), f"WRONGTYPE .*: {QUEUE}"),
        (lambda own: acl(own, "-rpush"), "NOPERM"),
        (lambda own: acl(own, "-sadd"), "NOPERM"),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    own: OwnServer, arrange: Callable[[OwnServer], object], reason: str
) -> None:
    client = gresque.Client(own.url, retry_seconds=60)
    arrange(own)
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(NotEnqueued, match=reason) as raised:
            enqueue(client)
    assert time.monotonic() - started < 40
    assert "\n" not in str(raised.value)
    client.close()
    own.kill()
    own.start()
    assert own.redis.keys() == []


def test_a_late_copy_of_a_push_does_nothing_after_a_push_that_was_refused(
    redis_client: Redis,
) -> None:
    """What is refused takes back its own number only, not those before it."""

    def push(number: int, queue: str) -> int:
        keys = ("resque:producer:x", "resque:queues", f"resque:queue:{queue}")
        done: int = redis_client.eval(
            script("enqueue").text, 3, *keys, 0, number, queue, 100, 0, "{}"
        )
        return done

    redis_client.set("resque:queue:full", "a string")
    assert push(1, "q") == 1
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        push(2, "full")
    assert [push(1, "q"), push(2, "q"), push(2, "q")] == [0, 1, 0]
    assert redis_client.llen(QUEUE) == 2


# Where scripts are refused


@pytest.mark.parametrize(
    "rule", ["-evalsha", "-eval", "-hincrby", "-expire", "resetkeys ~resque:queue*"]
)
def test_without_scripts_a_push_is_plain(own: OwnServer, rule: str) -> None:
    acl(own, *rule.split())
    client = gresque.Client(own.url)
    returned = [enqueue(client) for _ in range(3)]
    returned += client.enqueue_many("Job", [(1,), (2,)], queue="q")
    assert ids(own.redis) == returned
    assert own.redis.smembers("resque:queues") == {b"q"}
    client.close()


def test_without_scripts_a_push_is_not_repeated(own: OwnServer, tmp_path: Path) -> None:
    acl(own, "-evalsha")
    proxy = FaultyProxy(tmp_path / "proxy.sock", own.socket)
    client = gresque.Client(proxy.url, retry_seconds=60)
    enqueue(client)
    for direction, after, arrived in (("request", 10, 0), ("reply", 0, 1)):
        before = own.redis.llen(QUEUE)
        proxy.cut(b"RPUSH", direction, after)
        with pytest.raises(PerhapsEnqueued):
            enqueue(client)
        assert own.redis.llen(QUEUE) == before + arrived
    before = ids(own.redis)
    proxy.cut(b"SADD", "reply", 0)
    assert [*before, enqueue(client)] == ids(own.redis)  # nothing was pushed by then
    client.close()
    proxy.close()
