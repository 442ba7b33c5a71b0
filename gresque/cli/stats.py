"""`gresque stats`."""

from __future__ import annotations

from typing import Any

import click

from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import json_option, pairs
from gresque.cli.stores import open_stores

LABELS = {
    "processed": "processed",
    "failed": "failed",
    "retried": "retried",
    "pending": "pending",
    "in_flight": "in flight",
    "queues": "queues",
    "workers": "workers",
    "processes": "processes",
    "failed_list": "failed list",
}


@click.command(name="stats")
@setting_options("redis_url", "namespace", "failure_backend")
@json_option
def command(flags: dict[str, Any], as_json: bool) -> None:
    """Show the numbers of jobs that ended, wait and run.

    "processed" is the number of jobs that ended, "failed" how many of them failed, "retried" the
    number of attempts that failed and were followed by another one: those count in neither. "failed
    list" is how many failed jobs are kept, to be looked at and retried.

    \b
    Examples:
      gresque stats
      watch gresque stats
      gresque stats --json | jq .pending
    """
    from gresque.inspector.stats import merge_summaries, read_summary_and_queues

    backend = load_settings(flags).failure_backend
    with open_stores(flags) as stores:
        summary, _ = stores.total(
            lambda store: read_summary_and_queues(store, backend), merge_summaries
        )
        found = summary._asdict()
        stores.document(
            as_json, found, lambda: pairs((label, found[name]) for name, label in LABELS.items())
        )
