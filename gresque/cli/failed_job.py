"""A failed job as a user names it, by index or id, and all that is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from gresque.cli.output import compact, pairs
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.failure.backend import RedisBackend
    from gresque.failure.failed_list import FailedJob

MAX_INDEX_DIGITS = 15
"""A longer number is a job id: ids are 32 hex digits, which can all be decimal ones."""


def find_failed(backend: RedisBackend, targets: Sequence[str]) -> list[FailedJob]:
    """The jobs that are meant, each once; nothing is done when one of them is not there."""
    targets = list(dict.fromkeys(targets))
    names = {name for name in backend.counts() if name}
    places = {target: place for target in targets if (place := _place(target, names))}
    ids = [target for target in targets if target not in places]
    by_id = backend.find_ids(ids) if ids else {}
    jobs: dict[str, FailedJob] = {}
    for target in targets:
        job = backend.find(*places[target]) if target in places else by_id.get(target)
        if job is None:
            raise click.UsageError(_not_found(backend, target, places.get(target)))
        jobs[job.place] = job
    return list(jobs.values())


def _place(target: str, names: set[str]) -> tuple[int, str] | None:
    """The index and the name of its list, where each queue has one; None for a job id."""
    name, colon, index = target.rpartition(":")
    if not (index.isascii() and index.isdecimal() and len(index) <= MAX_INDEX_DIGITS):
        return None
    return (int(index), name) if not colon or name in names else None


def _not_found(backend: RedisBackend, target: str, place: tuple[int, str] | None) -> str:
    if place is None:
        return f"no failed job has the id {printable(target)}"
    counts = backend.counts()
    index, name = place
    if counts and name not in counts:
        example = printable(f"{next(iter(counts))}:{index}")
        return f"each queue has indexes of its own; name the job as the list does: {example}"
    count = counts.get(name, 0)
    there = f"they go from 0 to {count - 1}" if count else "there are none"
    return f"no failed job has the index {printable(target)}; {there}"


def describe(job: FailedJob) -> Iterator[str]:
    entry, item = job.entry, job.item
    if entry is None:
        yield f"The entry {job.place} is not one of a failed job:"
        yield from _indented(job.raw.decode("utf-8", "backslashreplace"))
        return
    yield from pairs(
        [
            ("index", job.place),
            ("failed at", job.shown_time),
            ("retried at", entry.retried_at),
            ("queue", entry.queue),
            ("class", item.get("class")),
            ("job id", job.job_id),
            ("generation", item.get("generation")),
            ("args", compact(item["args"]) if "args" in item else None),
            ("kwargs", compact(item["kwargs"]) if "kwargs" in item else None),
            ("worker", entry.worker),
            ("exception", entry.exception),
        ]
    )
    if not item:
        yield "payload"
        yield from _indented(compact(entry.payload))
    yield "error"
    yield from _indented(entry.error)
    yield "backtrace"
    for line in entry.backtrace or ["-"]:
        yield from _indented(line)


def _indented(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield f"  {printable(line)}"
