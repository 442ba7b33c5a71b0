"""The flags that say which running jobs are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gresque.cli.filters import CLASS, Age, filters, text_filter

if TYPE_CHECKING:
    from gresque.inspector.filters import Filter

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
    text_filter(
        "--filter", "text", metavar="FILTER",
        help="Those that this means, as on the page and in top: '>5s class:myjobs.* waits:db'.",
    ),
)  # fmt: skip
"""Decorator: the flags; `wanted_running` takes their values."""


def wanted_running(options: dict[str, Any]) -> Filter:
    """Raises FilterError."""
    from gresque.inspector.filters import CLASS, HOST, LONGER, OF_RUNNING, QUEUE, of_terms, parse

    flags = of_terms(
        {
            CLASS: options["job_class"],
            QUEUE: options["queue"],
            HOST: options["process"],
            LONGER: options["longer_than"],
        }
    )
    if options["text"] is None:
        return flags
    more = parse(options["text"], OF_RUNNING)
    # Of two terms of one kind one has to match: together they would mean more jobs, not fewer.
    twice = [each for each in (CLASS, QUEUE, HOST) if flags.values(each) and more.values(each)]
    if twice:
        raise click.UsageError(f"give {twice[0]}: in --filter, or its flag, not both")
    return flags & more
