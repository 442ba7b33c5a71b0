"""Jobs that wait for their time, and failed ones that wait to run again: run now, put off, cancel.

Each change compares: a job that is moved to its queue meanwhile is changed, or moved, never both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gresque.client.delayed import DelayedJob, DelayedJobs
from gresque.client.when import When
from gresque.control.audit import acting, some
from gresque.errors import InvalidPayload
from gresque.logs import fields
from gresque.store.store import Store

log = logging.getLogger("gresque.control")

GONE = "it does not wait for its time"


class Changed(NamedTuple):
    """What became of a job; `reason` says why it was not changed."""

    job_id: str
    done: bool
    reason: str = ""


def run_now(
    store: Store, jobs: Sequence[DelayedJob], *, by: str, verb: str = "delayed run"
) -> list[Changed]:
    """To the ends of their queues. `verb` is for the audit log."""
    return _change(store, verb, jobs, DelayedJobs(store).run_now, by)


def put_off(store: Store, jobs: Sequence[DelayedJob], when: When, *, by: str) -> list[Changed]:
    """Give them another time."""
    own = DelayedJobs(store)
    return _change(store, "delayed move", jobs, lambda job: own.put_off(job, when), by)


def cancel(
    store: Store, jobs: Sequence[DelayedJob], *, by: str, verb: str = "delayed cancel"
) -> list[Changed]:
    """Remove them for good; they are not among the failed jobs either."""
    return _change(store, verb, jobs, DelayedJobs(store).cancel, by)


def _change(
    store: Store,
    verb: str,
    jobs: Sequence[DelayedJob],
    change: Callable[[DelayedJob], bool],
    by: str,
) -> list[Changed]:
    found: list[Changed] = []
    if not jobs:
        return found
    with acting(store, by, verb, some([f"job {job.id} {job.name}" for job in jobs])) as act:
        for job in jobs:
            found.append(_changed(change, job))
            act.count += found[-1].done
        act.outcome = _outcome(found)
    log.info(
        "%s: %s, %d jobs", by, verb, act.count,
        extra=fields("delayed_changed", by=by, verb=verb, count=act.count),
    )  # fmt: skip
    return found


def _changed(change: Callable[[DelayedJob], bool], job: DelayedJob) -> Changed:
    try:
        return Changed(job.id, True) if change(job) else Changed(job.id, False, GONE)
    except InvalidPayload as error:
        return Changed(job.id, False, str(error))


def _outcome(found: Sequence[Changed]) -> str:
    reasons = dict.fromkeys(each.reason for each in found if not each.done)
    return "; ".join(reasons) or "done"
