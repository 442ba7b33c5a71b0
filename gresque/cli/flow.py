"""What the commands that pause and limit queues have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.output import complain
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.inspector.flow import Served


def named_queues(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: a command for queues by their names, or for all of them."""

    @click.argument("queues", metavar="QUEUE...", nargs=-1)
    @click.option("--all", "is_all", is_flag=True, help="All queues, those to come included.")
    @wraps(function)
    def command(queues: tuple[str, ...], is_all: bool, **given: Any) -> Any:
        if bool(queues) == is_all:
            raise click.UsageError(
                "leave out --all, or the names" if is_all else "name a queue, or give --all"
            )
        from gresque.control.flow import checked_queue

        names = tuple(dict.fromkeys(map(checked_queue, queues)))
        return function(queues=names, is_all=is_all, **given)

    return command


def warn_of_unserved(found: Iterable[Served]) -> None:
    """A name that was mistyped is of no use, and nobody would notice."""
    for each in found:
        if not each.is_served:
            unknown = "" if each.is_known else ", and nothing was ever pushed to it"
            complain(f"warning: no worker serves queue {printable(each.queue)}{unknown}")
