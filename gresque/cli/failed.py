"""`gresque failed`: look at failed jobs, retry them, remove them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import ListByDefault, confirm, yes_option
from gresque.cli.connect import operator
from gresque.cli.failed_changes import (
    by_shard,
    complain_of_moved,
    groups_of,
    in_turn,
    remove_all,
    retry_all,
)
from gresque.cli.failed_job import describe, find_failed, place_of
from gresque.cli.filters import CLASS, EXCEPTION, filters, text_filter
from gresque.cli.options import setting_options
from gresque.cli.output import Column, Output, counted, json_option, write
from gresque.cli.progress import ProgressLine
from gresque.cli.stores import backend_of, open_stores

if TYPE_CHECKING:
    from gresque.failure.failed_list import FailedJob
    from gresque.failure.search import Wanted

COLUMNS = [
    Column("INDEX", lambda job: job.place, whole=True),
    Column(
        "FAILED AT",
        lambda job: job.entry and job.shown_time.removesuffix(" UTC"),
        lambda job: job.entry and job.shown_time.removesuffix(" UTC")[5:],
        whole=True,
    ),
    Column("QUEUE", lambda job: job.entry and job.entry.queue),
    Column("CLASS", lambda job: job.item.get("class")),
    Column("JOB ID", lambda job: job.job_id, whole=True, rank=1),
    Column("RETRIED", lambda job: "yes" if job.retried else None, whole=True),
    Column("EXCEPTION", lambda job: job.entry and job.entry.exception),
    Column("ERROR", lambda job: _error(job)),
]

GROUP_COLUMNS = [
    Column("COUNT", lambda row: row[1].count),
    Column("RETRIED", lambda row: row[1].retried),
    Column(
        "LAST FAILED AT",
        lambda row: row[1].last_failed_at.removesuffix(" UTC"),
        lambda row: row[1].last_failed_at.removesuffix(" UTC")[5:],
        whole=True,
    ),
    Column("QUEUE", lambda row: row[0].queue),
    Column("CLASS", lambda row: row[0].job_class),
    Column("EXCEPTION", lambda row: row[0].exception),
]

SETTINGS = ("redis_url", "namespace", "failure_backend")

wanted_options = filters(
    CLASS,
    EXCEPTION,
    text_filter("--queue", help="Those from this queue."),
    text_filter("--search", "text", metavar="TEXT", help="With this text in the error."),
)
"""Decorator: the flags that say which failed jobs are meant; `_wanted` takes their values."""


def _wanted(options: dict[str, Any]) -> Wanted:
    from gresque.failure.search import Wanted

    return Wanted(**options)


@click.group(name="failed", cls=ListByDefault)
def command() -> None:
    """Look at failed jobs, retry them, remove them; alone: list them.

    Give jobs by the index that `list` shows, or by job id, which means the job's newest failure.
    Indexes count from 0, the oldest failure; they change when entries are removed or several are
    retried. Of several shards each has indexes of its own: a:12 is that of shard a. --class,
    --exception, --queue and --search select many at once; all given must match.

    \b
    Examples:
      gresque failed
      gresque failed show 12
      gresque failed retry 12 13
      gresque failed groups
      gresque failed retry --class myjobs.fetch --exception TimeoutError
      gresque failed retry --all
      gresque failed clear
    """


@command.command(name="list")
@click.option("--offset", type=click.IntRange(0), default=0, help="Skip that many newer failures.")
@click.option(
    "--count", type=click.IntRange(0), default=20, show_default=True, help="Show that many."
)
@wanted_options
@setting_options(*SETTINGS)
@json_option
def list_command(
    flags: dict[str, Any], offset: int, count: int, as_json: bool, **options: Any
) -> None:
    """List failed jobs, the newest first.

    Times are UTC. On a terminal the error is cut to the line; `show` prints all of it. --offset
    and --count apply to the selected jobs, such as those of a class.

    \b
    Examples:
      gresque failed list
      gresque failed list --offset 20 --count 20
      gresque failed list --class myjobs.fetch --search 'timed out'
      gresque failed list --count 100000 --json | jq -r '.[] | .error' | sort | uniq -c
    """
    from gresque.failure.failed_list import FailedJob

    wanted, backend = _wanted(options), backend_of(flags)
    with open_stores(flags) as stores:
        rows = stores.rows(
            lambda store, skip, most: backend(store).newest(skip, most or 0, wanted),
            lambda job: job.failed_at, offset, count, reverse=True,
        )  # fmt: skip
        stores.listing(
            as_json, rows, FailedJob.as_dict, COLUMNS[1:] if stores.are_many else COLUMNS,
            empty="no more failed jobs" if offset else f"no {'such ' if wanted else ''}failed jobs",
            shard=Column("INDEX", place_of, whole=True),
        )  # fmt: skip


@command.command(name="groups")
@wanted_options
@setting_options(*SETTINGS)
@json_option
def groups_command(flags: dict[str, Any], as_json: bool, **options: Any) -> None:
    """Count the failed jobs by class, exception and queue, the largest group first.

    Reads all of them: some seconds for a million.

    \b
    Examples:
      gresque failed groups
      gresque failed groups --queue mail
      gresque failed groups --json | jq '.[0]'
    """
    wanted = _wanted(options)
    with open_stores(flags) as stores, ProgressLine("read") as progress:
        groups = groups_of(flags, stores, wanted, progress)
        progress.complain_if_stopped()
    Output(as_json).listing(
        groups.items(),
        lambda row: row[0]._asdict() | vars(row[1]),
        GROUP_COLUMNS,
        empty=f"no {'such ' if wanted else ''}failed jobs",
    )


@command.command(name="show")
@click.argument("target", metavar="INDEX|JOB_ID")
@setting_options(*SETTINGS)
@json_option
def show_command(flags: dict[str, Any], target: str, as_json: bool) -> None:
    """Show everything about a failed job, its backtrace included.

    \b
    Examples:
      gresque failed show 12
      gresque failed show 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7 --json
    """
    with open_stores(flags) as stores:
        (row,) = find_failed(stores, backend_of(flags), [target])
        shard = {"shard": row.shard} if stores.are_many else {}
        stores.document(
            as_json, {**shard, **row.value.as_dict()}, lambda: describe(row.value, place_of(row))
        )


@command.command(name="retry")
@click.argument("targets", metavar="[INDEX|JOB_ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that were not retried yet.")
@wanted_options
@yes_option
@setting_options(*SETTINGS)
def retry_command(
    flags: dict[str, Any], targets: tuple[str, ...], everything: bool, yes: bool, **options: Any
) -> None:
    """Put failed jobs back into their queues.

    Each entry stays, marked as retried, until `clear` removes it. A job given by index or id is
    retried even if it was before; --all, --class and so on leave out those that were, so that a
    second call, or a second operator, doubles nothing. --all asks for confirmation on a terminal;
    without a terminal it needs --yes. Ctrl-C stops it between two steps; what is retried by then
    is marked.

    \b
    Examples:
      gresque failed retry 12
      gresque failed retry 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7
      gresque failed retry --class myjobs.fetch --exception TimeoutError
      gresque failed retry --all --yes
    """
    from gresque.control.retry import retry_failed
    from gresque.failure.backend import check_retry
    from gresque.inspector.shards import InShard

    wanted = _wanted(options)
    _check_targets("retry", targets, everything, wanted)
    backend = backend_of(flags)
    with open_stores(flags, changes=True) as stores:
        if not targets:
            retry_all(backend, stores, wanted, yes)
            return
        found = find_failed(stores, backend, targets)
        for row in found:
            check_retry(row.value)  # before anything is done, on any shard
        jobs = by_shard(found)
        done = stores.each(
            lambda store: retry_failed(backend(store), jobs[stores.name_of(store)], by=operator()),
            only=jobs,
        )
        left = [
            InShard(shard, job)
            for shard, retried in done.items()
            for job, is_done in zip(jobs[shard], retried, strict=True)
            if not is_done
        ]
        complain_of_moved(left)
        write([f"{counted(sum(map(len, done.values())), 'failed job')} retried"])


@command.command(name="remove")
@click.argument("targets", metavar="[INDEX|JOB_ID]...", nargs=-1)
@wanted_options
@yes_option
@setting_options(*SETTINGS)
def remove_command(
    flags: dict[str, Any], targets: tuple[str, ...], yes: bool, **options: Any
) -> None:
    """Remove failed jobs for good. All indexes refer to the list as it was before.

    With --class and so on all such jobs are removed, retried or not. That asks for confirmation on
    a terminal; without a terminal it needs --yes. Ctrl-C stops it between two steps.

    \b
    Examples:
      gresque failed remove 12
      gresque failed remove 3 4 5
      gresque failed remove --class myjobs.fetch --search '404'
    """
    from gresque.control.remove import remove_failed

    wanted = _wanted(options)
    _check_targets("remove", targets, False, wanted)
    backend = backend_of(flags)
    with open_stores(flags, changes=True) as stores:
        if not targets:
            remove_all(flags, stores, wanted, yes)
            return
        jobs = by_shard(find_failed(stores, backend, targets))
        done = stores.each(
            lambda store: remove_failed(backend(store), jobs[stores.name_of(store)], by=operator()),
            only=jobs,
        )
        removed = sum(done.values())
        if removed < sum(len(jobs[shard]) for shard in done):
            raise click.ClickException(
                f"{counted(removed, 'failed job')} removed; another command moved the others "
                "meanwhile: list again"
            )
        write([f"{counted(removed, 'failed job')} removed"])


@command.command(name="clear")
@click.option("--all", "everything", is_flag=True, help="Also those that were not retried.")
@yes_option
@setting_options(*SETTINGS)
def clear_command(flags: dict[str, Any], everything: bool, yes: bool) -> None:
    """Remove the failed jobs that were retried; with --all every one.

    --all asks for confirmation on a terminal; without a terminal it needs --yes.

    \b
    Examples:
      gresque failed clear
      gresque failed clear --all --yes
    """
    from gresque.control.remove import clear_retried, remove_oldest_failed

    backend = backend_of(flags)
    with open_stores(flags, changes=True) as stores:
        if not everything:
            with ProgressLine("gone through") as progress:
                removed = in_turn(
                    stores, progress,
                    lambda store: clear_retried(backend(store), progress, by=operator()),
                )  # fmt: skip
            write([f"{counted(removed, 'failed job')} removed"])
            progress.complain_if_stopped()
            return
        counts = stores.ask(lambda store: backend(store).counts())
        count = sum(sum(each.values()) for each in counts.values())
        if count:
            confirm(f"Remove all of {counted(count, 'failed job')}, for good?", yes)
        # Not more than the prompt showed: the user has not seen jobs that failed since.
        done = stores.each(
            lambda store: remove_oldest_failed(
                backend(store), counts[stores.name_of(store)], by=operator()
            ),
            only=counts,
        )
        write([f"{counted(sum(done.values()), 'failed job')} removed"])


def _check_targets(verb: str, targets: tuple[str, ...], everything: bool, wanted: Wanted) -> None:
    if bool(targets) + everything + bool(wanted) > 1:
        raise click.UsageError(
            f"give one of these: the jobs to {verb}, --all, or --class and so on"
            if verb == "retry"
            else f"give either the jobs to {verb}, or --class and so on"
        )
    if not (targets or everything or wanted):
        raise click.UsageError(
            f"name the jobs to {verb} by index or job id, or give --class, --exception, --queue, "
            f"--search{' or --all' if verb == 'retry' else ''}"
        )


def _error(job: FailedJob) -> str:
    if job.entry is None:
        return f"not an entry: {job.raw.decode('utf-8', 'backslashreplace')}"
    return " ".join(job.entry.error.split())
