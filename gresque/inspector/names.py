"""The parts of the ids of workers and processes, of other programs too. Pure."""

from __future__ import annotations

from functools import lru_cache

from gresque.processes.identity import WorkerName, split_process_id

KEPT = 4096
"""Names that are read each second are read once."""


@lru_cache(maxsize=KEPT)
def worker_name(worker_id: str) -> WorkerName | None:
    """None for an id of another format, such as stock Resque's."""
    try:
        return WorkerName.parse(worker_id)
    except ValueError:
        return None


@lru_cache(maxsize=KEPT)
def worker_and_pid(process_id: str) -> tuple[str, int | None]:
    """The worker of a process, and its pid."""
    try:
        return split_process_id(process_id)
    except ValueError:
        return process_id, None


def started_at(process_id: str) -> float | None:
    """When the process started, epoch seconds by its machine's clock."""
    try:
        return int(process_id.rsplit(":", 1)[1]) / 1000
    except (IndexError, ValueError, OverflowError):
        return None
