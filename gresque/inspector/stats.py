"""The counters: how many jobs ended, and how many of them failed."""

from __future__ import annotations

from gresque.store.store import Store


class Stat:
    """One counter, `processed` or `failed`: of the whole system, or of one worker.

    `processed` counts every job that ended, the failed ones included.

        Stat(store, "failed").get()
        Stat(store, "failed").get("host:123:mail:1:1:1")
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def get(self, worker_id: str | None = None) -> int:
        """Its value; 0 for one that never counted."""
        return self._store.stats.values([self._key(worker_id)])[0]

    def clear(self, worker_id: str | None = None) -> None:
        """Start again from 0."""
        self._store.stats.clear(self._key(worker_id))

    def _key(self, worker_id: str | None) -> str:
        keys = self._store.keys
        return (
            keys.stat(self._name) if worker_id is None else keys.worker_stat(self._name, worker_id)
        )
