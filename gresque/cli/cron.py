"""`gresque cron`: jobs that are enqueued again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gresque.cli.asking import ListByDefault
from gresque.cli.connect import operator
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Column, Output, complain, json_option, write
from gresque.cli.stores import Stores, open_stores
from gresque.clock import duration
from gresque.errors import RedisUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from gresque.client.schedules import ScheduleEntry
    from gresque.schedule.entry import Entry
    from gresque.store.store import Store

T = TypeVar("T")

SETTINGS = ("redis_url", "namespace")
COLUMNS = [
    Column("NAME", lambda each: each.name),
    Column("SCHEDULE", lambda each: each.schedule),
    Column("NEXT IN", lambda each: _next_in(each), whole=True),
    Column("LAST RAN", lambda each: _last(each), whole=True),
    Column("OVERLAP", lambda each: each.overlap if each.overlap != "allow" else None),
    Column("QUEUE", lambda each: each.queue),
    Column("JOB", lambda each: each.error or each.job),
]
FILE_COLUMNS = [
    Column("NAME", lambda each: each.name),
    Column("SCHEDULE", lambda each: each.schedule.text),
    Column("NEXT", lambda each: _next(each), whole=True),
    Column("QUEUE", lambda each: each.queue),
    Column("JOB", lambda each: each.job),
]


@click.group(name="cron", cls=ListByDefault)
def command() -> None:
    """List the schedule, and pause, resume, run and remove its entries; alone: list them.

    Workers declare the entries of their code and of their schedule file when they start; programs
    set others. The schedule is in docs/time.md.

    \b
    Examples:
      gresque cron
      gresque cron next nightly
      gresque cron run nightly
      gresque cron pause nightly
      gresque cron check cron.yml -r myapp.jobs
    """


def _with_entry(stores: Stores, name: str) -> list[str]:
    """The shards that have an entry of this name. Where none has, the first one is asked, and says
    so."""
    from gresque.control.schedules import of

    if not stores.are_many:
        return [*stores.names]
    found = stores.ask(lambda store: any(each.name == name for each in of(store).list()))
    return [shard for shard, has_it in found.items() if has_it] or [*found][:1]


def _at_each(stores: Stores, name: str, function: Callable[[Store], T]) -> list[T]:
    """What it does to an entry, on each shard that has it."""
    return [*stores.ask(function, only=_with_entry(stores, name)).values()]


def _at_one(stores: Stores, name: str, function: Callable[[Store], T]) -> T:
    """The same on the first shard that has it alone."""
    done = stores.ask(function, only=_with_entry(stores, name)[:1])
    if not done:
        raise RedisUnavailable(f"{name}: its shard does not answer any more")
    return next(iter(done.values()))


def _named(function: Callable[..., None]) -> Callable[..., Any]:
    """Decorator: a command for entries that are given by their names."""
    function = setting_options(*SETTINGS)(function)
    return click.argument("names", metavar="NAME...", nargs=-1, required=True)(function)


@command.command(name="list")
@setting_options(*SETTINGS)
@json_option
def list_command(flags: dict[str, Any], as_json: bool) -> None:
    """List the entries with their next and their last run.

    \b
    Examples:
      gresque cron list
      gresque cron list --json | jq -r '.[] | select(.error) | .name'
    """
    from gresque.client.schedules import ScheduleEntry
    from gresque.control.schedules import of

    with open_stores(flags) as stores:
        rows = stores.rows(lambda store, *_: of(store).list(), lambda entry: entry.name)
        stores.listing(as_json, rows, ScheduleEntry.as_dict, COLUMNS, "nothing is scheduled")


@command.command(name="next")
@click.argument("name")
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True)
@setting_options(*SETTINGS)
@json_option
def next_command(flags: dict[str, Any], name: str, count: int, as_json: bool) -> None:
    """Print the next times of an entry, with the offset of its zone from UTC.

    \b
    Examples:
      gresque cron next nightly
      gresque cron next nightly --count 400 | grep 03-28
    """
    from gresque.control.schedules import of

    with open_stores(flags) as stores:
        found = _at_one(stores, name, lambda store: of(store).next(name, count))
    times = [each.isoformat(" ") for each in found]
    Output(as_json).document(times, lambda: times)


@command.command(name="run")
@_named
def run_command(flags: dict[str, Any], names: tuple[str, ...]) -> None:
    """Enqueue the job of an entry now, even when the entry is paused. Its schedule does not change.

    An entry with overlap=skip enqueues none while a job of it waits, runs or is to be tried again.
    """
    from gresque.control.schedules import run_now

    with open_stores(flags, changes=True) as stores:
        for name in names:
            job_id = _at_one(stores, name, partial(run_now, name=name, by=operator()))
            if job_id.duplicate:
                write([f"{name}: job {job_id} has not ended, so none is enqueued (overlap=skip)"])
            else:
                write([f"{name}: job {job_id} is enqueued"])


@command.command(name="pause")
@_named
def pause_command(flags: dict[str, Any], names: tuple[str, ...]) -> None:
    """Let entries rest until `resume`, also when workers declare them again."""
    from gresque.control.schedules import pause

    with open_stores(flags, changes=True) as stores:
        for name in names:
            changed = _at_each(stores, name, partial(pause, name=name, by=operator()))
            write([f"{name}: {'paused' if any(changed) else 'was paused already'}"])


@command.command(name="resume")
@_named
def resume_command(flags: dict[str, Any], names: tuple[str, ...]) -> None:
    """End a pause. Entries count from now on: what they missed does not run."""
    from gresque.control.schedules import of, resume

    def resumed(store: Store, name: str) -> datetime | None:
        return of(store).next(name, 1)[0] if resume(store, name, by=operator()) else None

    with open_stores(flags, changes=True) as stores:
        for name in names:
            times = [*filter(None, _at_each(stores, name, partial(resumed, name=name)))]
            if times:
                write([f"{name}: its next time is {min(times).isoformat(' ')}"])
            else:
                write([f"{name}: was not paused"])


@command.command(name="skip")
@_named
def skip_command(flags: dict[str, Any], names: tuple[str, ...]) -> None:
    """Leave out the next time of entries, once."""
    from gresque.control.schedules import skip

    with open_stores(flags, changes=True) as stores:
        for name in names:
            skipped = _at_each(stores, name, partial(skip, name=name, by=operator()))
            times = [*filter(None, skipped)]
            if times:
                write([f"{name}: does not run at {min(times).isoformat(' ')}"])
            else:
                write([f"{name}: has no next time"])


@command.command(name="remove")
@_named
def remove_command(flags: dict[str, Any], names: tuple[str, ...]) -> None:
    """Remove entries. One that code or a schedule file declares comes back while a worker of it
    runs; `pause` lasts."""
    from gresque.control.schedules import of, remove

    with open_stores(flags, changes=True) as stores:
        listed = stores.ask(lambda store: of(store).list())
        known = {each.name: each for entries in listed.values() for each in entries}
        for name in names:
            _at_each(stores, name, partial(remove, name=name, by=operator()))
            found = known.get(name)
            if found is not None and found.source in ("code", "file"):
                write(
                    [
                        f"{name}: removed; {found.app} declares it, and a worker of that which "
                        "runs or starts brings it back within a minute; to stop it, pause it"
                    ]
                )
            else:
                write([f"{name}: removed"])


@command.command(name="check")
@click.argument("file")
@setting_options("require", "schedule_env")
@json_option
def check_command(flags: dict[str, Any], file: str, as_json: bool) -> int:
    """Check a schedule file without Redis, and print its entries with their next times.

    With -r it also knows the queues of the jobs, and names entries whose job is not declared. Exit
    code: 0 when a worker would take the file, 2 when not.

    \b
    Examples:
      gresque cron check cron.yml
      gresque cron check cron.yml -r myapp.jobs --schedule-env production
    """
    settings = load_settings(flags)
    if settings.require:
        from gresque.worker.boot import load_jobs, patch

        patch()
        with redirect_stdout(sys.stderr):
            load_jobs(settings)
    from gresque.schedule.declared import find_queue
    from gresque.schedule.file import read_file
    from gresque.worker.preflight import schedule_warnings

    found = read_file(file, find_queue, settings.schedule_env)
    warnings = list(schedule_warnings(found.entries, jobs_are_known=bool(settings.require)))
    if as_json:
        report = {
            "entries": [{"name": each.name, "next": _next(each)} for each in found.entries],
            "notes": found.notes,
            "warnings": warnings,
        }
        Output(as_json).document(report, lambda: ())
        return 0
    Output(as_json).listing(found.entries, lambda each: {}, FILE_COLUMNS, empty="no entries")
    for line in (*found.notes, *(f"warning: {warning}" for warning in warnings)):
        complain(line)
    return 0


def _next_in(entry: ScheduleEntry) -> str:
    if entry.error is not None:
        return "cannot run"
    if entry.paused:
        return "paused"
    if not entry.enabled:
        return "off"
    if entry.next is None:
        return "never"
    left = entry.next.timestamp() - time.time()
    return duration(left) if left > 0 else "now"


def _last(entry: ScheduleEntry) -> str | None:
    return None if entry.last is None else entry.last.isoformat(" ")[:19]


def _next(entry: Entry) -> str | None:
    from gresque.client.schedules import next_times

    found = next_times(entry, int(time.time() * 1000), 1)
    return found[0].isoformat(" ") if found else None
