"""The parts that the commands for pausing and limiting queues share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.output import complain, counted, write
from gresque.queue_list import quoted
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.inspector.flow import Serving


def named_queues(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the command takes names of queues, or --all."""

    @click.argument("queues", metavar="QUEUE...", nargs=-1)
    @click.option("--all", "is_all", is_flag=True, help="All queues, future ones included.")
    @wraps(function)
    def command(queues: tuple[str, ...], is_all: bool, **given: Any) -> Any:
        if bool(queues) == is_all:
            raise click.UsageError(
                "give names or --all, not both" if is_all else "name a queue, or give --all"
            )
        from gresque.control.flow import checked_queue

        names = tuple(dict.fromkeys(map(checked_queue, queues)))
        return function(queues=names, is_all=is_all, **given)

    return command


def write_each(found: Serving, did: Mapping[str, str]) -> None:
    """What a command did to each queue, and how many jobs wait in it."""
    for each in found.queues:
        jobs = f"{counted(each.waiting, 'job')} {'waits' if each.waiting == 1 else 'wait'}"
        write([f"{printable(each.queue)}: {did[each.queue]}; {jobs}"])


def warn_of_unserved(found: Serving) -> None:
    """A mistyped name has no effect, and nobody would notice. Where no worker runs and no queue
    exists, nothing contradicts the name."""
    for each in found.queues:
        name = printable(each.queue)
        if each.is_served:
            continue
        if not each.is_known and quoted(each.queue) != each.queue:
            complain(
                f"warning: '{name}' is taken as the name of one queue; name each queue by itself, "
                "patterns and lists are for gresque work -q"
            )
        elif found.has_workers:
            unknown = "" if each.is_known else ", and nothing was ever pushed to it; check the name"
            complain(f"warning: no worker serves queue {name}{unknown}")
        elif found.has_queues and not each.is_known:
            complain(f"warning: nothing was ever pushed to queue {name}; check the name")
