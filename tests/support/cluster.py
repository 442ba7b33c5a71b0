"""A Cluster: three primaries, and a replica of the one that has the slot of `{resque}`."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import redis

from tests.support.nodes import Node, settle, started
from tests.support.server import free_port

NAMESPACE = "{resque}"
SLOT = 2409
"""Of NAMESPACE."""

NODE_TIMEOUT_SECONDS, CALM_SECONDS = 1.0, 10.0
"""How long a node that does not answer is given: in a test that kills one, and in all others, as on
a busy machine each may be late."""
SHARES = ((0, 5460), (5461, 10922), (10923, 16383))


class ClusterNode(Node):
    def __init__(self, directory: Path, port: int) -> None:
        self.bus_port = free_port()
        super().__init__(
            directory,
            port,
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
            *("--cluster-node-timeout", f"{CALM_SECONDS * 1000:.0f}"),
            *("--cluster-allow-replica-migration", "no"),
            *("--repl-diskless-sync-delay", "0"),
        )

    @property
    def id(self) -> str:
        found: bytes = self.redis.execute_command("CLUSTER", "MYID")
        return found.decode()

    def is_well(self) -> bool:
        """Whether it serves, and sees all others do so."""
        try:
            info = self.redis.execute_command("CLUSTER", "INFO")
            nodes = self.redis.execute_command("CLUSTER", "NODES")
        except redis.RedisError:
            return False
        lines = _text(nodes).splitlines()
        return (
            "cluster_state:ok" in _text(info)
            and len(lines) == len(SHARES) + 1
            and not any("fail" in line or "handshake" in line for line in lines)
        )

    def owner_port(self) -> int | None:
        """The port of the node that has the slot, as far as this one knows."""
        with suppress(redis.RedisError):
            for first, last, owner, *_ in self.redis.execute_command("CLUSTER", "SLOTS"):
                if first <= SLOT <= last:
                    return int(owner[1])
        return None


def _text(reply: bytes | str) -> str:
    return reply.decode() if isinstance(reply, bytes) else reply


class Cluster:
    """Its life: `restore` before each test, which may kill nodes and move the slot; `close`."""

    def __init__(self, directory: Path) -> None:
        self.nodes: list[ClusterNode] = []
        for number in range(len(SHARES) + 1):
            self.nodes.append(started(partial(ClusterNode, directory / f"node-{number}")))
        for epoch, (node, share) in enumerate(zip(self.nodes, SHARES, strict=False), 1):
            node.redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            node.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", *share)
        first = self.nodes[0]
        for node in self.nodes[1:]:
            command = ("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
            first.redis.execute_command(*command)
        settle(lambda: all(node.is_well() for node in self.nodes))
        self._settle_replica()

    def url(self, *seeds: ClusterNode) -> str:
        return f"redis+cluster://{','.join(seed.address for seed in seeds or self.nodes)}"

    @property
    def owner(self) -> ClusterNode:
        """The node that has the slot, by what all living ones say."""

        def agreed() -> ClusterNode | None:
            ports = {node.owner_port() for node in self.nodes if node.lives}
            named = [node for node in self.nodes if {node.port} == ports]
            return named[0] if named else None

        node: ClusterNode = settle(agreed)
        return node

    @property
    def replica(self) -> ClusterNode:
        owner = self.owner
        found: ClusterNode = settle(
            lambda: next((node for node in self.nodes if node.follows(owner)), None)
        )
        return found

    @property
    def others(self) -> list[ClusterNode]:
        """Primaries that do not have the slot."""
        owner = self.owner
        return [node for node in self.nodes if node is not owner and node.is_primary]

    def migrate(self, target: ClusterNode) -> None:
        """The slot goes to this node at once, by Valkey's atomic slot migration."""
        owner = self.owner
        owner.redis.execute_command(
            "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", SLOT, SLOT, "NODE", target.id
        )

    def begin_to_move(self, target: ClusterNode, share: float = 0.5) -> None:
        """The old way, key by key: this share of them is moved, and the rest is left behind."""
        owner = self.owner
        target.redis.execute_command("CLUSTER", "SETSLOT", SLOT, "IMPORTING", owner.id)
        owner.redis.execute_command("CLUSTER", "SETSLOT", SLOT, "MIGRATING", target.id)
        keys = owner.redis.execute_command("CLUSTER", "GETKEYSINSLOT", SLOT, 1000)
        self._move(owner, target, keys[: int(len(keys) * share)])

    def end_move(self, owner: ClusterNode, target: ClusterNode) -> None:
        while keys := owner.redis.execute_command("CLUSTER", "GETKEYSINSLOT", SLOT, 100):
            self._move(owner, target, keys)
        for node in (target, owner, *self.others):
            node.redis.execute_command("CLUSTER", "SETSLOT", SLOT, "NODE", target.id)

    @staticmethod
    def _move(owner: ClusterNode, target: ClusterNode, keys: list[bytes]) -> None:
        if keys:
            command = ("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
            owner.redis.execute_command(*command)

    def watch_closely(self, seconds: float = NODE_TIMEOUT_SECONDS) -> None:
        """Until `restore`, take a node for dead that was silent for this time."""
        for node in self.nodes:
            node.redis.config_set("cluster-node-timeout", int(seconds * 1000))

    def restore(self) -> None:
        """All nodes at work, without data, and the owner of the slot with a replica in step."""
        for node in self.nodes:
            if node.lives:
                node.resume()
            else:
                node.start()
        settle(lambda: all(node.is_well() for node in self.nodes))
        self.watch_closely(CALM_SECONDS)
        for node in self.nodes:
            node.ask("CLUSTER", "SETSLOT", SLOT, "STABLE")
        self._settle_replica()
        for node in self.nodes:
            if node.is_primary:
                node.redis.flushall()

    def _settle_replica(self) -> None:
        """The one that has no slots follows the owner."""
        owner = self.owner
        (replica,) = [node for node in self.nodes if not node.is_primary] or self.nodes[-1:]
        if not replica.follows(owner):

            def follow() -> bool:
                replica.ask("CLUSTER", "REPLICATE", owner.id)
                time.sleep(0.1)
                return replica.follows(owner)

            settle(follow)
        settle(lambda: all(node.is_well() for node in self.nodes))

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
