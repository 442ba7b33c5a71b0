"""Connections of every shape find the server, by real sockets."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
import gresque.aio
from gresque.connection.one_slot import OneSlot
from gresque.connection.opening import FAILOVER_REPLY_SECONDS, Opener
from gresque.connection.outage import FAILOVER_BACKOFF_SECONDS, Outage
from gresque.connection.pooled import open_client
from gresque.connection.sentinels import SENTINEL_SECONDS, Sentinels
from gresque.connection.topology import topology_of
from gresque.connection.tracked import TrackedConnection
from gresque.errors import NotEnqueued, RedisUnavailable
from tests.support.answers import Answers, names
from tests.support.nodes import Node, started
from tests.support.on_loop import Ticks
from tests.support.tls import TlsFront

NAMESPACE = "{resque}"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    place = tmp_path_factory.mktemp("servers")
    nodes = [started(lambda port, n=n: Node(place / str(n), port)) for n in range(2)]
    yield nodes[0], nodes[1]
    for node in nodes:
        node.kill()


@pytest.fixture
def pair(servers: tuple[Node, Node]) -> Iterator[tuple[Node, Node]]:
    """Two primaries without data."""
    for node in servers:
        node.redis.flushall()
    yield servers
    for node in servers:
        node.redis.replicaof("NO", "ONE")
        node.redis.acl_setuser("default", enabled=True, nopass=True)


@pytest.fixture
def sentinel(pair: tuple[Node, Node]) -> Iterator[Answers]:
    """It names the first of the pair."""
    sentinel = Answers({"SENTINEL": names(pair[0].address), "AUTH": "+OK"})
    yield sentinel
    sentinel.close()


def by(sentinel: Answers, options: str = "", login: str = "") -> str:
    return f"redis+sentinel://{login}{sentinel.address}/main{options}"


def moved(address: str) -> str:
    return f"-MOVED 2409 {address}"


def raw(url: str) -> bytes:
    with closing(Opener(url, NAMESPACE).open(5)) as line:
        line.send("GET", "who")
        found: bytes = line.read()
        return found


def tracked(url: str) -> bytes:
    with closing(TrackedConnection(url, NAMESPACE)) as connection:
        connection.connect()
        assert connection.tracking
        found: bytes = connection.call("GET", "who")
        return found


def pooled(url: str) -> bytes:
    with closing(open_client(url, NAMESPACE)) as client:
        return bytes(client.get("who") or b"")


every_shape = pytest.mark.parametrize("ask", [raw, tracked, pooled])


@every_shape
def test_a_connection_through_a_sentinel(
    ask: Callable[[str], bytes], pair: tuple[Node, Node], sentinel: Answers
) -> None:
    pair[0].redis.set("who", "first")
    assert ask(by(sentinel)) == b"first"
    assert sentinel.asked == [["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]]


@every_shape
def test_a_connection_to_the_node_that_is_named(
    ask: Callable[[str], bytes], pair: tuple[Node, Node]
) -> None:
    pair[1].redis.set("who", "second")
    seed = Answers({"EXISTS": moved(pair[1].address)})
    assert ask(f"redis+cluster://{seed.address}") == b"second"
    assert seed.asked == [["EXISTS", "{resque}:queues"]]
    seed.close()


@every_shape
def test_users_and_passwords_of_both(
    ask: Callable[[str], bytes], pair: tuple[Node, Node], sentinel: Answers
) -> None:
    pair[0].redis.set("who", "first")
    pair[0].redis.acl_setuser(
        "joe", enabled=True, passwords=["+a b"], keys=["*"], commands=["+@all"]
    )
    pair[0].redis.acl_setuser("default", enabled=False)
    url = by(sentinel, "?sentinel_username=sue&sentinel_password=x%20y", "joe:a%20b@")
    try:
        assert ask(url) == b"first"
        assert sentinel.asked[0] == ["AUTH", "sue", "x y"]
        with pytest.raises((redis.AuthenticationError, RedisUnavailable), match=r"WRONGPASS|user"):
            ask(url.replace("a%20b", "wrong"))
    finally:
        with closing(redis.Redis(port=pair[0].port, username="joe", password="a b")) as admin:
            admin.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])
        pair[0].redis.acl_deluser("joe")


@every_shape
def test_a_database(
    ask: Callable[[str], bytes], pair: tuple[Node, Node], sentinel: Answers
) -> None:
    with closing(redis.Redis(port=pair[0].port, db=3)) as third:
        third.set("who", "third")
    assert ask(by(sentinel, "/3")) == b"third"


@every_shape
def test_tls_for_the_data_alone(
    ask: Callable[[str], bytes], pair: tuple[Node, Node], sentinel: Answers, tmp_path: Path
) -> None:
    pair[0].redis.set("who", "first")
    front = TlsFront(tmp_path, pair[0].socket)
    place, _, certificates = front.url.removeprefix("rediss://").partition("/0?")
    sentinel.answers["SENTINEL"] = names(place)
    url = f"rediss+sentinel://{sentinel.address}/main?sentinel_ssl=false&{certificates}"
    assert ask(url) == b"first"
    with pytest.raises(redis.ConnectionError, match="no Sentinel answers"):
        ask(url.replace("sentinel_ssl=false&", ""))
    front.close()


def test_tls_for_the_sentinels_alone(
    pair: tuple[Node, Node], sentinel: Answers, tmp_path: Path
) -> None:
    """The front speaks TLS before what is no Sentinel, which says so in its answer."""
    front = TlsFront(tmp_path, pair[1].socket)
    place, _, certificates = front.url.removeprefix("rediss://").partition("/0?")
    url = f"redis+sentinel://{place}/main?sentinel_ssl=true&{certificates}"
    with pytest.raises(redis.ConnectionError, match="unknown command 'SENTINEL'"):
        raw(url)
    front.close()


@every_shape
def test_what_answers_may_be_no_redis(ask: Callable[[str], bytes]) -> None:
    web = Answers({"SENTINEL": "HTTP/1.1 400 Bad Request", "EXISTS": "HTTP/1.1 400 Bad Request"})
    with pytest.raises(redis.ConnectionError, match=r"no Sentinel answers; .*Protocol error"):
        ask(by(web))
    with pytest.raises(redis.ConnectionError, match=r"no node serves the slot; .*Protocol error"):
        ask(f"redis+cluster://{web.address}")
    web.close()


def test_one_sentinel_that_hangs_costs_half_a_second_once(
    pair: tuple[Node, Node], sentinel: Answers
) -> None:
    silent = Answers({"SENTINEL": None})
    url = f"redis+sentinel://{silent.address},{sentinel.address}/main"
    took = []
    for _ in range(2):
        began = time.monotonic()
        Opener(url, NAMESPACE).open(5).close()
        took.append(time.monotonic() - began)
    assert took[0] >= SENTINEL_SECONDS
    assert took[1] < SENTINEL_SECONDS
    assert len(silent.asked) == 1
    silent.close()


# Moves


def test_a_pooled_client_follows_a_demotion_at_its_second_call(
    pair: tuple[Node, Node], sentinel: Answers
) -> None:
    first, second = pair
    with closing(gresque.Client(by(sentinel), NAMESPACE, retry_seconds=0)) as client:
        client.enqueue_to("q", "Job", 1)
        assert client.remove_queue("q") == 1
        first.redis.replicaof("127.0.0.1", second.port)
        sentinel.answers["SENTINEL"] = names(second.address)
        second.redis.rpush("{resque}:queue:q", "{}", "{}")
        with suppress(RedisUnavailable):
            client.remove_queue("q")
        assert client.remove_queue("q") == 2


@pytest.mark.parametrize("transaction", [False, True])
def test_a_pipeline_follows_a_moved_slot_at_its_second_call(
    pair: tuple[Node, Node], transaction: bool
) -> None:
    commands = dict.fromkeys(("SET", "GET", "MULTI", "EXEC"), moved(pair[0].address))
    old = Answers({"EXISTS": ":1", **commands})
    with closing(open_client(f"redis+cluster://{old.address}", NAMESPACE)) as client:
        pipeline = client.pipeline(transaction=transaction)
        pipeline.set("a", "1").get("a")
        with pytest.raises(redis.ResponseError):
            pipeline.execute()
        old.answers["EXISTS"] = moved(pair[0].address)
        pipeline.set("a", "1").get("a")
        assert pipeline.execute() == [True, b"1"]
    old.close()


def test_a_push_follows_a_moved_slot_by_itself(pair: tuple[Node, Node]) -> None:
    old = Answers({"EXISTS": ":1", "PING": "+PONG"})
    url = f"redis+cluster://{old.address}"
    with closing(gresque.Client(url, NAMESPACE, retry_seconds=5)) as client:

        def move() -> str:
            old.answers["EXISTS"] = moved(pair[0].address)
            return moved(pair[0].address)

        old.answers["EVALSHA"] = move
        assert client.enqueue_to("q", "Job", 1)
        assert client.size("q") == 1
        topology = topology_of(url, NAMESPACE)
        assert isinstance(topology, OneSlot)
        assert topology.last.get() == ("127.0.0.1", pair[0].port)
    old.close()


def test_a_plain_url_into_a_cluster_is_explained(pair: tuple[Node, Node]) -> None:
    node = Answers({"EVALSHA": moved("10.0.0.1:7001"), "PING": "+PONG"})
    cure = rf"this is a Cluster: write redis\+cluster://{node.address} and RESQUE_NAMESPACE="
    with closing(gresque.Client(f"redis://{node.address}", retry_seconds=0)) as client:
        with pytest.raises(NotEnqueued, match=cure + r"\{resque\}$"):
            client.enqueue_to("q", "Job", 1)
        node.answers["EVALSHA"] = "-CROSSSLOT Keys in request don't hash to the same slot"
        with pytest.raises(NotEnqueued, match=cure):
            client.enqueue_to("q", "Job", 1)
    node.close()


# Waits


def test_a_server_that_is_silent_is_left_sooner_where_others_stand_by(
    pair: tuple[Node, Node], sentinel: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_client(by(sentinel), NAMESPACE)) as client:
        client.ping()
        pool: Any = client.connection_pool
        assert pool.connection_kwargs["socket_timeout"] == FAILOVER_REPLY_SECONDS
    outage = Outage(by(sentinel), logging.getLogger("gresque.test"))
    waits = [outage.note_error(redis.ConnectionError("x")) for _ in range(20)]
    assert max(waits) <= FAILOVER_BACKOFF_SECONDS


def test_an_event_loop_goes_on_while_sentinels_hang(
    pair: tuple[Node, Node], sentinel: Answers
) -> None:
    silent = Answers({"SENTINEL": None})
    url = f"redis+sentinel://{silent.address},{sentinel.address}/main"
    client = gresque.aio.Client(url, NAMESPACE)

    async def main() -> Ticks:
        await client.aenqueue_to("q", "Job", 0)
        await client.aclose()
        topology = topology_of(url, NAMESPACE)
        assert isinstance(topology, Sentinels)
        topology._order = topology._order[::-1]
        async with Ticks() as ticks:
            for n in range(3):
                await client.aenqueue_to("q", "Job", n)
            assert await client.asize("q") == 4
        await client.aclose()
        return ticks

    assert asyncio.run(main()).count > 50
    assert len(silent.asked) == 2
    silent.close()


GREENLETS = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent, sys, time
import gresque
client = gresque.Client(sys.argv[1], "{resque}")
turns = []
def tick():
    while True:
        turns.append(time.monotonic())
        gevent.sleep(0.01)
gevent.spawn(tick)
client.enqueue_to("q", "Job", 1)
print(len(turns), client.size("q"))
"""


def test_greenlets_go_on_while_sentinels_hang(pair: tuple[Node, Node], sentinel: Answers) -> None:
    silent = Answers({"SENTINEL": None})
    url = f"redis+sentinel://{silent.address},{sentinel.address}/main"
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, url], capture_output=True, text=True, check=True
    )
    turns, size = map(int, done.stdout.split())
    assert turns > 10
    assert size == 1
    silent.close()
