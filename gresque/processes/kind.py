"""The kinds of processes that a master forks."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """The purpose of a child of the master."""

    WORKER = 0
    """Takes jobs, as one of WORKER_COUNT."""
    STANDBY = 1
    """Has come up, and takes no jobs until the master calls it. From then on it is a WORKER."""
    QUARANTINE = 2
    """Performs suspects only."""
    PROXY = 3
    """Speaks in Redis for a worker process in which no thread gets the GIL."""
    MAINTENANCE = 4
    """Runs what is due at intervals; takes no jobs."""

    @property
    def takes_jobs(self) -> bool:
        """Whether a process of this kind performs jobs, now or later."""
        return self in (Kind.WORKER, Kind.STANDBY, Kind.QUARANTINE)

    def __str__(self) -> str:
        return _NAMES[self]


_NAMES = {
    Kind.WORKER: "worker process",
    Kind.STANDBY: "standby process",
    Kind.QUARANTINE: "quarantine process",
    Kind.PROXY: "proxy",
    Kind.MAINTENANCE: "maintenance process",
}
