"""`gresque running`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import ListByDefault
from gresque.cli.options import setting_options
from gresque.cli.output import Column, Output, arguments, json_option
from gresque.cli.stores import open_stores
from gresque.cli.wanted import wanted_options, wanted_running
from gresque.clock import duration
from gresque.processes.short_names import short_id, short_process

if TYPE_CHECKING:
    from gresque.inspector.running import RunningJob
    from gresque.store.store import Store

COLUMNS = [
    Column("RUNS FOR", lambda job: duration(job.seconds), whole=True),
    Column("BLOCKS", lambda job: duration(job.blocks_seconds), whole=True),
    Column(
        "PROCESS", lambda job: job.process, lambda job: short_process(job.process), keeps_end=True
    ),
    Column("SLOT", lambda job: job.slot, rank=1),
    Column("QUEUE", lambda job: job.queue),
    Column("CLASS", lambda job: job.item.get("class")),
    Column(
        "JOB ID",
        lambda job: job.item.get("id"),
        lambda job: short_id(job.item.get("id")),
        whole=True,
    ),
    Column("ARGUMENTS", lambda job: arguments(job.item)),
]


GROUP_COLUMNS = [
    Column("COUNT", lambda group: group.count),
    Column("OLDEST", lambda group: _age(group.oldest_seconds), whole=True),
    Column("MEDIAN", lambda group: _age(group.median_seconds), whole=True),
    Column("BLOCKING", lambda group: group.blocking or None, whole=True),
    Column("QUEUE", lambda group: group.queue),
    Column("CLASS", lambda group: group.job_class),
]


@click.group(name="running", cls=ListByDefault)
def command() -> None:
    """List the jobs that run now, or count them by class and queue; alone: list them.

    \b
    Examples:
      gresque running
      gresque running -n 20
      gresque running --queue web --longer-than 10m
      gresque running groups
    """


@command.command(name="list")
@click.option(
    "-n", "--count", type=click.IntRange(1),
    help="Show that many: jobs that block others, then those that run longest.",
)  # fmt: skip
@wanted_options
@setting_options("redis_url", "namespace")
@json_option
def list_command(flags: dict[str, Any], count: int | None, as_json: bool, **options: Any) -> None:
    """List the jobs that run now: those that block others, then the oldest.

    The start is known of jobs that have been running for over a second. The others stand at the
    end, some of them about to start; with --count alone they are left out, and the payloads of the
    jobs shown are all that is read. BLOCKS is for how long a job has kept the others of its process
    from running: the job, or something that it has started, uses the CPU or waits in C. Its stack
    is in the JSON. On a narrow terminal processes and ids are short; `kill` and `stacks` take them
    so, too.

    \b
    Examples:
      gresque running list --class myjobs.fetch --longer-than 90
      gresque running list --process web-07
      gresque running list --json | jq '.[] | select(.seconds > 60)'
      gresque running list --json | jq '.[] | select(.blocks_seconds) | .stack'
    """
    from gresque.inspector.running import RunningJob, worst_first

    wanted = wanted_running(options)

    def read(store: Store, skip: int, most: int | None) -> list[RunningJob]:
        if most and not wanted:
            return RunningJob.longest(store, most)
        return RunningJob.all(store, wanted)[:most]

    with open_stores(flags) as stores:
        stores.listing(
            as_json, stores.rows(read, worst_first, 0, count), _as_dict, COLUMNS,
            empty=f"no {'such ' if wanted else ''}jobs are running",
            colour=lambda job: "red" if job.blocks_seconds else None,
        )  # fmt: skip


@command.command(name="groups")
@wanted_options
@setting_options("redis_url", "namespace")
@json_option
def groups_command(flags: dict[str, Any], as_json: bool, **options: Any) -> None:
    """Count the running jobs by class and queue, the largest group first.

    OLDEST and MEDIAN are for how long the oldest and the middle one have been running, BLOCKING how
    many of them keep the others of their process from running.

    \b
    Examples:
      gresque running groups
      gresque running groups --longer-than 60
    """
    from gresque.inspector.running_groups import RunningGroup, glances

    wanted = wanted_running(options)
    with open_stores(flags) as stores:
        found = stores.ask(lambda store: [*glances(store, wanted)])
    groups = RunningGroup.of(glance for some in found.values() for glance in some)
    Output(as_json).listing(
        groups, asdict, GROUP_COLUMNS, empty=f"no {'such ' if wanted else ''}jobs are running",
        colour=lambda group: "red" if group.blocking else None,
    )  # fmt: skip


def _age(seconds: float | None) -> str:
    return "< 1 s" if seconds is None else duration(seconds)


def _as_dict(job: RunningJob) -> dict[str, Any]:
    return {
        "worker": job.worker,
        "process": job.process,
        "slot": job.slot,
        "queue": job.queue,
        "class": job.item.get("class"),
        "args": job.item.get("args"),
        "kwargs": job.item.get("kwargs"),
        "id": job.item.get("id"),
        "since": job.since,
        "seconds": job.seconds,
        "blocks_seconds": job.blocks_seconds,
        "stack": list(job.stack) or None,
        "waits_on": job.waits_on or None,
        "cpu_share": job.cpu_share,
        "frame": job.frame or None,
        "payload": job.item,
    }
