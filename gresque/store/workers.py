"""Workers as Resque knows them: one for each master."""

from __future__ import annotations

from collections.abc import Sequence

from gresque.store.server import Server
from gresque.text import decoded


class Workers:
    """The SET of their ids, their heartbeats, when they started."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def ids(self) -> list[str]:
        return sorted(decoded(n) for n in self._server.read((), "SMEMBERS", self._keys.workers))

    def heartbeats(self) -> dict[str, str]:
        """Worker id -> its last heartbeat, ISO 8601."""
        beats = self._server.read({}, "HGETALL", self._keys.heartbeats)
        return {decoded(worker): decoded(beat) for worker, beat in beats.items()}

    def started(self, worker_ids: Sequence[str]) -> dict[str, str]:
        """Worker id -> when its master started."""
        if not worker_ids:
            return {}
        values = self._server.call("MGET", *map(self._keys.worker_started, worker_ids))
        return {
            worker: decoded(value or b"") for worker, value in zip(worker_ids, values, strict=True)
        }

    def unregister(self, worker_id: str) -> None:
        """Forget a worker, unless a process of it has a ledger still."""
        keys = self._keys
        self._server.run_script(
            "unregister_worker",
            [
                keys.ledgers, keys.masters, keys.workers, keys.heartbeats,
                keys.worker_started(worker_id), keys.worker_stat("processed", worker_id),
                keys.worker_stat("failed", worker_id),
            ],
            [worker_id],
        )  # fmt: skip
