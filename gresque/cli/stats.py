"""`gresque stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gresque.cli.connect import open_store
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Output, json_option, pairs

if TYPE_CHECKING:
    from gresque.store.store import Store

LABELS = {
    "processed": "processed",
    "failed": "failed",
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
    """Show the counters: what was done, what waits, what runs.

    "processed" counts every job that ended, "failed" those of them that failed; "failed list" is
    how many of those can still be looked at and retried.

    \b
    Examples:
      gresque stats
      watch gresque stats
      gresque stats --json | jq .pending
    """
    with open_store(flags) as store:
        found = _read(store, load_settings(flags).failure_backend)
    Output(as_json).document(
        found, lambda: pairs((label, found[name]) for name, label in LABELS.items())
    )


def _read(store: Store, failure_backend: str) -> dict[str, int]:
    from gresque.failure.backend import open_backend
    from gresque.inspector.stats import Stat

    sizes, processes = store.queues.sizes(), store.processes.ids()
    return {
        "processed": Stat(store, "processed").get(),
        "failed": Stat(store, "failed").get(),
        "pending": sum(sizes.values()),
        "in_flight": sum(store.processes.held_counts(processes)),
        "queues": len(sizes),
        "workers": len(store.workers.ids()),
        "processes": len(processes),
        "failed_list": open_backend(failure_backend, store).count(),
    }
