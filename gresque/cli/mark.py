"""`gresque mark`."""

from __future__ import annotations

from typing import Any

import click

from gresque.cli.connect import operator
from gresque.cli.options import setting_options
from gresque.cli.output import write
from gresque.cli.stores import open_stores


@click.command(name="mark")
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
@setting_options("redis_url", "namespace")
def command(flags: dict[str, Any], words: tuple[str, ...]) -> None:
    """Mark this moment in the charts, such as the moment of a deploy.

    Starts of workers, recoveries and pauses leave marks by themselves. A mark is kept for 3 days.

    \b
    Examples:
      gresque mark deploy 8f31c2
      gresque mark "the database is back"
    """
    from gresque.control.marks import mark

    with open_stores(flags, changes=True) as stores:
        stores.ask(lambda store: mark(store, " ".join(words), by=operator()))
        write(["marked"])
