"""`gresque job`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.options import setting_options
from gresque.cli.output import compact, complain, json_option, pairs
from gresque.cli.stores import Stores, open_stores
from gresque.clock import duration, iso_8601
from gresque.errors import AmbiguousId
from gresque.processes.short_names import is_end_of_id
from gresque.text import printable, shell

if TYPE_CHECKING:
    from gresque.inspector.one_job import OneJob

MOST_IDS = 10
MOST_CHARS = 2000
"""Of a result, on one line."""


@click.command(name="job")
@click.argument("job_id", metavar="ID")
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], job_id: str, as_json: bool) -> int:
    """Show all that is known of one job, wherever it is: by its id, or the last 8 or more digits
    of it.

    A tracked job has its state, its progress, and its result or error. Any other one is looked for
    in the jobs in flight, in those that wait for their time, among the next 10,000 in the queues
    and the last 10,000 failed ones. Of a job that has ended well, and is not tracked, nothing is
    kept; a tracked one that has ended is found by its whole id alone. Exit code: 1 when nothing is
    known of it, 2 when several ids end so.

    \b
    Examples:
      gresque job 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7
      gresque job --json 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7 | jq .state
    """
    if not job_id.strip():
        raise click.UsageError("the id is empty; gresque running shows those of running jobs")
    with open_stores(flags) as stores:
        shard, found = _find(stores, job_id)
        if not found.is_known and not found.log:
            complain(f"gresque: nothing is known of job {job_id}: {found.status.note}")
            return 1
        named = {"shard": shard} if stores.are_many else {}
        stores.document(as_json, {**named, **_as_dict(found)}, lambda: _lines(found, shard))
    return 0


def _find(stores: Stores, job_id: str) -> tuple[str, OneJob]:
    """The job with this id, or with the only one that ends so, and its shard."""
    from gresque.inspector.one_job import find_job
    from gresque.inspector.short_ids import ids_ending

    shard, found = _best(stores.ask(lambda store: find_job(store, job_id), takes_long=True))
    if found.is_known or found.log or not is_end_of_id(job_id):
        return shard, found
    ids = stores.ask(lambda store: ids_ending(store, job_id), takes_long=True)
    whole = [*dict.fromkeys(each for some in ids.values() for each in some)]
    if len(whole) > 1:
        raise AmbiguousId(
            f"the ids of {len(whole):,} jobs end with {job_id}; give one of these: "
            f"{', '.join(whole[:MOST_IDS])}"
        )
    if whole:
        return _best(stores.ask(lambda store: find_job(store, whole[0]), takes_long=True))
    return shard, found


def _best(found: dict[str, OneJob]) -> tuple[str, OneJob]:
    """On a shard that knows it, if there is one."""
    return max(found.items(), key=lambda each: (each[1].is_known, bool(each[1].log)))


def _as_dict(job: OneJob) -> dict[str, Any]:
    status, running, search = job.status, job.running, job.search
    progress = None if status.progress is None else status.progress._asdict()
    return {
        "id": status.id,
        "state": status.state,
        "tracked": job.is_tracked,
        "queue": status.queue,
        "class": status.job_class,
        "attempt": status.attempt,
        "enqueued_at": status.enqueued_at,
        "started_at": status.started_at or (running.since if running else None),
        "ended_at": status.ended_at,
        "due_at": search.delayed.due.timestamp() if search.delayed else None,
        "ahead": search.place.position if search.place else None,
        "progress": progress,
        "worker": status.worker,
        "waits_on": running.waits_on or None if running else None,
        "frame": running.frame or None if running else None,
        "result": job.result if status.state == "done" else None,
        "error": status.error,
        "traceback": status.traceback,
        "payload": job.item or None,
        "log": job.log,
    }


def _lines(job: OneJob, shard: str) -> Iterator[str]:
    status, running, search, item = job.status, job.running, job.search, job.item
    ahead = search.place.position if search.place else None
    yield from pairs(
        (name, value)
        for name, value in (
            ("job id", status.id),
            ("shard", shard or None),
            ("state", status.state),
            ("queue", status.queue),
            ("class", status.job_class),
            ("args", compact(item["args"]) if "args" in item else None),
            ("kwargs", compact(item["kwargs"]) if "kwargs" in item else None),
            ("attempt", status.attempt),
            ("enqueued at", _moment(status.enqueued_at)),
            ("due at", search.delayed.due.isoformat() if search.delayed else None),
            ("before it", None if ahead is None else f"{ahead:,} jobs in its queue"),
            ("started at", _moment(status.started_at)),
            ("ended at", _moment(status.ended_at)),
            ("runs for", duration(running.seconds) if running and running.seconds else None),
            ("progress", _progress(job)),
            ("worker", status.worker),
            ("waits on", running.waits_on or None if running else None),
            ("stands at", running.frame or None if running else None),
            ("result", _result(job)),
            ("error", status.error),
        )
        if value is not None
    )
    if running:
        yield f"{shell('gresque', 'stacks', status.id)}  shows where it stands"
    if status.traceback:
        yield ""
        yield from (f"    {printable(line)}" for line in status.traceback.splitlines())
    if job.log:
        yield ""
        yield "Its last log lines:"
        yield from (f"    {printable(line)}" for line in job.log)
    if status.state == "failed" and search.failed is not None:
        yield ""
        yield f"{shell('gresque', 'failed', 'show', status.id)}  shows its failure"


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else iso_8601(seconds)


def _progress(job: OneJob) -> str | None:
    found = job.status.progress
    if found is None:
        return None
    of = "" if found.total is None else f" of {found.total:,}"
    return f"{found.done:,}{of}{f', {found.note}' if found.note else ''}"


def _result(job: OneJob) -> str | None:
    if job.status.state != "done" or not job.is_tracked:
        return None
    text = compact(job.result)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}… (--json has all of it)"
