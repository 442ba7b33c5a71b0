"""`gresque queues`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from gresque.cli.connect import open_store
from gresque.cli.options import setting_options
from gresque.cli.output import Column, Output, json_option

COLUMNS = [Column("QUEUE", lambda queue: queue.name), Column("SIZE", lambda queue: queue.size)]


@click.command(name="queues")
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], as_json: bool) -> None:
    """List queues by name, with the number of jobs that wait in each; and how many wait for their
    time, which `gresque delayed` lists.

    \b
    Examples:
      gresque queues
      gresque queues --json | jq '.[] | select(.size > 1000)'
    """
    from gresque.client.delayed import DelayedJobs
    from gresque.inspector.queues import QueueStatus

    with open_store(flags) as store:
        queues = QueueStatus.all(store)
        later = 0 if as_json else DelayedJobs(store).count()
    if queues and not as_json:
        queues.append(QueueStatus("total", sum(queue.size for queue in queues)))
    if later:
        queues.append(QueueStatus("(wait for their time)", later))
    Output(as_json).listing(queues, asdict, COLUMNS, empty="no queues")
