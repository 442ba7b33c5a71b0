"""Counting the jobs in flight again from the ledgers of all processes."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable

from gresque.control.audit import acting
from gresque.errors import GresqueError
from gresque.logs import fields
from gresque.processes.identity import worker_of
from gresque.store.counts import Drift as Drift
from gresque.store.store import Store
from gresque.text import counted, printable

log = logging.getLogger("gresque.control")

TRIES = 20
"""A process may start after the list of processes was read and before their ledgers are."""


def by_worker(process_ids: Iterable[str]) -> dict[str, list[str]]:
    """Group these processes by their worker."""
    found = defaultdict[str, list[str]](list)
    for each in process_ids:
        found[worker_of(each)].append(each)
    return dict(found)


def verify_counts(store: Store) -> list[Drift]:
    """Set the counters of jobs in flight to what the ledgers say, and return what was wrong.
    Nothing is, unless another program wrote to them or the server refused to count. Exact while
    workers run. The server serves no other client meanwhile, for some 3 µs a job in flight. Raises
    GresqueError."""
    for _ in range(TRIES):
        processes = by_worker(store.processes.ids())
        try:
            drifts = store.counts.correct(processes, store.counts.queues(processes))
        except OverflowError as error:
            raise GresqueError(str(error)) from None
        if drifts is not None:
            for each in drifts:
                _log(each)
            return drifts
    raise GresqueError("processes start faster than their ledgers can be read; try again")


def verify(store: Store, *, by: str) -> list[Drift]:
    """The same for an operator."""
    with acting(store, by, "limits --verify", "all queues") as act:
        drifts = verify_counts(store)
        act.count = len(drifts)
        act.outcome = f"corrected {counted(act.count, 'count')}" if drifts else "corrected none"
    return drifts


def _log(drift: Drift) -> None:
    log.warning(
        "%s counted %s jobs of queue %s in flight, and there are %d: it is corrected. Only "
        "gresque may write to that key",
        printable(drift.counter),
        printable(drift.counted),
        printable(drift.queue),
        drift.held,
        extra=fields(
            "count_corrected",
            key=drift.counter,
            queue=drift.queue,
            counted=drift.counted,
            held=drift.held,
        ),
    )
