"""`gresque audit`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.filters import text_filter
from gresque.cli.options import setting_options
from gresque.cli.output import Column, json_option
from gresque.cli.stores import open_stores
from gresque.clock import log_time

if TYPE_CHECKING:
    from gresque.inspector.audit import AuditEntry

COLUMNS = [
    Column("AT", lambda entry: _at(entry), lambda entry: _at(entry)[5:], whole=True),
    Column("BY", lambda entry: entry.by),
    Column("FROM", lambda entry: entry.place, rank=1),
    Column("ACTION", lambda entry: entry.verb, whole=True),
    Column("TARGET", lambda entry: entry.target),
    Column("COUNT", lambda entry: entry.count),
    Column("OUTCOME", lambda entry: entry.outcome),
]


@click.command(name="audit")
@click.option(
    "-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="Show that many."
)
@text_filter("--search", "text", metavar="TEXT", help="Those with this text in some column.")
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], count: int, text: str | None, as_json: bool) -> None:
    """Show who did what, and what came of it, the newest first.

    Each command that changes something writes an entry, as do the pages and `gresque top`: kills,
    retries, removals, pauses, limits and so on. Enqueueing and signals to processes are not among
    them. The last 10,000 are kept. Times are UTC.

    \b
    Examples:
      gresque audit
      gresque audit --search kill -n 100
      gresque audit -n 10000 --json | jq -r '.[].by' | sort | uniq -c
    """
    from gresque.inspector.audit import read_audit

    with open_stores(flags) as stores:
        entries = stores.rows(
            lambda store, _, most: read_audit(store, most or 0, text=text or ""),
            lambda entry: -entry.at, 0, count,
        )  # fmt: skip
        empty = f"no {'such ' if text else ''}entries in the audit log"
        stores.listing(as_json, entries, asdict, COLUMNS, empty)


def _at(entry: AuditEntry) -> str:
    return log_time(entry.at, 0)[:19].replace("T", " ")
