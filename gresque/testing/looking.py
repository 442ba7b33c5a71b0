"""What a test asks of the jobs that wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from gresque.client.enqueue import definition_of
from gresque.testing.enqueued import EnqueuedJob, Expected, listed


class WaitingJobs(ABC):
    """The jobs that wait, in a fake or on a server."""

    def all(self, job: Any = None, *, queue: str | None = None) -> list[EnqueuedJob]:
        """The jobs that wait now, those in queues first, in the order in which they will run; all,
        or those of this job, or queue."""
        name = None if job is None else definition_of(job, "any").name
        return [each for each in self if name in (None, each.name) and queue in (None, each.queue)]

    @abstractmethod
    def __iter__(self) -> Iterator[EnqueuedJob]:
        """As `all`."""

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} waiting>"

    # Asserting

    def assert_enqueued(
        self,
        job: Any,
        /,
        *args: Any,
        queue: str | None = None,
        at: Any = None,
        times: int | None = None,
        **kwargs: Any,
    ) -> EnqueuedJob:
        """Fail unless this job waits: with these arguments where any are given, in this queue, due
        at this time (a datetime, seconds since the epoch, or `approx(…)`), and this many times.
        Returns the first one.

        An argument of the job may be an object that compares itself, such as `mock.ANY`. One that
        is named `queue`, `at` or `times` is passed by its position. Raises AssertionError, and
        WrongArguments for a call that the job cannot have.
        """
        __tracebackhide__ = True
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(f"times={times!r}: give 1 or more; for none use assert_not_enqueued")
        expected = Expected(definition_of(job, "any"), args, kwargs, queue, at)
        waiting: list[EnqueuedJob] = [*self]
        found = [each for each in waiting if expected.matches(each)]
        if found and times in (None, len(found)):
            return found[0]
        what = f"{expected} is not enqueued"
        if found:
            what = f"{expected} is enqueued {len(found)} times, and not {times}"
        raise AssertionError(f"{what}\n{_explained(expected, waiting)}")

    def assert_not_enqueued(
        self,
        job: Any = None,
        /,
        *args: Any,
        queue: str | None = None,
        at: Any = None,
        **kwargs: Any,
    ) -> None:
        """Fail when such a job waits, as in `assert_enqueued`; without a job, when any waits."""
        __tracebackhide__ = True
        if job is None:
            found = self.all(queue=queue)
            if found:
                raise AssertionError(f"{counted(found)} enqueued\n{listed(found)}")
            return
        expected = Expected(definition_of(job, "any"), args, kwargs, queue, at)
        found = [each for each in self if expected.matches(each)]
        if found:
            raise AssertionError(f"{expected} is enqueued\n{listed(found)}")

    def only(self, job: Any = None, *, queue: str | None = None) -> EnqueuedJob:
        """The one job that waits, of all or of this job or queue; fails unless it is one."""
        __tracebackhide__ = True
        found = self.all(job, queue=queue)
        if len(found) == 1:
            return found[0]
        of_job = "" if job is None else f" of {definition_of(job, 'any').name}"
        waiting = [*self]
        more = f"\n{listed(waiting)}" if waiting else ""
        raise AssertionError(f"{counted(found)} enqueued{of_job}, and not one{more}")


def _explained(expected: Expected, waiting: list[EnqueuedJob]) -> str:
    """What is enqueued: first those of the job, then the others."""
    if not waiting:
        return "No job is enqueued."
    same = [job for job in waiting if expected.names(job)]
    others = [job for job in waiting if not expected.names(job)]
    parts = [f"Enqueued are:\n{listed(same)}"] if same else []
    if others:
        parts.append(f"{'Other jobs' if same else 'Enqueued are'}:\n{listed(others)}")
    return "\n".join(parts)


def counted(jobs: list[EnqueuedJob]) -> str:
    return "1 job is" if len(jobs) == 1 else f"{len(jobs) or 'no'} jobs are"
