"""Kills that were asked for on a page: they go on in the background, and their outcomes stay in the
rows of the jobs for a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gresque.control.kill import Killed, kill_all
from gresque.control.targets import targets_of
from gresque.inspector.running import RunningJob
from gresque.logs import fields
from gresque.store.commands import Fate
from gresque.store.store import Store

log = logging.getLogger("gresque.web")

SHOWN_SECONDS = 60.0
WAIT_SECONDS = 40.0
"""For the last answer: of a job in an uninterruptible section, or whose process has to go."""
AT_ONCE = 1_000

OUTCOMES = {
    Fate.REQUESTED: "kill asked for",
    Fate.DELIVERED: "kill delivered, not dead yet",
    Fate.GUARDED: "in an uninterruptible section; dies at its end",
    Fate.DEAD: "killed",
    Fate.ENDED: "ended by itself, before the kill",
    Fate.REQUEUED: "not killed: back in its queue",
    Fate.REPLACED: "killed with its process, which was replaced",
    Fate.DIED_FAILED: "its process died before it answered; the job failed",
    Fate.DIED_REQUEUED: "its process died before it answered; the job is back in its queue",
    Fate.DIED_WITHOUT: "ended; its process died before it answered",
    Fate.LOST: "no answer: its process died",
}


@dataclass
class KilledRow:
    """A job that was to be killed, as its row shows it. `at` is the last change."""

    job: RunningJob
    fate: Fate = Fate.REQUESTED
    is_over: bool = False
    in_failed: bool = False
    at: float = field(default_factory=time.monotonic)
    changed_at: float = field(default_factory=time.time)
    """The same in epoch seconds."""

    @property
    def text(self) -> str:
        return OUTCOMES[self.fate]

    @property
    def id(self) -> str:
        return str(self.job.item.get("id"))


class AnyKills(Protocol):
    """What pages ask, of one shard or of all."""

    @property
    def version(self) -> int: ...

    def start(self, jobs: Sequence[RunningJob], by: str) -> int: ...

    def recent(self) -> dict[str, KilledRow]: ...

    def close(self, seconds: float) -> None: ...


class Kills:
    """Any number of threads or greenlets may call it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._rows: dict[str, KilledRow] = {}
        self._under_way = 0
        self.version = 0
        """It grows with each outcome."""

    def start(self, jobs: Sequence[RunningJob], by: str) -> int:
        """Kill these jobs, in the background; how many that are. Jobs without an id are left
        out."""
        rows = [KilledRow(job) for job in jobs if job.item.get("id") is not None]
        with self._lock:
            self._forget()
            self._rows |= {row.id: row for row in rows}
            self.version += 1
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            with self._lock:
                self._under_way += 1
            threading.Thread(target=self._run, args=(some, by), name="kills", daemon=True).start()
        return len(rows)

    def recent(self) -> dict[str, KilledRow]:
        """By the id of the job."""
        with self._lock:
            self._forget()
            return dict(self._rows)

    def close(self, seconds: float) -> None:
        """Wait for the answers of kills under way, for this long at most: the audit has them then.
        Their processes carry them out in any case."""
        until = time.monotonic() + seconds
        while self._under_way and time.monotonic() < until:
            time.sleep(0.02)

    def _run(self, rows: Sequence[KilledRow], by: str) -> None:
        asked = {row.id: row for row in rows}

        def note(killed: Killed) -> None:
            self._note(asked[killed.job_id], killed)

        try:
            targets = targets_of(row.job for row in rows)
            kill_all(self._store, targets, by=by, wait_seconds=WAIT_SECONDS, report=note)
        except Exception:
            log.exception("cannot kill %d jobs", len(rows), extra=fields("web_kill_failed", by=by))
        finally:
            with self._lock:
                self._under_way -= 1

    def _note(self, row: KilledRow, killed: Killed) -> None:
        with self._lock:
            row.fate, row.in_failed = killed.answer.fate, killed.answer.in_failed
            row.is_over = killed.answer.is_final
            row.at, row.changed_at = time.monotonic(), time.time()
            self.version += 1

    def _forget(self) -> None:
        old = time.monotonic() - SHOWN_SECONDS
        self._rows = {name: row for name, row in self._rows.items() if row.at > old}
