"""A server and its replica, and an address that leads to the server."""

from __future__ import annotations

from pathlib import Path

from tests.process.support import wait_for
from tests.support.faults import FaultyProxy
from tests.support.server import OwnServer


class Replicated:
    """Both stay in step, while the replica is not stopped."""

    def __init__(self, directory: Path) -> None:
        places = directory / "primary", directory / "replica"
        for place in places:
            place.mkdir()
        options = "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", "--port"
        self.primary = OwnServer.on_a_free_port(lambda port: OwnServer(places[0], *options, port))
        port = self.primary.redis.config_get("port")["port"]
        self.replica = OwnServer(places[1], "--replicaof", f"127.0.0.1 {port}").start()
        wait_for(lambda: self.replica.redis.info("replication")["master_link_status"] == "up")
        self.redis = self.primary.redis
        self.proxy = FaultyProxy(directory / "proxy.sock", self.primary.socket)
        self.url = self.proxy.url

    def empty(self) -> None:
        """For the next test."""
        self.replica.resume()
        self.redis.flushall()
        self.redis.script_flush()
        self.redis.config_resetstat()

    def close(self) -> None:
        self.proxy.close()
        self.replica.kill()
        self.primary.kill()
