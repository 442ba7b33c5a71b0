"""`gresque queues`."""

from __future__ import annotations

from typing import Any

import click

from gresque.cli.connect import open_store
from gresque.cli.options import setting_options
from gresque.cli.output import Column, Output, json_option

COLUMNS = [Column("QUEUE", lambda row: row[0]), Column("SIZE", lambda row: row[1])]


@click.command(name="queues")
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], as_json: bool) -> None:
    """List the queues with the number of jobs that wait in each, by name.

    \b
    Examples:
      gresque queues
      gresque queues --json | jq '.[] | select(.size > 1000)'
    """
    with open_store(flags) as store:
        sizes = store.queues.sizes()
    Output(as_json).listing(
        [*sizes.items(), *([] if as_json or not sizes else [("total", sum(sizes.values()))])],
        lambda row: {"name": row[0], "size": row[1]},
        COLUMNS,
        empty="no queues",
    )
