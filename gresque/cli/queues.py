"""`gresque queues`: the queues, what waits in them, and moving or removing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import ListByDefault, confirm, yes_option
from gresque.cli.connect import operator
from gresque.cli.options import setting_options
from gresque.cli.output import Column, Output, arguments, counted, json_option, pairs
from gresque.cli.progress import ProgressLine
from gresque.cli.stores import Stores, open_stores
from gresque.clock import duration
from gresque.errors import RedisUnavailable
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.inspector.queues import QueueDetails, WaitingJob
    from gresque.store.store import Store

COLUMNS = [Column("QUEUE", lambda queue: queue.name), Column("SIZE", lambda queue: queue.size)]
POLICY = Column("POLICY", lambda queue: queue.policy)
JOB_COLUMNS = [
    Column("POSITION", lambda job: job.position, rank=2),
    Column("JOB ID", lambda job: job.item.get("id"), whole=True, rank=1),
    Column("WAITS", lambda job: duration(job.age_seconds), whole=True),
    Column("CLASS", lambda job: job.item.get("class")),
    Column("ARGUMENTS", lambda job: arguments(job.item)),
]

SETTINGS = ("redis_url", "namespace")


@click.group(name="queues", cls=ListByDefault)
def command() -> None:
    """List queues, look into one, move its jobs to another, clear it; alone: list them.

    Jobs that run are in no queue: see `gresque running`. Those that saw the death of a process
    wait in lists of their own beside their queue, and count as part of it.

    \b
    Examples:
      gresque queues
      gresque queues show mail
      gresque queues peek mail
      gresque queues move mail low
      gresque queues clear mail
    """


@command.command(name="list")
@setting_options(*SETTINGS)
@json_option
def list_command(flags: dict[str, Any], as_json: bool) -> None:
    """List queues by name, with the number of jobs that wait in each, and what is paused or limited
    (see `gresque limits`); and how many wait for their time, which `gresque delayed` lists.

    \b
    Examples:
      gresque queues
      gresque queues --json | jq '.[] | select(.size > 1000)'
    """
    from gresque.client.delayed import DelayedJobs
    from gresque.inspector.queues import QueueStatus

    with open_stores(flags) as stores:
        queues = stores.total(QueueStatus.all, QueueStatus.merge)
        waiting = {} if as_json else stores.ask(lambda store: DelayedJobs(store).count())
    later = sum(waiting.values())
    if queues and not as_json:
        queues.append(QueueStatus("total", sum(queue.size for queue in queues)))
    if later:
        queues.append(QueueStatus("(wait for their time)", later))
    columns = [*COLUMNS, POLICY] if any(queue.policy for queue in queues) else COLUMNS
    Output(as_json).listing(queues, asdict, columns, empty="no queues")


@command.command(name="show")
@click.argument("queue")
@setting_options(*SETTINGS)
@json_option
def show_command(flags: dict[str, Any], queue: str, as_json: bool) -> None:
    """Show how much waits in a queue, for how long, of which classes, and which workers serve it.

    \b
    Examples:
      gresque queues show mail
      gresque queues show mail --json | jq .age_seconds
    """
    from gresque.inspector.queues import QueueDetails

    with open_stores(flags) as stores:
        found = stores.total(lambda store: QueueDetails.read(store, queue), QueueDetails.merge)
        stores.document(as_json, asdict(found), lambda: pairs(_details(found)))


@command.command(name="peek")
@click.argument("queue")
@click.option("--offset", type=click.IntRange(0), default=0, help="Skip that many jobs.")
@click.option(
    "-n", "--count", type=click.IntRange(0), default=20, show_default=True, help="Show that many."
)
@setting_options(*SETTINGS)
@json_option
def peek_command(flags: dict[str, Any], queue: str, offset: int, count: int, as_json: bool) -> None:
    """List the jobs that wait in a queue, the next one first. Nothing is taken out.

    Of several shards the one that waits longest is first; POSITION is that on its shard.

    \b
    Examples:
      gresque queues peek mail
      gresque queues peek mail --offset 1000 -n 5
      gresque queues peek mail -n 100000 --json | jq -r '.[] | .class' | sort | uniq -c
    """
    from gresque.inspector.queues import WaitingJob

    empty = f"no {'more ' if offset else ''}jobs wait in {printable(queue)}"
    with open_stores(flags) as stores:
        jobs = stores.rows(
            lambda store, start, most: WaitingJob.some(store, queue, start, most or 0),
            lambda job: job.order, offset, count,
        )  # fmt: skip
        stores.listing(as_json, jobs, _job_as_dict, JOB_COLUMNS, empty)


@command.command(name="clear")
@click.argument("queue")
@yes_option
@setting_options(*SETTINGS)
def clear_command(flags: dict[str, Any], queue: str, yes: bool) -> None:
    """Remove all jobs that wait in a queue, for good.

    It asks first, with their number, and removes no more than that: jobs that come meanwhile stay.
    Without a terminal it needs --yes. A queue that is empty then is forgotten until its next job.
    Ctrl-C ends it where it is.

    \b
    Examples:
      gresque queues clear mail
      gresque queues clear mail --yes
    """
    from gresque.control.queues import clear_jobs

    progress = ProgressLine("removed")
    with _how_far(progress), open_stores(flags, changes=True) as stores:
        sizes = _confirmed_sizes(stores, queue, "Remove {} of queue {}, for good?", yes)
        with progress:
            removed = _in_turn(
                stores, sizes, progress,
                lambda store, count: clear_jobs(store, queue, count, progress, by=operator()),
            )  # fmt: skip
        click.echo(f"{counted(removed, 'job')} removed")
        progress.complain_if_stopped()


@command.command(name="move")
@click.argument("queue")
@click.argument("target")
@click.option("-n", "--count", type=click.IntRange(1), help="Move that many.  [default: all]")
@yes_option
@setting_options(*SETTINGS)
def move_command(
    flags: dict[str, Any], queue: str, target: str, count: int | None, yes: bool
) -> None:
    """Move the jobs that wait in QUEUE to the end of TARGET, in their order.

    It asks first, with their number, and moves no more than that: jobs that come meanwhile stay.
    Without a terminal it needs --yes. 1,000 at a time are moved, all of them or none, so that a
    command that is cut off anywhere has lost and doubled none; Ctrl-C ends it where it is.

    \b
    Examples:
      gresque queues move mail low
      gresque queues move mail low --count 10000 --yes
    """
    from gresque.control.queues import move_jobs

    progress = ProgressLine("moved")
    with _how_far(progress), open_stores(flags, changes=True) as stores:
        question = "Move {} of queue {} to " + f"{printable(target)}?"
        sizes = _confirmed_sizes(stores, queue, question, yes, count)
        with progress:
            moved = _in_turn(
                stores, sizes, progress,
                lambda store, most: move_jobs(store, queue, target, most, progress, by=operator()),
            )  # fmt: skip
        click.echo(f"{counted(moved, 'job')} moved")
        progress.complain_if_stopped()


@contextmanager
def _how_far(progress: ProgressLine) -> Iterator[None]:
    """A Redis that goes away in the middle: whether its last step was done is not known."""
    try:
        yield
    except RedisUnavailable as error:
        if not progress.done:
            raise
        from gresque.control.queues import AT_ONCE

        done = counted(progress.done, "job")
        raise RedisUnavailable(
            f"{error}; {done} {progress.verb} before that, and perhaps {AT_ONCE:,} more"
        ) from error


def _confirmed_sizes(
    stores: Stores, queue: str, question: str, yes: bool, most: int | None = None
) -> dict[str, int]:
    """How many jobs each shard has, up to `most` together, once that was confirmed."""
    from gresque.inspector.queues import QueueStatus

    sizes = stores.ask(lambda store: QueueStatus.of(store, queue).size)
    left = sum(sizes.values()) if most is None else most
    for shard, size in sizes.items():
        sizes[shard] = min(size, left)
        left -= sizes[shard]
    count = sum(sizes.values())
    if count:
        confirm(question.format(counted(count, "job"), printable(queue)), yes)
    return sizes


def _in_turn(
    stores: Stores,
    sizes: dict[str, int],
    progress: ProgressLine,
    change: Callable[[Store, int], int],
) -> int:
    """Change that many jobs of each shard; returns how many were."""

    def change_one(store: Store) -> int:
        return 0 if progress.is_stopped else change(store, sizes[stores.name_of(store)])

    return sum(stores.each(change_one, only=sizes).values())


def _details(found: QueueDetails) -> Iterator[tuple[str, Any]]:
    yield "waiting", found.size
    if found.suspects:
        yield "of these, suspects", found.suspects
    if found.policy is not None:
        yield "policy", found.policy
    yield "the next one waits for", duration(found.age_seconds)
    of = "" if sum(found.classes.values()) == found.size else " of the next 1,000"
    yield f"classes{of}", ", ".join(f"{count:,} × {name}" for name, count in found.classes.items())
    yield "served by", ", ".join(found.workers) or "no worker"


def _job_as_dict(job: WaitingJob) -> dict[str, Any]:
    return {"position": job.position, "age_seconds": job.age_seconds, **job.item}
