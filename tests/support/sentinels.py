"""A primary, two replicas, and three Sentinels that watch them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis

from tests.support.nodes import Node, settle, started

NAME = "main"
DOWN_AFTER_SECONDS, CALM_SECONDS = 0.5, 10.0
"""How long a server that does not answer is given: in a test that kills one, and in all others, as
on a busy machine each may be late."""


class Sentinel(Node):
    """It keeps what it learns in a file, which it writes again now and then."""

    def __init__(self, directory: Path, port: int, primary: int, failover_seconds: float) -> None:
        super().__init__(directory, port)
        self._file = directory / "sentinel.conf"
        self._file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\nunixsocket {self.socket}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {NAME} {CALM_SECONDS * 1000:.0f}\n"
            f"sentinel failover-timeout {NAME} {failover_seconds * 1000:.0f}\n"
        )

    def _command(self) -> list[str]:
        return [str(self._file), "--sentinel"]

    def state(self) -> dict[str, str]:
        """What it knows of the primary."""
        return _fields(self.ask("SENTINEL", "MASTER", NAME))

    def is_well(self) -> bool:
        """Whether it is in touch with the primary, both replicas, and two Sentinels."""
        return (
            self.state().get("flags") == "master"
            and self._count_near("REPLICAS") == 2
            and self._count_near("SENTINELS") == 2
        )

    def _count_near(self, others: str) -> int:
        found = self.ask("SENTINEL", others, NAME) or []
        flags = [set(_fields(each)["flags"].split(",")) for each in found]
        return sum(not each & {"s_down", "o_down", "disconnected"} for each in flags)


def _fields(reply: Any) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (reply or {}).items()}


class SentinelSet:
    """Its life: `restore` before each test, which may kill and stop what it likes; `close`."""

    def __init__(self, directory: Path, failover_seconds: float = 10) -> None:
        self._directory = directory
        self._failover_seconds = failover_seconds
        self.nodes: list[Node] = []
        for number in range(3):
            self.nodes.append(started(partial(self._node, number)))
        self.sentinels = [started(partial(self._sentinel, number)) for number in range(3)]
        self.wait_until_whole()

    def _node(self, number: int, port: int) -> Node:
        follow = ("--replicaof", f"127.0.0.1 {self.nodes[0].port}") if number else ()
        options = ("--repl-diskless-sync-delay", "0", *follow)
        return Node(self._directory / f"node-{number}", port, *options)

    def _sentinel(self, number: int, port: int) -> Sentinel:
        place, primary = self._directory / f"sentinel-{number}", self.nodes[0].port
        return Sentinel(place, port, primary, self._failover_seconds)

    @property
    def url(self) -> str:
        return self.url_of(*(sentinel.address for sentinel in self.sentinels))

    @staticmethod
    def url_of(*addresses: str) -> str:
        return f"redis+sentinel://{','.join(addresses)}/{NAME}"

    @property
    def primary(self) -> Node:
        """The node that all living Sentinels name."""
        node: Node = settle(self._agreed)
        return node

    @property
    def replicas(self) -> list[Node]:
        primary = self.primary
        return [node for node in self.nodes if node is not primary]

    def _agreed(self) -> Node | None:
        states = [sentinel.state() for sentinel in self.sentinels if sentinel.lives]
        ports = {state.get("port") for state in states}
        named = [node for node in self.nodes if {str(node.port)} == ports]
        return named[0] if named else None

    def fail_over(self, *options: str) -> None:
        """By hand. COORDINATED: the primary hands over."""
        self.sentinels[0].redis.execute_command("SENTINEL", "FAILOVER", NAME, *options)

    def watch_closely(self, seconds: float = DOWN_AFTER_SECONDS) -> None:
        """Until `restore`, take a server for dead that was silent for this time."""
        for sentinel in self.sentinels:
            sentinel.ask("SENTINEL", "SET", NAME, "down-after-milliseconds", int(seconds * 1000))

    def restore(self) -> None:
        """A primary without data, with two replicas in step; what was killed is started again."""
        for node in (*self.nodes, *self.sentinels):
            if node.lives:
                node.resume()
            else:
                node.start()
        self.watch_closely(CALM_SECONDS)
        for node in self.nodes:
            node.redis.config_set("min-replicas-to-write", 0)
        self.wait_until_whole()
        self.primary.redis.flushall()

    def wait_until_whole(self) -> None:
        settle(self.is_whole, 120)

    def is_whole(self) -> bool:
        """Whether all Sentinels agree, and all replicas are in step."""
        primary = self._agreed()
        if primary is None or not primary.is_primary:
            return False
        for node in self.nodes:
            if node is not primary and node.is_primary:  # Sentinel demotes it after 10 s
                node.ask("REPLICAOF", "127.0.0.1", primary.port)
        return all(each is primary or each.follows(primary) for each in self.nodes) and all(
            sentinel.is_well() for sentinel in self.sentinels
        )

    def close(self) -> None:
        for node in (*self.sentinels, *self.nodes):
            with suppress(redis.RedisError):
                node.kill()
