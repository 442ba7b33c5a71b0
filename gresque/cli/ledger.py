"""`gresque ledger`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gresque.cli.options import setting_options
from gresque.cli.output import Column, json_option, write
from gresque.cli.stores import open_stores
from gresque.clock import duration
from gresque.processes.short_names import short_process

if TYPE_CHECKING:
    from gresque.inspector.processes import ProcessStatus

COLUMNS = [
    Column("HOST", lambda ledger: ledger.host),
    Column("MASTER", lambda ledger: _plain(ledger.master_pid), whole=True, rank=4),
    Column("PID", lambda ledger: _plain(ledger.pid), whole=True),
    Column("STARTED", lambda ledger: _ago(ledger.age_seconds), whole=True, rank=3),
    Column("LAST BEAT", lambda ledger: _beat(ledger), whole=True),
    Column("HOLDS", lambda ledger: ledger.held),
    Column("LONGEST", lambda ledger: duration(ledger.longest_seconds), whole=True),
    Column("RESERVED", lambda ledger: ledger.reserved, rank=2),
    Column("DONE", lambda ledger: ledger.done),
    Column("FAILED", lambda ledger: ledger.failed),
    Column("RETRIED", lambda ledger: ledger.retried, rank=1),
    Column("REQUEUED", lambda ledger: ledger.requeued, rank=1),
    Column("QUEUES", lambda ledger: _queues(ledger)),
]

RECOVERY_COLUMNS = [
    Column("AT", lambda recovery: recovery.at, lambda recovery: recovery.at[5:19], whole=True),
    Column("REQUEUED", lambda recovery: recovery.requeued),
    Column("FAILED", lambda recovery: recovery.failed),
    Column("RETRIED", lambda recovery: recovery.retried),
    Column("POISON", lambda recovery: recovery.poison),
    Column("BY", lambda recovery: recovery.by),
    Column(
        "PROCESS",
        lambda recovery: recovery.process,
        lambda recovery: short_process(recovery.process),
        keeps_end=True,
    ),
    Column("CAUSE", lambda recovery: recovery.cause),
]


@click.command(name="ledger")
@click.option("--recoveries", is_flag=True, help="Show the recoveries of dead processes instead.")
@click.option(
    "-n", "--count", type=click.IntRange(1), default=20, show_default=True,
    help="With --recoveries: how many, the newest first.",
)  # fmt: skip
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], recoveries: bool, count: int, as_json: bool) -> None:
    """Show the jobs that each worker process holds, and its totals.

    A job stands in the ledger of its process from the moment it leaves its queue until its end is
    recorded: reserved = done + failed + retried + requeued + held, for each process and in sum.
    LONGEST is how long the oldest of the held ones has been running. The totals of a process that
    dies go over to its successor. The last 1,000 recoveries are kept.

    \b
    Examples:
      gresque ledger
      gresque ledger --recoveries -n 100
      gresque ledger --json | jq 'map(.held) | add'
    """
    from gresque.inspector.processes import ProcessStatus
    from gresque.inspector.recoveries import LoggedRecovery

    with open_stores(flags) as stores:
        if recoveries:
            log = stores.rows(
                lambda store, _, most: LoggedRecovery.newest(store, most or 0),
                lambda recovery: recovery.order, 0, count,
            )  # fmt: skip
            stores.listing(as_json, log, asdict, RECOVERY_COLUMNS, empty="no process was recovered")
            return
        rows = [
            *stores.rows(lambda store, *_: ProcessStatus.all(store), lambda ledger: ledger.order)
        ]
        stores.listing(
            as_json, rows, _as_dict, COLUMNS, empty="no worker process has a ledger",
            colour=lambda ledger: "red" if ledger.fenced else None,
        )  # fmt: skip
        if rows and not as_json:
            write([_sums([row.value for row in rows])])


def _as_dict(ledger: ProcessStatus) -> dict[str, Any]:
    vitals = ledger.vitals and msgspec.to_builtins(ledger.vitals)
    return {**asdict(replace(ledger, vitals=None)), "vitals": vitals}


def _plain(pid: int | None) -> str:
    """Without the commas of a number."""
    return "-" if pid is None else str(pid)


def _ago(seconds: float | None) -> str:
    return "-" if seconds is None else f"{duration(seconds)} ago"


def _beat(ledger: ProcessStatus) -> str:
    said = _ago(ledger.beat_age_seconds)
    return f"{said}, given up" if ledger.fenced else said


def _queues(ledger: ProcessStatus) -> str:
    """`mail 12, web 3`: where the held jobs came from."""
    return ", ".join(f"{name} {count:,}" for name, count in ledger.queues.items())


def _sums(ledgers: list[ProcessStatus]) -> str:
    held, reserved, done, failed, retried, requeued = (
        sum(getattr(ledger, name) for ledger in ledgers)
        for name in ("held", "reserved", "done", "failed", "retried", "requeued")
    )
    return (
        f"{len(ledgers):,} process{'' if len(ledgers) == 1 else 'es'}: "
        f"reserved {reserved:,} = {done:,} done + {failed:,} failed + {retried:,} retried "
        f"+ {requeued:,} requeued + {held:,} held"
    )
