"""`gresque delayed`: look at jobs that wait for their time, and change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import ListByDefault, confirm, yes_option
from gresque.cli.connect import operator
from gresque.cli.filters import CLASS, Age, filters, text_filter
from gresque.cli.options import setting_options
from gresque.cli.output import Column, Output, compact, counted, json_option
from gresque.cli.stores import Stores, open_stores
from gresque.clock import duration, log_time
from gresque.errors import EnqueueError, SettingsError
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.client.delayed import DelayedJob, DelayedJobs
    from gresque.control.delayed import Changed
    from gresque.store.store import Store

Change = Callable[["Store", Sequence["DelayedJob"]], "list[Changed]"]


NOT_THERE = "it does not wait for its time"


class Time(click.ParamType[Any]):
    """A point in time with a zone, or seconds of the epoch."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from datetime import datetime

        from gresque.client.when import at

        text = str(value).strip()
        try:
            return at(float(text))
        except ValueError:
            pass
        except EnqueueError as error:
            self.fail(str(error), param, ctx)
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{value!r} is not a time, such as 2026-12-24T18:00+01:00.", param, ctx)
        if found.utcoffset() is None:
            self.fail(f"{value!r} has no time zone; write {text}Z for UTC, or {text}+01:00.")
        return at(found)


filter_options = filters(
    CLASS,
    text_filter("--queue", help="Those for this queue."),
    click.option(
        "--before",
        type=Age(),
        metavar="AGE",
        help="Those that are due within this time: 90, 10m, 2h.",
    ),
)
"""Decorator: the flags that say which jobs are meant; `matching` takes their values."""


def matching(
    jobs: Iterator[DelayedJob],
    now: float,
    job_class: str | None,
    queue: str | None,
    before: float | None,
) -> Iterator[DelayedJob]:
    """Those that all the given flags mean. `jobs` come by their times."""
    for job in jobs:
        if before is not None and job.due.timestamp() > now + before:
            return
        if job_class in (None, job.name) and queue in (None, job.queue):
            yield job


def columns(now: float) -> list[Column]:
    return [
        Column("DUE IN", lambda job: due_in(job, now), whole=True),
        Column("DUE AT", lambda job: log_time(job.due.timestamp(), 0)[:19], whole=True, rank=1),
        Column("QUEUE", lambda job: job.queue),
        Column("CLASS", lambda job: job.name),
        Column("JOB ID", lambda job: job.id, whole=True),
        Column("ARGUMENTS", lambda job: arguments(job)),
    ]


def due_in(job: DelayedJob, now: float) -> str:
    seconds = job.due.timestamp() - now
    return duration(seconds) if seconds >= 0 else f"{duration(-seconds)} ago"


def arguments(job: DelayedJob) -> str:
    if job.name is None:
        return str(job.shown.get("raw", ""))
    kwargs = job.shown.get("kwargs")
    shown = compact(job.shown.get("args") or [])
    return f"{shown} {compact(kwargs)}" if kwargs else shown


def as_dict(job: DelayedJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "due": job.due.timestamp(),
        "due_at": job.due.isoformat(),
        "queue": job.queue,
        "class": job.name,
        "args": job.shown.get("args"),
        "kwargs": job.shown.get("kwargs"),
        "attempt": job.attempt,
        "payload": job.shown,
    }


@click.group(name="delayed", cls=ListByDefault)
def command() -> None:
    """Look at jobs that wait for their time, run them now, move or cancel them; alone: list them.

    Those that Ruby, Node and PHP programs have delayed are among them.

    \b
    Examples:
      gresque delayed
      gresque delayed --class myjobs.send --before 2h
      gresque delayed run 019ab0d2c4f17c3e8a1b5d7e9f2c4a60
      gresque delayed move 019ab0d2c4f17c3e8a1b5d7e9f2c4a60 --in 2h
      gresque delayed cancel --queue mail
    """


@command.command(name="list")
@click.option("--offset", type=click.IntRange(0), default=0, help="Skip that many earlier jobs.")
@click.option(
    "-n", "--count", type=click.IntRange(0), default=20, show_default=True, help="Show that many."
)
@filter_options
@setting_options("redis_url", "namespace")
@json_option
def list_command(
    flags: dict[str, Any], offset: int, count: int, as_json: bool, **options: Any
) -> None:
    """List jobs that wait for their time, the next due one first.

    Times are UTC. Jobs that wait to run again are not among them: see `gresque retries`. A job of
    another program has no id; the one that is shown stands for its time and its content.

    \b
    Examples:
      gresque delayed list --offset 20 -n 20
      gresque delayed list --queue mail --before 10m
      gresque delayed list -n 100000 --json | jq -r '.[].class' | sort | uniq -c
    """
    with open_stores(flags) as stores:
        nows = stores.ask(lambda store: _jobs(store).now())

        def read(store: Store, skip: int, most: int | None) -> Iterator[DelayedJob]:
            found = matching(_delayed(_jobs(store)), nows[stores.name_of(store)], **options)
            return islice(found, skip, None if most is None else skip + most)

        rows = stores.rows(read, lambda job: job.due, offset, count)
        stores.listing(as_json, rows, as_dict, columns(max(nows.values())), "no delayed jobs")


@command.command(name="run")
@click.argument("job_ids", metavar="JOB_ID...", nargs=-1, required=True)
@setting_options("redis_url", "namespace")
@json_option
def run_command(flags: dict[str, Any], job_ids: tuple[str, ...], as_json: bool) -> int:
    """Put delayed jobs into their queues now.

    \b
    Exit code:
      0  all of them
      1  some of them do not wait for their time
      2  none does

    \b
    Examples:
      gresque delayed run 019ab0d2c4f17c3e8a1b5d7e9f2c4a60
      gresque delayed --class myjobs.send --json | jq -r '.[].id' | xargs gresque delayed run
    """
    from gresque.control.delayed import run_now

    return change(flags, job_ids, partial(run_now, by=operator()), "in its queue", as_json)


@command.command(name="move")
@click.argument("job_ids", metavar="JOB_ID...", nargs=-1, required=True)
@click.option("--in", "in_", type=Age(), metavar="AGE", help="Due after this time: 90, 10m, 2h.")
@click.option("--at", type=Time(), metavar="TIME", help="Due then: 2026-12-24T18:00+01:00.")
@setting_options("redis_url", "namespace")
@json_option
def move_command(
    flags: dict[str, Any], job_ids: tuple[str, ...], in_: float | None, at: Any, as_json: bool
) -> int:
    """Give delayed jobs another time.

    A job of another program gets an id of its own.

    \b
    Examples:
      gresque delayed move 019ab0d2c4f17c3e8a1b5d7e9f2c4a60 --in 2h
      gresque delayed move 019ab0d2c4f17c3e8a1b5d7e9f2c4a60 --at 2026-12-24T18:00+01:00
    """
    from gresque.client.when import delay
    from gresque.control.delayed import put_off

    if (in_ is None) == (at is None):
        raise click.UsageError("say when: give either --in or --at")
    due = at if in_ is None else delay(in_)
    said = f"due in {duration(in_)}" if in_ is not None else f"due at {log_time(due.seconds, 0)}"
    return change(flags, job_ids, partial(put_off, when=due, by=operator()), said, as_json)


@command.command(name="cancel")
@click.argument("job_ids", metavar="[JOB_ID]...", nargs=-1)
@filter_options
@yes_option
@setting_options("redis_url", "namespace")
@json_option
def cancel_command(
    flags: dict[str, Any], job_ids: tuple[str, ...], yes: bool, as_json: bool, **options: Any
) -> int:
    """Remove delayed jobs for good.

    By their ids; or all that --class, --queue and --before mean together, once their number was
    confirmed; without a terminal that needs --yes.

    \b
    Examples:
      gresque delayed cancel 019ab0d2c4f17c3e8a1b5d7e9f2c4a60
      gresque delayed cancel --class myjobs.send --queue mail
    """
    from gresque.control.delayed import cancel

    filtered = any(value is not None for value in options.values())
    if bool(job_ids) == filtered:
        raise click.UsageError("give either the ids of the jobs to cancel, or --class and so on")
    if job_ids:
        return change(flags, job_ids, partial(cancel, by=operator()), "cancelled", as_json)

    def find(store: Store) -> list[DelayedJob]:
        jobs = _jobs(store)
        return [*matching(_delayed(jobs), jobs.now(), **options)]

    with open_stores(flags, changes=True) as stores:
        found = stores.ask(find, takes_long=True)
        count = sum(map(len, found.values()))
        if not count:
            raise SettingsError("no such delayed job; see gresque delayed")
        confirm(f"Cancel {counted(count, 'delayed job')}?", yes)
        done = stores.each(
            lambda store: cancel(store, found[stores.name_of(store)], by=operator()), only=found
        )
        cancelled = sum(each.done for some in done.values() for each in some)
        stores.document(
            as_json, {"cancelled": cancelled}, lambda: [f"cancelled {counted(cancelled, 'job')}"]
        )
    return 0


def change(
    flags: dict[str, Any], job_ids: Sequence[str], act: Change, said: str, as_json: bool
) -> int:
    """Do something to each of these jobs; returns the exit code of the command. `said` is what
    becomes of a job."""
    with open_stores(flags, changes=True) as stores:
        changed = _changed(stores, job_ids, act)
        rows = []
        for job_id in job_ids:
            each = changed.get(job_id)
            message = said if each and each.done else each.reason if each else NOT_THERE
            rows.append({"id": job_id, "done": bool(each and each.done), "message": message})
        Output(as_json).document(
            rows, lambda: (f"{printable(row['id'])}: {row['message']}" for row in rows)
        )
    done = sum(row["done"] is True for row in rows)
    return 0 if done == len(rows) else 1 if done else 2


def _changed(stores: Stores, job_ids: Sequence[str], act: Change) -> dict[str, Changed]:
    """What became of those that wait, on whichever shard."""

    def change_there(store: Store) -> dict[str, Changed]:
        jobs = _jobs(store)
        found = {job_id: jobs.find(job_id) for job_id in job_ids}
        waiting = {job_id: job for job_id, job in found.items() if job is not None}
        return dict(zip(waiting, act(store, [*waiting.values()]), strict=True))

    found: dict[str, Changed] = {}
    for changed in stores.ask(change_there, takes_long=True).values():
        for job_id, each in changed.items():
            if job_id not in found or each.done:
                found[job_id] = each
    return found


def _jobs(store: Any) -> DelayedJobs:
    from gresque.client.delayed import DelayedJobs

    return DelayedJobs(store)


def _delayed(jobs: DelayedJobs) -> Iterator[DelayedJob]:
    """Without those that wait to run again: `gresque retries` has them."""
    from gresque.inspector.retries import read_retry

    return (job for job in jobs.each() if read_retry(job) is None)
