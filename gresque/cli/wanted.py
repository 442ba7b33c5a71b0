"""The flags that say which running jobs are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gresque.cli.filters import CLASS, Age, filters, text_filter

if TYPE_CHECKING:
    from gresque.inspector.wanted import WantedRunning

wanted_options = filters(
    CLASS,
    text_filter("--queue", help="Those from this queue."),
    text_filter("--process", help="Those in this process, such as host:pid, or on this host."),
    click.option(
        "--longer-than",
        type=Age(),
        metavar="AGE",
        help="Those that have been running for that long: 90, 10m, 2h.",
    ),
)
"""Decorator: the flags; `wanted_running` takes their values."""


def wanted_running(options: dict[str, Any]) -> WantedRunning:
    from gresque.inspector.wanted import WantedRunning

    return WantedRunning(**options)
