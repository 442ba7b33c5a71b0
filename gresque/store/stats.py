"""The counters, by their keys."""

from __future__ import annotations

from collections.abc import Sequence

from gresque.store.server import Server


class Stats:
    """Resque's counters: `processed` and `failed`, of all workers or of one."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def values(self, keys: Sequence[str]) -> list[int]:
        """The values of the counters with these keys, 0 for one that never counted."""
        return self._server.numbers(keys, self._server.call("MGET", *keys)) if keys else []

    def clear(self, key: str) -> None:
        """Set the counter with this key back to 0."""
        self._server.call("DEL", key)
