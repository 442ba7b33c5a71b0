"""`gresque workers`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.connect import open_store
from gresque.cli.options import setting_options
from gresque.cli.output import Column, Output, json_option
from gresque.clock import duration

if TYPE_CHECKING:
    from gresque.inspector.workers import WorkerStatus

COLUMNS = [
    Column("WORKER", lambda worker: worker.id),
    Column(
        "STARTED", lambda worker: worker.started, lambda worker: worker.started[5:16], whole=True
    ),
    Column("HEARTBEAT", lambda worker: _heartbeat(worker), whole=True),
    Column("PROCESSES", lambda worker: len(worker.processes)),
    Column("HOLDS", lambda worker: worker.held),
    Column("PROCESSED", lambda worker: worker.processed),
    Column("FAILED", lambda worker: worker.failed),
    Column("RETRIED", lambda worker: worker.retried, rank=1),
]


@click.command(name="workers")
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], as_json: bool) -> None:
    """List workers with their queues, start time and job counts.

    A worker's id is host:master_pid:queues:processes:threads:jobs_per_fork. HOLDS is the number
    of jobs that it has reserved and not ended. A worker that died without unregistering stays
    listed as "gone" while it holds jobs.

    \b
    Examples:
      gresque workers
      gresque workers --json | jq '.[] | select(.heartbeat_age_seconds > 60) | .id'
    """
    from gresque.inspector.workers import WorkerStatus

    with open_store(flags) as store:
        workers = WorkerStatus.all(store)
    Output(as_json).listing(
        workers, _as_dict, COLUMNS, empty="no workers",
        colour=lambda worker: None if worker.registered else "red",
    )  # fmt: skip


def _heartbeat(worker: WorkerStatus) -> str:
    age = duration(worker.heartbeat_age_seconds)
    said = "-" if worker.heartbeat_age_seconds is None else f"{age} ago"
    return said if worker.registered else f"{said}, gone"


def _as_dict(worker: WorkerStatus) -> dict[str, Any]:
    return {**asdict(worker), "held": worker.held}
