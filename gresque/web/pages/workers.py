"""Workers: hosts, the master of each worker, its processes. Ledger: what each process holds, and
what became of what the dead ones held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from flask import Response, abort, request

from gresque.control.stacks import ask_stacks
from gresque.inspector.processes import ProcessStatus
from gresque.inspector.recoveries import LoggedRecovery
from gresque.inspector.snapshot import HostRow, ProcessRow
from gresque.processes.identity import queues_of
from gresque.processes.short_names import short_process
from gresque.store.ledger import Totals
from gresque.web.actions import by
from gresque.web.frames import Shown, frames_of
from gresque.web.pages.show import html, show
from gresque.web.parts import part_of
from gresque.web.site import site

HOSTS = 50
OTHERS = 100
RECOVERIES = 50
STACK_SECONDS = 2.5
GREENLETS = 200


@dataclass(frozen=True)
class WorkerRow:
    """A worker: its master, and the processes that it has now."""

    id: str
    master_pid: int | None
    queues: str
    processes: tuple[ProcessRow, ...]


@dataclass(frozen=True)
class ShownHost:
    host: HostRow
    workers: tuple[WorkerRow, ...]
    totals: Totals


def sum_of(rows: Iterable[ProcessRow]) -> tuple[Totals, int]:
    """The totals of these processes together, and how many jobs they hold."""
    rows = [*rows]
    totals = sum((row.look.totals for row in rows), Totals())
    return totals, sum(row.look.held for row in rows)


def page() -> Response:
    snapshot = site().collector.last()
    text = request.args.get("q", "").strip()
    hosts = [
        _shown(host)
        for host in snapshot.hosts
        if text.casefold() in host.name.casefold()
        or any(text.casefold() in row.id.casefold() for row in host.processes)
    ]
    others = [o for o in snapshot.look.others if text.casefold() in o.id.casefold()]
    totals, held = sum_of(snapshot.processes)
    most = len(hosts) if request.args.get("hosts") == "all" else HOSTS
    return show(
        "workers",
        number=snapshot.number,
        every=2,
        snapshot=snapshot,
        hosts=hosts[:most],
        more=max(len(hosts) - most, 0),
        text=text,
        totals=totals,
        held=held,
        others=others[:OTHERS],
        more_others=max(len(others) - OTHERS, 0),
    )


def _shown(host: HostRow) -> ShownHost:
    workers = tuple(
        _worker(worker, tuple(rows))
        for worker, rows in groupby(
            sorted(host.processes, key=lambda row: row.worker), key=lambda row: row.worker
        )
    )
    return ShownHost(host, workers, sum_of(host.processes)[0])


def _worker(worker: str, rows: tuple[ProcessRow, ...]) -> WorkerRow:
    listed = next((row.look.vitals.queues for row in rows if row.look.vitals), "")
    rows = tuple(sorted(rows, key=lambda row: row.started or 0.0))
    return WorkerRow(worker, rows[0].master_pid, listed or queues_of(worker) or "", rows)


@dataclass(frozen=True)
class ShownGreenlet:
    title: str
    state: str
    seconds: float | None
    frames: Sequence[Shown]


def stacks(process: str) -> Response:
    """Where the greenlets of a process stand now. It is asked, and answers within a second."""
    row = site().collector.last().by_process.get(process)
    if row is None:
        abort(404, "this process has gone")
    found = ask_stacks(part_of(process).store, [process], by=by(), wait_seconds=STACK_SECONDS)[
        process
    ]
    greenlets = [
        ShownGreenlet(
            each["name"],
            "on the CPU" if each["on_cpu"] else f"waits on {each['waits_on'] or '?'}",
            each["seconds"],
            frames_of(each["stack"]),
        )
        for each in (found or ())[:GREENLETS]
    ]
    return html(
        "worker_stacks.html",
        layout="shell.html",
        number=0,
        row=row,
        answered=found is not None,
        greenlets=greenlets,
        more=max(len(found or ()) - GREENLETS, 0),
    )


def ledger() -> Response:
    here = site()
    snapshot, cached = here.collector.last(), here.cached
    statuses = cached.get("ledgers", 2.0, lambda: ProcessStatus.all(here.store))
    recoveries = cached.get(
        "recoveries", 2.0, lambda: LoggedRecovery.newest(here.store, RECOVERIES)
    )
    totals = Totals(*(sum(getattr(each, name) for each in statuses) for name in Totals._fields))
    held = sum(each.held for each in statuses)
    return show(
        "ledger",
        number=snapshot.number,
        every=2,
        snapshot=snapshot,
        statuses=statuses,
        recoveries=recoveries,
        suspects=sorted(snapshot.look.suspects.items()),
        totals=totals,
        held=held,
        short_process=short_process,
    )
