"""Workers as Resque knows them: one for each master."""

from __future__ import annotations

from gresque.store.server import Server


class Workers:
    """The SET of their ids, and what belongs to each."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def unregister(self, worker_id: str) -> None:
        """Forget a worker, unless a process of it has a ledger still."""
        keys = self._keys
        self._server.run_script(
            "unregister_worker",
            [
                keys.ledgers, keys.masters, keys.workers, keys.heartbeats,
                keys.worker_started(worker_id), keys.worker_stat("processed", worker_id),
                keys.worker_stat("failed", worker_id), keys.worker_stat("retried", worker_id),
                keys.inflight_of(worker_id),
            ],
            [worker_id],
        )  # fmt: skip
