"""`gresque workers`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import ListByDefault, confirm, yes_option
from gresque.cli.connect import operator
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Column, Output, complain, json_option
from gresque.cli.stores import open_store, open_stores
from gresque.clock import duration
from gresque.text import counted, printable

if TYPE_CHECKING:
    from gresque.control.workers import Pruned
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


@click.group(name="workers", cls=ListByDefault)
def command() -> None:
    """List the workers, and prune a dead one of another program; alone: list them.

    \b
    Examples:
      gresque workers
      gresque workers prune vm:4711:mail
    """


@command.command(name="list")
@setting_options("redis_url", "namespace")
@json_option
def list_command(flags: dict[str, Any], as_json: bool) -> None:
    """List workers with their queues, start time and job counts.

    A worker's id is host:master_pid:queues:processes:threads:jobs_per_fork. HOLDS is the number
    of jobs that it has reserved and not ended. A worker that died without unregistering stays
    listed as "gone" while it holds jobs. Those of other programs are "other": Ruby's, Node's and
    PHP's. They are never judged; `gresque workers prune` removes one that is dead.

    \b
    Examples:
      gresque workers
      gresque workers --json | jq '.[] | select(.heartbeat_age_seconds > 60) | .id'
    """
    from gresque.inspector.workers import WorkerStatus

    with open_stores(flags) as stores:
        workers = stores.total(WorkerStatus.all, WorkerStatus.merge)
    Output(as_json).listing(
        workers, _as_dict, COLUMNS, empty="no workers",
        colour=lambda worker: None if worker.registered else "red",
    )  # fmt: skip


def _heartbeat(worker: WorkerStatus) -> str:
    age = duration(worker.heartbeat_age_seconds)
    said = "-" if worker.heartbeat_age_seconds is None else f"{age} ago"
    other = "" if worker.own else ", other"
    return f"{said}{other}" if worker.registered else f"{said}{other}, gone"


def _as_dict(worker: WorkerStatus) -> dict[str, Any]:
    return {**asdict(worker), "held": worker.held}


@command.command(name="prune")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Also one that gave a heartbeat lately.")
@yes_option
@setting_options("redis_url", "namespace", "failure_backend")
@json_option
def prune_command(
    ids: tuple[str, ...], force: bool, yes: bool, flags: dict[str, Any], as_json: bool
) -> int:
    """Remove dead workers of other programs, as Ruby's own pruning would.

    The jobs that such a worker ran go to the failed jobs, as Resque::PruneDeadWorkerDirtyExit, and
    its keys are removed, in one step. A worker that gave a heartbeat in the last 5 min is refused,
    as Ruby waits that long, too. Node's and PHP's workers may give none: make sure that theirs is
    dead. Of a worker of gresque that has no process left, the keys are removed; one that has is
    refused, since its jobs are recovered.

    \b
    Exit code:
      0  they are pruned
      1  one of them is not known, or refused: nothing was done
      2  the command line is wrong

    \b
    Examples:
      gresque workers prune vm:4711:mail
      gresque workers prune --force --yes vm:4711:mail
    """
    from gresque.control.workers import NotPruned, look_at, prune

    backend = load_settings(flags).failure_backend
    pruned: list[Pruned] = []
    with open_store(flags) as store:
        try:
            found = [look_at(store, each, force=force) for each in dict.fromkeys(ids)]
            confirm("\n".join([*map(_intent, found), "Go on?"]), yes)
            pruned += (
                prune(store, each.worker, by=operator(), force=force, failure_backend=backend)
                for each in found
            )
        except NotPruned as error:
            complain(str(error))
    Output(as_json).document(
        [_pruned_as_dict(each) for each in pruned], lambda: map(_outcome, pruned)
    )
    return 0 if pruned else 1


def _intent(pruned: Pruned) -> str:
    jobs = [f"{printable(job.name)} of queue {printable(job.queue)}" for job in pruned.jobs]
    fails = f", and fail {counted(len(jobs), 'job')}: {', '.join(jobs[:3])}" if jobs else ""
    more = f" and {len(jobs) - 3:,} more" if len(jobs) > 3 else ""
    return f"Remove worker {printable(pruned.worker)} ({pruned.last_seen}){fails}{more}."


def _outcome(pruned: Pruned) -> str:
    jobs = pruned.jobs
    went = "it ran no job"
    if jobs:
        went = f"{counted(len(jobs), 'job')} went to the failed jobs: gresque failed"
    return f"pruned {printable(pruned.worker)}; {went}"


def _pruned_as_dict(pruned: Pruned) -> dict[str, Any]:
    return {
        "worker": pruned.worker,
        "heartbeat_age_seconds": pruned.heartbeat_age_seconds,
        "failed": [{"queue": job.queue, "class": job.name} for job in pruned.jobs],
    }
