"""A failed job as a user names it, by index or id, and all that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from gresque.cli.output import compact, pairs
from gresque.errors import RedisUnavailable
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.cli.stores import Stores
    from gresque.failure.backend import RedisBackend
    from gresque.failure.failed_list import FailedJob
    from gresque.inspector.shards import InShard
    from gresque.store.store import Store

MAX_INDEX_DIGITS = 15
"""A longer number is a job id: ids are 32 hex digits, which can all be decimal ones."""


def find_failed(
    stores: Stores, backend: Callable[[Store], RedisBackend], targets: Sequence[str]
) -> list[InShard[FailedJob]]:
    """The jobs that are meant, each once; nothing is done when one of them is not there. An index
    is that of a shard, where there are several: `a:12`."""
    from gresque.inspector.shards import InShard

    targets = list(dict.fromkeys(targets))
    placed = {target: shard for target in targets if (shard := _shard_of(stores, target))}
    _refuse_bare_indexes(stores, [target for target in targets if target not in placed])
    found = stores.ask(
        lambda store: _find_all(
            backend(store),
            {
                target: target.removeprefix(f"{shard}:")
                for target in targets
                if (shard := placed.get(target)) in (None, stores.name_of(store))
            },
        ),
        takes_long=True,
    )
    jobs: dict[tuple[str, str], InShard[FailedJob]] = {}
    for target in targets:
        there = [
            InShard(shard, job)
            for shard, by_target in found.items()
            if not isinstance(job := by_target.get(target, ""), str)
        ]
        if not there:
            reasons = [by_target[target] for by_target in found.values() if target in by_target]
            if not reasons:
                raise RedisUnavailable(f"{target} cannot be looked at: its shard does not answer")
            raise click.UsageError(str(reasons[0]))
        newest = max(there, key=lambda row: row.value.failed_at)
        jobs[newest.shard, newest.value.place] = newest
    return [*jobs.values()]


def place_of(row: InShard[FailedJob]) -> str:
    """As a user names it: its index, behind its shard where there are several."""
    return f"{row.shard}:{row.value.place}" if row.shard else row.value.place


def _shard_of(stores: Stores, target: str) -> str:
    """The shard that it names; empty where it names none. Names may have colons."""
    named = [name for name in stores.names if name and target.startswith(f"{name}:")]
    return max(named, key=len, default="")


def _refuse_bare_indexes(stores: Stores, targets: Sequence[str]) -> None:
    if not stores.are_many:
        return
    for target in targets:
        if target.isascii() and target.isdecimal() and len(target) <= MAX_INDEX_DIGITS:
            raise click.UsageError(
                f"each shard has indexes of its own; name the job as the list does: "
                f"{stores.names[0]}:{target}"
            )


def _find_all(backend: RedisBackend, targets: dict[str, str]) -> dict[str, FailedJob | str]:
    """The job of each target, or why there is none; a target is as it was given, and as it is
    called on this shard."""
    names = {name for name in backend.counts() if name}
    places = {target: place for target, own in targets.items() if (place := _place(own, names))}
    ids = [own for target, own in targets.items() if target not in places]
    by_id = backend.find_ids(ids) if ids else {}
    found: dict[str, FailedJob | str] = {}
    for target, own in targets.items():
        job = backend.find(*places[target]) if target in places else by_id.get(own)
        found[target] = job or _not_found(backend, own, places.get(target))
    return found


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


def describe(job: FailedJob, place: str) -> Iterator[str]:
    entry, item = job.entry, job.item
    if entry is None:
        yield f"The entry {place} is not one of a failed job:"
        yield from _indented(job.raw.decode("utf-8", "backslashreplace"))
        return
    yield from pairs(
        [
            ("index", place),
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
