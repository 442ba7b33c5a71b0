"""What a client does with jobs that wait for their time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gresque.client import when
from gresque.client.delayed import DelayedJob, DelayedJobs, cancel_waiting
from gresque.client.each_shard import EachShard
from gresque.client.enqueue import definition_of
from gresque.client.when import Delay, Moment
from gresque.errors import EnqueueError, GresqueError
from gresque.jobs import payload
from gresque.jobs.definition import JobDefinition
from gresque.text import encoded

if TYPE_CHECKING:
    from gresque.client.typed import AnyJob
    from gresque.store.store import Store


MOST_LISTED = 2**53
"""Redis counts no further."""


class WaitingJobs(EachShard):
    """The part of `Client` about delayed jobs, and jobs that wait to run again."""

    def delayed(self, start: int = 0, count: int = 1) -> list[DelayedJob]:
        """`count` jobs that wait for their time, from position `start`, the next due one first:
        those of Ruby's resque-scheduler, and failed ones before their next attempt, included."""
        check_page(start, count)
        if start < 0:
            raise GresqueError(f"start={start} is before the first job; give 0 or more")
        return self._merged(
            lambda store, start, count: DelayedJobs(store).page(start, count),
            lambda job: job.due,
            start,
            count,
        )

    def delayed_count(self) -> int:
        """How many jobs wait for their time."""
        return sum(self._each(lambda store: DelayedJobs(store).count()))

    def cancel(self, job_id: str) -> bool:
        """Remove a job that waits for its time, or in a queue; False when it does not wait: it
        runs, has ended, or never was. Where it does not wait for its time, all queues are read."""
        wanted = checked_id(job_id)

        def cancel(store: Store) -> bool:
            delayed = DelayedJobs(store)
            job = delayed.find(wanted)
            return (job is not None and delayed.cancel(job)) or cancel_waiting(store, job_id)

        return self._any(cancel)

    def reschedule(
        self, job_id: str, *, in_: Delay | None = None, at: Moment | None = None
    ) -> bool:
        """Give a job that waits for its time another one; False when it does not wait for that."""
        due = when.one_of(in_, at)
        if due is None:
            raise EnqueueError(
                "say when: reschedule(job_id, in_=300) or reschedule(job_id, at=...)"
            )
        return self._change(job_id, lambda delayed, job: delayed.put_off(job, due))

    def run_now(self, job_id: str) -> bool:
        """Put a job that waits for its time into its queue; False when it does not wait for it."""
        return self._change(job_id, lambda delayed, job: delayed.run_now(job))

    def _change(self, job_id: str, change: Callable[[DelayedJobs, DelayedJob], bool]) -> bool:
        wanted = checked_id(job_id)

        def find_and_change(store: Store) -> bool:
            delayed = DelayedJobs(store)
            job = delayed.find(wanted)
            return job is not None and change(delayed, job)

        return self._any(find_and_change)

    def remove_delayed(self, job: AnyJob, /, *args: Any, **kwargs: Any) -> int:
        """Remove jobs that wait for their time and have exactly these arguments, of all queues;
        returns how many. Reads all that wait."""
        definition = definition_of(job, "any")
        wire, named = definition.wire_of(args, kwargs)
        payload.encode(definition.name, wire, named, "")
        wanted = definition.call_of(wire, named)

        def remove(store: Store) -> int:
            return DelayedJobs(store).remove(lambda raw: matches(raw, definition, wanted))

        return sum(self._each(remove))


def checked_id(job_id: object) -> str:
    """What may be the id of a job. Raises GresqueError."""
    with suppress(UnicodeEncodeError):
        if isinstance(job_id, str) and encoded(job_id):
            return job_id
    raise GresqueError(f"{job_id!r} is not the id of a job; give one that an enqueue returned")


def check_page(start: object, count: object) -> None:
    """Raises GresqueError for what is no part of a list."""
    for name, value in (("start", start), ("count", count)):
        if not isinstance(value, int) or abs(value) > MOST_LISTED:
            raise GresqueError(f"{name}={value!r} is no number of jobs; give a whole number")


def matches(raw: bytes, definition: JobDefinition, wanted: bytes | None) -> bool:
    """Whether this is a payload of the job, with these arguments where any are given."""
    item = payload.read(raw)
    if definition.name not in (item.get("class"), payload.class_of(raw)):
        return False
    if wanted is None:
        return True
    args, kwargs = item.get("args") or (), item.get("kwargs") or {}
    return isinstance(args, Sequence) and definition.call_of(args, kwargs) == wanted
