"""Shared by the maintenance processes of all masters: the lease, and the vitals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gresque.store.refusals import name_refused, pairs
from gresque.store.server import Server
from gresque.text import decoded, encoded


class Heartbeats(NamedTuple):
    """All worker processes with the scores of their heartbeats, and all workers of gresque."""

    scores: dict[bytes, float]
    workers: list[bytes]


class LeaseTry(NamedTuple):
    """A try to take the lease. `left_ms` is 0 when it is taken, else for how many milliseconds
    another one has it, if that does not renew it; None when another program uses its key, which is
    left alone. `masters` is how many may try."""

    left_ms: int | None
    masters: int


class Maintenance:
    """Its methods are called by maintenance processes, and in a burst by a worker process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    # The lease

    def take_lease(self, holder: str, expiry_ms: int) -> LeaseTry:
        """Take the lease if it is free."""
        key, keys = self._keys.maintenance, [self._keys.maintenance, self._keys.masters]
        left, masters = self._server.run_script("take_lease", keys, [holder, expiry_ms])
        if left < 0:
            wrong = "WRONGTYPE it does not expire"
            name_refused(self._keys, [(key, wrong)], "every master does the work of the lease")
            return LeaseTry(None, masters)
        return LeaseTry(left, masters)

    def renew_lease(self, holder: str, expiry_ms: int) -> bool:
        """Called by a holder, in one plain command; False when another one has taken the lease
        meanwhile. Then this makes it last `expiry_ms` from now, once, which does no harm."""
        found = self._server.read(None, "GETEX", self._keys.maintenance, "PX", expiry_ms)
        return bool(found == encoded(holder))

    def has_lease(self, holder: str) -> bool:
        """Whether it has it still, from a process before this one."""
        return bool(self._server.read(None, "GET", self._keys.maintenance) == encoded(holder))

    def release_lease(self, holder: str) -> None:
        self._server.run_script("release", [self._keys.maintenance], [holder])

    # Which processes there are

    def heartbeats(self) -> Heartbeats:
        keys = [self._keys.ledgers, self._keys.masters]
        beats, workers, refused = self._server.run_script("heartbeats", keys, [])
        name_refused(self._keys, pairs(refused), "the dead that stand there are not found")
        return Heartbeats(dict(zip(beats[::2], map(float, beats[1::2]), strict=True)), workers)

    def processes_of(self, machine: str) -> tuple[dict[str, str], int]:
        """The worker processes of a machine -> where each is found there; and how many there are on
        all machines."""
        found, refused, count = self._server.run_script(
            "processes_of", [self._keys.processes], [machine]
        )
        name_refused(self._keys, pairs(refused), "the dead that stand there are not found")
        names = list(map(decoded, found))
        return dict(zip(names[::2], names[1::2], strict=True)), count

    # The vitals

    def processes_with_vitals(self) -> list[str]:
        return list(map(decoded, self._server.read((), "HKEYS", self._keys.vitals)))

    def write_vitals(self, changed: Mapping[str, bytes], gone: Sequence[str] = ()) -> None:
        """Write the entries of these processes, and remove those of processes that are gone."""
        key = encoded(self._keys.vitals)
        pipeline = self._server.redis.pipeline(transaction=False)
        if gone:
            pipeline.hdel(key, *map(encoded, gone))
        if changed:
            entries: Any = {encoded(process): raw for process, raw in changed.items()}
            pipeline.hset(key, mapping=entries)
        self._server.ask(
            None, self._keys.vitals, pipeline.execute, "the vitals of processes are not seen"
        )
