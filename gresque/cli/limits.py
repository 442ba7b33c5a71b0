"""`gresque limits`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gresque.cli.connect import operator
from gresque.cli.options import setting_options
from gresque.cli.output import ellipsis_for, json_option, terminal_width
from gresque.cli.stores import SHARD, Stores, open_stores
from gresque.cli.table import Column, Table
from gresque.clock import duration
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.client.flow import QueueLimits
    from gresque.control.counts import Drift
    from gresque.inspector.flow import Flow, WorkerCap


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

    with open_stores(flags, changes=verify) as stores:
        drifts = (
            stores.ask(lambda store: verify_counts(store, by=operator()), takes_long=True)
            if verify
            else {}
        )
        found = stores.ask(Flow.read)
        stores.document(
            as_json,
            _as_dict(stores, found, drifts if verify else None),
            lambda: (*_lines(stores, found), *(_corrections(drifts) if verify else ())),
        )


def _as_dict(
    stores: Stores, found: Mapping[str, Flow], drifts: Mapping[str, Sequence[Drift]] | None
) -> dict[str, Any]:
    """Of several shards each row has its shard."""

    def named(shard: str, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"shard": shard, **row} if stores.are_many else row for row in rows]

    shown: dict[str, Any] = {
        "all_paused": all(each.all_paused for each in found.values()),
        "queues": [],
        "workers": [],
    }
    for shard, each in found.items():
        rows = each.as_dict()
        shown["queues"] += named(shard, rows["queues"])
        shown["workers"] += named(shard, rows["workers"])
    if drifts is not None:
        shown["corrected"] = [
            row
            for shard, some in drifts.items()
            for row in named(shard, (each._asdict() for each in some))
        ]
    return shown


def _corrections(drifts: Mapping[str, Sequence[Drift]]) -> Iterator[str]:
    yield ""
    if not any(drifts.values()):
        yield "verified: no count of jobs in flight had to be corrected"
    for each in (drift for some in drifts.values() for drift in some):
        yield printable(
            f"corrected: {each.counter} said {each.counted} for queue {each.queue}, "
            f"{each.held:,} in flight"
        )


class _Limited(NamedTuple):
    """A row of the table: a queue of a shard, and how many jobs wait in it."""

    shard: str
    value: QueueLimits
    waiting: int


def _lines(stores: Stores, found: Mapping[str, Flow]) -> Iterator[str]:
    for shard, flow in found.items():
        if flow.all_paused:
            where = f" of shard {shard}" if stores.are_many else ""
            yield printable(
                f"all queues{where} are paused (pause-all-workers), for Resque's Ruby workers, "
                "too; to end that: gresque unpause --all"
            )
    queues = [
        _Limited(shard, each, flow.waiting[each.queue])
        for shard, flow in found.items()
        for each in flow.queues
    ]
    if queues:
        columns = [
            Column("QUEUE", lambda row: row.value.queue),
            Column("PAUSED", lambda row: "yes" if row.value.paused else "-"),
            Column("CAP", lambda row: row.value.concurrent),
            Column("IN FLIGHT", lambda row: _in_flight(row.value)),
            Column("RATE", lambda row: row.value.rate),
            Column("BURST", lambda row: row.value.burst),
            Column("NEXT START", lambda row: _next_start(row.value)),
            Column("WAITING", lambda row: row.waiting),
        ]
        yield from _table([SHARD, *columns] if stores.are_many else columns, queues)
    elif not any(flow.all_paused for flow in found.values()):
        yield "no queue is paused or limited"
    for row in queues:
        if row.value.unread:
            words = printable(" ".join(row.value.unread))
            yield f"{printable(row.value.queue)}: unknown words in its policy are ignored: {words}"
    yield from _worker_lines([each for flow in found.values() for each in flow.workers])


def _worker_lines(workers: Sequence[WorkerCap]) -> Iterator[str]:
    if not workers:
        return
    yield ""
    yield from _table(
        [
            Column("WORKER", lambda each: each.worker),
            Column("QUEUE", lambda each: each.queue),
            Column("CAP", lambda each: each.cap),
            Column("IN FLIGHT", lambda each: each.in_flight),
        ],
        workers,
    )


def _table(columns: Sequence[Column], rows: Sequence[Any]) -> Iterator[str]:
    return iter(Table(columns, terminal_width(), ellipsis_for(sys.stdout.encoding)).lines(rows))


def _in_flight(each: QueueLimits) -> int | None:
    return each.in_flight if each.concurrent is not None or each.in_flight else None


def _next_start(each: QueueLimits) -> str | None:
    if each.rate is None:
        return None
    return duration(each.starts_in_seconds) if each.starts_in_seconds else "now"
