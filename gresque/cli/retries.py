"""`gresque retries`: jobs that wait to run again."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import ListByDefault, confirm, yes_option
from gresque.cli.connect import operator
from gresque.cli.filters import CLASS, EXCEPTION, filters, text_filter
from gresque.cli.options import setting_options
from gresque.cli.output import Column, complain, counted, json_option, write
from gresque.cli.stores import Stores, open_stores
from gresque.clock import duration
from gresque.processes.short_names import has_id, short_id

if TYPE_CHECKING:
    from gresque.inspector.retries import WaitingRetry, WantedRetries

SETTINGS = ("redis_url", "namespace")
COLUMNS = [
    Column("RUNS IN", lambda each: _runs_in(each), whole=True),
    Column("ATTEMPT", lambda each: each.attempt),
    Column("QUEUE", lambda each: each.queue),
    Column("CLASS", lambda each: each.name),
    Column("JOB ID", lambda each: each.id, lambda each: short_id(each.id), whole=True),
    Column("LAST ERROR", lambda each: each.reason),
]

wanted_options = filters(CLASS, EXCEPTION, text_filter("--queue", help="Those of this queue."))
"""Decorator: the flags that say which retries are meant; `_wanted` takes their values."""


def _wanted(options: dict[str, Any]) -> WantedRetries:
    from gresque.inspector.retries import WantedRetries

    return WantedRetries(**options)


@click.group(name="retries", cls=ListByDefault)
def command() -> None:
    """List the jobs that wait to run again, run them now, cancel them; alone: list them.

    They are jobs that failed and have attempts left, jobs that asked to run later (RetryLater), and
    jobs that wait for a worker that knows their name. Delayed jobs that have not run yet are not
    among them.

    \b
    Examples:
      gresque retries
      gresque retries --class myjobs.fetch --exception TimeoutError
      gresque retries now 5e8af1c2
      gresque retries now --class myjobs.fetch
      gresque retries cancel --all
    """


@command.command(name="list")
@click.option(
    "-n", "--count", type=click.IntRange(0), default=20, show_default=True, help="Show that many."
)
@wanted_options
@setting_options(*SETTINGS)
@json_option
def list_command(flags: dict[str, Any], count: int, as_json: bool, **options: Any) -> None:
    """List them, the next one first.

    ATTEMPT is the number of the attempt that comes.

    \b
    Examples:
      gresque retries list -n 100
      gresque retries list --queue web --json | jq -r '.[] | .errors[-1].message'
    """
    from gresque.inspector.retries import WaitingRetries, WaitingRetry

    wanted = _wanted(options)
    with open_stores(flags) as stores:
        rows = stores.rows(
            lambda store, _, most: islice(WaitingRetries(store).each(wanted), most),
            lambda each: each.due, 0, count,
        )  # fmt: skip
        stores.listing(
            as_json, rows, WaitingRetry.as_dict, COLUMNS,
            empty=f"no {'such ' if wanted else ''}job waits to run again",
        )  # fmt: skip


@command.command(name="now")
@click.argument("job_ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "all_of_them", is_flag=True, help="All of them.")
@wanted_options
@yes_option
@setting_options(*SETTINGS)
def now_command(
    flags: dict[str, Any], job_ids: tuple[str, ...], all_of_them: bool, yes: bool, **options: Any
) -> None:
    """Run them now: they go to the end of their queues.

    Name jobs by id, or by the 8 or more digits of its end, or select them. The attempt is the one
    that would have come.

    \b
    Examples:
      gresque retries now 5e8af1c2
      gresque retries now --exception ConnectionError --yes
    """
    _change("Run {} now?", "run now", "now", flags, job_ids, all_of_them, yes, options)


@command.command(name="cancel")
@click.argument("job_ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "all_of_them", is_flag=True, help="All of them.")
@wanted_options
@yes_option
@setting_options(*SETTINGS)
def cancel_command(
    flags: dict[str, Any], job_ids: tuple[str, ...], all_of_them: bool, yes: bool, **options: Any
) -> None:
    """Cancel them: they are removed, and are not among the failed jobs either.

    \b
    Examples:
      gresque retries cancel 5e8af1c2
      gresque retries cancel --class myjobs.fetch --yes
    """
    _change("Cancel {}?", "cancelled", "cancel", flags, job_ids, all_of_them, yes, options)


def _change(
    question: str,
    done: str,
    name: str,
    flags: dict[str, Any],
    job_ids: tuple[str, ...],
    all_of_them: bool,
    yes: bool,
    options: dict[str, Any],
) -> None:
    from gresque.control.delayed import cancel, run_now
    from gresque.inspector.retries import WaitingRetries

    wanted = _wanted(options)
    if bool(job_ids) + bool(wanted) + all_of_them != 1:
        raise click.UsageError(
            f"say which: gresque retries {name} ID..., or --class, --exception, --queue, or --all"
        )
    with open_stores(flags, changes=True) as stores:
        missing: list[str] = []
        if job_ids:
            found = _named(stores, job_ids, missing)
        else:
            found = stores.ask(lambda store: [*WaitingRetries(store).each(wanted)], takes_long=True)
            if not any(found.values()):
                write([f"no {'such ' if wanted else ''}job waits to run again"])
                return
            confirm(question.format(counted(sum(map(len, found.values())), "job")), yes)
        change = run_now if name == "now" else cancel
        done_to = stores.each(
            lambda store: change(
                store, [each.job for each in found[stores.name_of(store)]], by=operator(),
                verb=f"retries {name}",
            ),
            only=found,
        )  # fmt: skip
        changed = sum(each.done for some in done_to.values() for each in some)
        left = sum(len(found[shard]) for shard in done_to) - changed
        if changed or not missing:
            write([f"{counted(changed, 'job')} {done}"])
        if left:
            gone = counted(left, "job")
            complain(f"{gone} did not wait any more: look into gresque running and gresque queues")
        for job_id in missing:
            complain(f"no retry waits with the id {job_id}; gresque retries lists them")
        if missing:
            raise click.exceptions.Exit(1)


def _named(
    stores: Stores, job_ids: tuple[str, ...], missing: list[str]
) -> dict[str, list[WaitingRetry]]:
    """The jobs with these ids, or with ids that end so, by shard."""
    from gresque.inspector.retries import WaitingRetries

    found = stores.ask(
        lambda store: [*filter(None, map(WaitingRetries(store).find, job_ids))], takes_long=True
    )
    whole = {each.id for some in found.values() for each in some}
    short = [job_id for job_id in job_ids if job_id not in whole]
    if not short:
        return found
    waiting = stores.ask(lambda store: [*WaitingRetries(store).each()], takes_long=True)
    for job_id in short:
        fitting = [
            (shard, each)
            for shard, some in waiting.items()
            for each in some
            if has_id(each.id, job_id)
        ]
        if len(fitting) > 1:
            raise click.UsageError(
                f"{len(fitting)} jobs have an id that ends with {job_id}; give more digits"
            )
        for shard, each in fitting:
            found.setdefault(shard, []).append(each)
        if not fitting:
            missing.append(job_id)
    return found


def _runs_in(each: WaitingRetry) -> str:
    seconds = each.due.timestamp() - time.time()
    return duration(seconds) if seconds > 0 else "now"
