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


def switched(found: Mapping[str, Mapping[str, bool]]) -> dict[str, bool]:
    """Whether something was changed about a queue, on any shard; `found` has the queues by
    shard."""
    did: dict[str, bool] = {}
    for by_queue in found.values():
        for name, is_new in by_queue.items():
            did[name] = did.get(name, False) or is_new
    return did


def write_each(found: Serving, did: Mapping[str, str]) -> None:
    """What a command did to each queue, and how many jobs wait in it."""
    for each in found.queues:
        jobs = f"{counted(each.waiting, 'job')} {'waits' if each.waiting == 1 else 'wait'}"
        write([f"{printable(each.queue)}: {did[each.queue]}; {jobs}"])


def warn_of_unserved(found: Serving, *, of_unknown: bool = False) -> None:
    """A mistyped name has no effect, and nobody would notice. `of_unknown`: say of any queue that
    nothing was pushed to it, as a worker of all queues serves each name; else of those that no
    worker serves, where one runs."""
    for each in found.queues:
        name = printable(each.queue)
        unserved = found.has_workers and not each.is_served
        if each.is_known:
            if unserved:
                complain(f"warning: no worker serves queue {name}")
        elif quoted(each.queue) != each.queue and not each.is_served:
            complain(
                f"warning: '{name}' is taken as the name of one queue; name each queue by itself, "
                "patterns and lists are for gresque work -q"
            )
        elif unserved or of_unknown:
            more = ", and no worker serves it" if unserved else ""
            complain(
                f"warning: no queue {name} is known yet: nothing was ever pushed to it{more}; "
                "check the name"
            )
