"""The vitals of a master's worker processes, written to Redis for them.

A process that lives for a single job has no time to do that itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from gresque.maintenance.task import Interval
from gresque.processes.identity import process_id, worker_of
from gresque.processes.scoreboard import Row
from gresque.processes.state import ProcessState
from gresque.processes.vitals import vitals_of
from gresque.settings import Settings
from gresque.store.store import Store

LOOK_SECONDS = 1.0
WRITE_SECONDS = 10.0
REFRESH_SECONDS = 30.0
"""An entry that does not change is written again: a server may have lost it."""


_Entry = tuple[ProcessState | None, bytes]
"""A state, and what is written of the process then."""


class VitalsReport:
    """Done by every master. Once a second it looks at the scoreboard: an entry is written at once
    for a new process and for a new state, and every 10 s for other changes; it is removed when the
    process is gone."""

    name = "vitals"

    def __init__(self, settings: Settings, worker_id: str, rows: Sequence[Row]) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._rows = rows
        self._interval = Interval(LOOK_SECONDS)
        self._written: dict[str, _Entry] | None = None
        """By process; None until it is known what an earlier maintenance process of this master has
        written."""
        self._write_at = self._refresh_at = 0.0

    def due(self, now: float) -> float:
        return self._interval.left(now)

    def run(self, store: Store) -> None:
        now = time.monotonic()
        self._interval.begin(now)
        if self._written is None:
            found = store.maintenance.processes_with_vitals()
            self._written = {p: (None, b"") for p in found if worker_of(p) == self._worker_id}
        every = now >= self._write_at
        refresh = every and now >= self._refresh_at
        live = self._live()
        changed: dict[str, _Entry] = {}
        for process, row in live.items():
            state, entry = self._written.get(process, (None, b""))
            if every or state is not row.state:
                new = row.state, vitals_of(row, self._settings).encode()
                if refresh or new[1] != entry:
                    changed[process] = new
        self._write(store, changed, [p for p in self._written if p not in live])
        if every:
            self._write_at = now + WRITE_SECONDS
        if refresh:
            self._refresh_at = now + REFRESH_SECONDS

    def _write(self, store: Store, changed: dict[str, _Entry], gone: list[str]) -> None:
        if changed or gone:
            entries = {process: entry for process, (_, entry) in changed.items()}
            store.maintenance.write_vitals(entries, gone)
            self._written = {**(self._written or {}), **changed}
            for process in gone:
                del self._written[process]

    def remove_gone(self, store: Store) -> None:
        """The last thing that is done for a master. Raises RedisError."""
        live = self._live()
        gone = [process for process in self._written or () if process not in live]
        self._write(store, {}, gone)

    def _live(self) -> dict[str, Row]:
        rows = [row for row in self._rows if row.kind.takes_jobs and not row.state.has_left]
        return {
            process_id(self._worker_id, pid, row.born_ms): row
            for row in rows
            if (pid := row.pid) and _exists(pid)
        }


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
