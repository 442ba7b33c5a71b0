"""`gresque failed`: look at failed jobs, retry them, remove them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.connect import open_store
from gresque.cli.options import setting_options
from gresque.cli.output import (
    Column,
    Output,
    compact,
    counted,
    json_option,
    pairs,
    printable,
    write,
)

if TYPE_CHECKING:
    from gresque.failure.backend import FailedJob, FailureBackend

MAX_INDEX_DIGITS = 15
"""A longer number is a job id: ids are 32 hex digits, which can all be decimal ones."""

COLUMNS = [
    Column("INDEX", lambda job: str(job.index)),
    Column("FAILED AT", lambda job: job.entry and job.entry.failed_at.removesuffix(" UTC")),
    Column("QUEUE", lambda job: job.entry and job.entry.queue),
    Column("CLASS", lambda job: job.item.get("class")),
    Column("JOB ID", lambda job: job.job_id),
    Column("RETRIED", lambda job: "yes" if job.retried else None),
    Column("EXCEPTION", lambda job: job.entry and job.entry.exception),
    Column("ERROR", lambda job: _error(job)),
]

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


class ListByDefault(click.Group):
    """`gresque failed`, alone or with options of `list`, is `gresque failed list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx)):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(name="failed", cls=ListByDefault)
def command() -> None:
    """Look at failed jobs, retry them, remove them; alone: list them.

    Jobs are named by the index that `list` shows, or by job id, which means the job's newest
    failure. An index holds until something is removed: indexes count from 0, the oldest failure.

    \b
    Examples:
      gresque failed
      gresque failed show 12
      gresque failed retry 12 13
      gresque failed retry --all
      gresque failed clear
    """


@command.command(name="list")
@click.option("--offset", type=click.IntRange(0), default=0, help="Skip that many newer failures.")
@click.option(
    "--count", type=click.IntRange(0), default=20, show_default=True, help="Show that many."
)
@setting_options("redis_url", "namespace")
@json_option
def list_command(flags: dict[str, Any], offset: int, count: int, as_json: bool) -> None:
    """List failed jobs, the newest first.

    Times are UTC. On a terminal the error is cut to the line; `show` gives all of it.

    \b
    Examples:
      gresque failed list
      gresque failed list --offset 20 --count 20
      gresque failed list --count 100000 --json | jq -r '.[] | .exception' | sort | uniq -c
    """
    from gresque.failure.backend import FailedJob, RedisBackend

    with open_store(flags) as store:
        Output(as_json).listing(
            RedisBackend(store).newest(offset, count),
            FailedJob.as_dict,
            COLUMNS,
            empty="no more failed jobs" if offset else "no failed jobs",
        )


@command.command(name="show")
@click.argument("target", metavar="INDEX|JOB_ID")
@setting_options("redis_url", "namespace")
@json_option
def show_command(flags: dict[str, Any], target: str, as_json: bool) -> None:
    """Show everything about a failed job, its backtrace included.

    \b
    Examples:
      gresque failed show 12
      gresque failed show 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7 --json
    """
    from gresque.failure.backend import RedisBackend

    with open_store(flags) as store:
        (job,) = _find(RedisBackend(store), [target])
    Output(as_json).document(job.as_dict(), lambda: _describe(job))


@command.command(name="retry")
@click.argument("targets", metavar="[INDEX|JOB_ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that were not retried yet.")
@yes_option
@setting_options("redis_url", "namespace")
def retry_command(
    flags: dict[str, Any], targets: tuple[str, ...], everything: bool, yes: bool
) -> None:
    """Put failed jobs back into their queues.

    Each entry stays, marked as retried, until `clear` removes it. A job that is named is retried
    even if it was before; --all leaves out those that were, so that calling it twice doubles
    nothing. --all asks first, on a terminal; without one it needs --yes.

    \b
    Examples:
      gresque failed retry 12
      gresque failed retry 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7
      gresque failed retry --all --yes
    """
    from gresque.failure.backend import RedisBackend

    _check_targets(targets, everything)
    with open_store(flags) as store:
        backend = RedisBackend(store)
        if everything:
            _retry_all(backend, yes)
            return
        jobs = _find(backend, targets)
        done = backend.retry(jobs)
    _complain_of_moved(job for job, retried in zip(jobs, done, strict=True) if not retried)
    write([f"{counted(len(jobs), 'failed job')} retried"])


def _retry_all(backend: FailureBackend, yes: bool) -> None:
    count = backend.count()
    if count:
        _confirm(
            f"Retry every one of {counted(count, 'failed job')} that was not retried yet?", yes
        )
    result = backend.retry_all()
    write([f"{counted(result.retried, 'failed job')} retried"])
    for number, said in (
        (result.retried_before, "retried before, left alone"),
        (result.refused, "with no job that could be retried, left alone; see gresque failed list"),
    ):
        if number:
            click.echo(f"{number:,} {said}", err=True)


@command.command(name="remove")
@click.argument("targets", metavar="INDEX|JOB_ID...", nargs=-1, required=True)
@setting_options("redis_url", "namespace")
def remove_command(flags: dict[str, Any], targets: tuple[str, ...]) -> None:
    """Remove failed jobs, for good. All indexes mean the list as it was before.

    \b
    Examples:
      gresque failed remove 12
      gresque failed remove 3 4 5
    """
    from gresque.failure.backend import RedisBackend

    with open_store(flags) as store:
        backend = RedisBackend(store)
        jobs = _find(backend, targets)
        removed = backend.remove(jobs)
    if removed < len(jobs):
        raise click.ClickException(
            f"{counted(removed, 'failed job')} removed; somebody else moved the others "
            "meanwhile: list again"
        )
    write([f"{counted(removed, 'failed job')} removed"])


@command.command(name="clear")
@click.option("--all", "everything", is_flag=True, help="Also those that were not retried.")
@yes_option
@setting_options("redis_url", "namespace")
def clear_command(flags: dict[str, Any], everything: bool, yes: bool) -> None:
    """Remove the failed jobs that were retried; with --all every one.

    --all asks first, on a terminal; without one it needs --yes.

    \b
    Examples:
      gresque failed clear
      gresque failed clear --all --yes
    """
    from gresque.failure.backend import RedisBackend

    with open_store(flags) as store:
        backend = RedisBackend(store)
        if not everything:
            write([f"{counted(backend.clear(), 'failed job')} removed"])
            return
        count = backend.count()
        if count:
            _confirm(f"Remove all of {counted(count, 'failed job')}, for good?", yes)
        # Not more than was asked about: what failed meanwhile, nobody has seen.
        write([f"{counted(backend.remove_oldest(count), 'failed job')} removed"])


def _check_targets(targets: tuple[str, ...], everything: bool) -> None:
    if everything and targets:
        raise click.UsageError("give either --all or the jobs to retry")
    if not everything and not targets:
        raise click.UsageError("name the jobs to retry by index or job id, or give --all")


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("stdin is no terminal to ask on; give --yes to do it unasked")
    if not click.confirm(question, err=True):
        click.echo("nothing was done", err=True)
        raise click.exceptions.Exit(1)


def _find(backend: FailureBackend, targets: Sequence[str]) -> list[FailedJob]:
    """The jobs that are meant, each once; nothing is done when one of them is not there."""
    targets = list(dict.fromkeys(targets))
    ids = [target for target in targets if not _is_index(target)]
    by_id = backend.find_ids(ids) if ids else {}
    jobs: dict[int, FailedJob] = {}
    for target in targets:
        job = backend.find(int(target)) if _is_index(target) else by_id.get(target)
        if job is None:
            raise click.UsageError(_not_found(backend, target))
        jobs[job.index] = job
    return list(jobs.values())


def _is_index(target: str) -> bool:
    return target.isascii() and target.isdecimal() and len(target) <= MAX_INDEX_DIGITS


def _not_found(backend: FailureBackend, target: str) -> str:
    if not _is_index(target):
        return f"no failed job has the id {printable(target)}"
    count = backend.count()
    there = f"they go from 0 to {count - 1}" if count else "there are none"
    return f"no failed job has the index {target}; {there}"


def _complain_of_moved(jobs: Iterator[FailedJob]) -> None:
    moved = [str(job.index) for job in jobs]
    if moved:
        raise click.ClickException(
            f"not retried: {', '.join(moved)}; somebody else moved or changed "
            "the entry meanwhile: list again"
        )


def _error(job: FailedJob) -> str:
    if job.entry is None:
        return f"not an entry: {job.raw.decode('utf-8', 'backslashreplace')}"
    return " ".join(job.entry.error.split())


def _describe(job: FailedJob) -> Iterator[str]:
    entry, item = job.entry, job.item
    if entry is None:
        yield f"The entry {job.index} is not one of a failed job:"
        yield from _indented(job.raw.decode("utf-8", "backslashreplace"))
        return
    yield from pairs(
        [
            ("index", str(job.index)),
            ("failed at", entry.failed_at),
            ("retried at", entry.retried_at),
            ("queue", entry.queue),
            ("class", item.get("class")),
            ("job id", job.job_id),
            ("generation", item.get("generation")),
            ("args", compact(item["args"]) if "args" in item else None),
            ("kwargs", compact(item["kwargs"]) if "kwargs" in item else None),
            ("worker", entry.worker),
            ("exception", entry.exception),
        ]
    )
    if not item:
        yield "payload"
        yield from _indented(entry.raw or entry.raw_base64 or compact(entry.payload))
    yield "error"
    yield from _indented(entry.error)
    yield "backtrace"
    for line in entry.backtrace or ["-"]:
        yield from _indented(line)


def _indented(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield f"  {printable(line)}"
