"""`gresque limits`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.connect import open_store, operator
from gresque.cli.options import setting_options
from gresque.cli.output import Output, ellipsis_for, json_option, terminal_width
from gresque.cli.table import Column, Table
from gresque.clock import duration
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.client.flow import QueueLimits
    from gresque.control.counts import Drift
    from gresque.inspector.flow import Flow


@click.command(name="limits")
@click.option("--verify", is_flag=True, help="Count the jobs in flight again, correct the counts.")
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], verify: bool, as_json: bool) -> None:
    """List the queues that are paused or limited, with their current state.

    IN FLIGHT is the number of jobs that count against a cap. NEXT START is when the rate lets the
    next job start. Caps of single workers (gresque work -q mail:5) follow in a second table.

    --verify counts the jobs in flight again from the ledgers of all worker processes, and corrects
    wrong counts. It is safe while workers run. The maintenance process does it every hour.

    \b
    Examples:
      gresque limits
      gresque limits --verify
      gresque limits --json | jq -r '.queues[] | select(.paused) | .queue'
    """
    from gresque.control.counts import verify as verify_counts
    from gresque.inspector.flow import Flow

    with open_store(flags) as store:
        drifts = verify_counts(store, by=operator()) if verify else None
        found = Flow.read(store)
    verified = None if drifts is None else [each._asdict() for each in drifts]
    shown = found.as_dict() if verified is None else {**found.as_dict(), "corrected": verified}
    Output(as_json).document(shown, lambda: (*_lines(found), *_corrections(drifts)))


def _corrections(drifts: Sequence[Drift] | None) -> Iterator[str]:
    if drifts is None:
        return
    yield ""
    if not drifts:
        yield "verified: no count of jobs in flight had to be corrected"
    for each in drifts:
        yield printable(
            f"corrected: {each.counter} said {each.counted} for queue {each.queue}, "
            f"{each.held:,} in flight"
        )


def _lines(found: Flow) -> Iterator[str]:
    if found.all_paused:
        yield (
            "all queues are paused (pause-all-workers), for Resque's Ruby workers, too; "
            "to end that: gresque unpause --all"
        )
    if found.queues:
        yield from _table(
            [
                Column("QUEUE", lambda each: each.queue),
                Column("PAUSED", lambda each: "yes" if each.paused else "-"),
                Column("CAP", lambda each: each.concurrent),
                Column("IN FLIGHT", _in_flight),
                Column("RATE", lambda each: each.rate),
                Column("BURST", lambda each: each.burst),
                Column("NEXT START", _next_start),
                Column("WAITING", lambda each: found.waiting[each.queue]),
            ],
            found.queues,
        )
    elif not found.all_paused:
        yield "no queue is paused or limited"
    for each in found.queues:
        if each.unread:
            words = printable(" ".join(each.unread))
            yield f"{printable(each.queue)}: unknown words in its policy are ignored: {words}"
    if found.workers:
        yield ""
        yield from _table(
            [
                Column("WORKER", lambda each: each.worker),
                Column("QUEUE", lambda each: each.queue),
                Column("CAP", lambda each: each.cap),
                Column("IN FLIGHT", lambda each: each.in_flight),
            ],
            found.workers,
        )


def _table(columns: Sequence[Column], rows: Sequence[Any]) -> Iterator[str]:
    return iter(Table(columns, terminal_width(), ellipsis_for(sys.stdout.encoding)).lines(rows))


def _in_flight(each: QueueLimits) -> int | None:
    return each.in_flight if each.concurrent is not None or each.in_flight else None


def _next_start(each: QueueLimits) -> str | None:
    if each.rate is None:
        return None
    return duration(each.starts_in_seconds) if each.starts_in_seconds else "now"
