"""Worker processes: their ledgers, their signs of life, what they publish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gresque.store.commands import Running
from gresque.store.ledger import HeldLedger, parse_ledger
from gresque.store.server import Server
from gresque.text import decoded, encoded


class Processes:
    """Those that have a ledger: they live, or died and are still to be recovered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def ids(self) -> list[str]:
        return [decoded(n) for n in self._server.read((), "ZRANGE", self._keys.ledgers, 0, -1)]

    def beats(self) -> dict[str, float]:
        """Process -> its last sign of life, epoch seconds by the server's clock."""
        server, key = self._server, self._keys.ledgers
        beats: Any = server.ask((), key, lambda: server.redis.zrange(key, 0, -1, withscores=True))
        return {decoded(name): score / 1000 for name, score in beats}

    def has_ledger(self, process_id: str) -> bool:
        """Whether the process lives, or is to be recovered."""
        return self._server.read(None, "ZSCORE", self._keys.ledgers, process_id) is not None

    def is_fenced(self, process_id: str) -> bool:
        """Whether the process was declared dead lately."""
        return self._server.read(None, "ZSCORE", self._keys.fenced, process_id) is not None

    def held_counts(self, process_ids: Sequence[str]) -> list[int]:
        """How many jobs each of these processes holds."""
        keys = [self._keys.ledger(process_id) for process_id in process_ids]
        pipeline = self._server.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hlen(encoded(key))
        sizes = pipeline.execute(raise_on_error=False)
        # One field of a ledger is its state.
        return [max(size - 1, 0) for size in self._server.numbers(keys, sizes)]

    def ledger(self, process_id: str) -> HeldLedger:
        """What the process holds right now."""
        fields = self._server.read({}, "HGETALL", self._keys.ledger(process_id))
        return parse_ledger(fields, encoded(self._keys.queue_prefix))

    def running(self, process_id: str) -> Running:
        """What the process runs, as of its last heartbeat. Raises msgspec.MsgspecError when
        something else stands there."""
        published = self._server.read(None, "GET", self._keys.running(process_id))
        return Running() if published is None else Running.parse(published)
