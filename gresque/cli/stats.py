"""`gresque stats`."""

from __future__ import annotations

from typing import Any

import click

from gresque.cli.connect import open_store
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Output, json_option, pairs

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
    from gresque.inspector.stats import read_summary

    with open_store(flags) as store:
        found = read_summary(store, load_settings(flags).failure_backend)._asdict()
    Output(as_json).document(
        found, lambda: pairs((label, found[name]) for name, label in LABELS.items())
    )
