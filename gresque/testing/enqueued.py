"""Jobs as a test sees them, and what a test expects of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from inspect import signature
from typing import Any

import gresque.clock as clock
from gresque.client import when
from gresque.client.when import Delay, Moment
from gresque.errors import EnqueueError, UnserializableArgument
from gresque.jobs import payload
from gresque.jobs.attempts import attempt_of
from gresque.jobs.conversions import conversion
from gresque.jobs.definition import JobDefinition
from gresque.jobs.envelope import members_of
from gresque.jobs.payload import id_of
from gresque.text import printable

MOST_SHOWN = 20


@dataclass(frozen=True)
class EnqueuedJob:
    """A job that waits, or has run."""

    id: str
    name: str
    queue: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    """Both as they stand in the payload, in JSON."""
    at: datetime | None
    """When it is due, in UTC; None for a job in its queue."""
    attempt: int
    payload: dict[str, Any]
    """As `gresque.peek` returns it."""

    def __str__(self) -> str:
        arguments = [repr(arg) for arg in self.args]
        arguments += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        text = f"{self.name}({', '.join(arguments)}) in queue {self.queue!r}"
        if self.attempt > 1:
            text += f", attempt {self.attempt}"
        return text if self.at is None else f"{text}, due at {_shown_time(self.at)}"


def read_job(queue: str, raw: bytes, due_ms: int | None = None) -> EnqueuedJob:
    """A payload as a test sees it."""
    found = payload.read(raw)
    return EnqueuedJob(
        id=str(id_of(raw) or ""),
        name=str(found.get("class", "")),
        queue=queue,
        args=tuple(found.get("args") or ()),
        kwargs=found.get("kwargs") or {},
        at=None if due_ms is None else when.utc(due_ms),
        attempt=attempt_of(members_of(raw)),
        payload=found,
    )


class Approximate:
    """See `approx`."""

    def __init__(self, at: Moment | timedelta, seconds: float) -> None:
        if isinstance(at, timedelta):
            self.seconds_at = clock.now() + at.total_seconds()
        else:
            self.seconds_at = when.at(at).seconds
        self.within = seconds

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, datetime):
            return NotImplemented
        return abs(other.timestamp() - self.seconds_at) <= self.within

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        about = _shown_time(datetime.fromtimestamp(self.seconds_at, UTC))
        return f"{about} ± {self.within:g} s"


def approx(at: Moment | timedelta, seconds: Delay = 1.0) -> Any:
    """About this time, to be compared with the `at` of a job: a datetime with a time zone, seconds
    since the epoch, or a timedelta from now.

    jobs.assert_enqueued(remind, 42, at=approx(timedelta(hours=1)))
    """
    return Approximate(at, when.delay(seconds).seconds)


class Expected:
    """A job that a test expects, or does not: its name, and of the rest what the test names."""

    def __init__(
        self,
        definition: JobDefinition,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        queue: str | None = None,
        at: Any = None,
    ) -> None:
        """Raises WrongArguments for a call that the job cannot have, and UnserializableArgument
        for a value that no job can have as an argument."""
        self._definition = definition
        self._queue, self._at = queue, _checked_at(at)
        self._shown = [*map(repr, args)] + [f"{name}={value!r}" for name, value in kwargs.items()]
        self._call: Any = None
        if args or kwargs:
            if definition.check_call is not None:
                definition.check_call(tuple(args), dict(kwargs))
            self._call = self._bound(
                [self._sent(n, f"{n + 1}", arg) for n, arg in enumerate(args)],
                {key: self._sent(key, repr(key), arg) for key, arg in kwargs.items()},
            )

    def __str__(self) -> str:
        call = "" if self._call is None else f"({', '.join(self._shown)})"
        text = f"{self._definition.name}{call}"
        if self._queue is not None:
            text += f" in queue {self._queue!r}"
        if self._at is not None:
            at = self._at
            text += f" due at {_shown_time(at) if isinstance(at, datetime) else at}"
        return text

    def names(self, job: EnqueuedJob) -> bool:
        """Whether it is this job, with any arguments."""
        return job.name == self._definition.name

    def matches(self, job: EnqueuedJob) -> bool:
        return (
            self.names(job)
            and self._queue in (None, job.queue)
            and (self._call is None or bool(self._call == self._bound(job.args, job.kwargs)))
            and (self._at is None or self._is_due(job))
        )

    def _is_due(self, job: EnqueuedJob) -> bool:
        if job.at is None:
            return False
        # Seconds may also be given as pytest.approx.
        return bool(self._at == job.at) or bool(self._at == job.at.timestamp())

    def _sent(self, place: int | str, shown: str, value: Any) -> Any:
        """An argument as its payload has it."""
        if self._definition.typed_args is not None:
            with suppress(UnserializableArgument):  # such as mock.ANY
                value = self._definition.typed_args.write_one(place, value)
        return _as_sent(f"{printable(self._definition.name)}: argument {shown}", value)

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The arguments in one spelling, however they were passed."""
        try:
            found = signature(self._definition.function).bind(*args, **kwargs).arguments
        except (TypeError, ValueError):
            return [*args], {**kwargs}
        return {
            name: [*value] if isinstance(value, tuple) else value for name, value in found.items()
        }


def _checked_at(at: Any) -> Any:
    """Raises EnqueueError for what is the time of no job: it would differ from all of them."""
    if isinstance(at, timedelta):
        raise EnqueueError(f"at={at!r} is no point in time; give approx(...) of a timedelta")
    if isinstance(at, str | date):
        when.at(at)  # it says what is wrong with it
    return at


def listed(jobs: Sequence[EnqueuedJob]) -> str:
    """Jobs for the message of a failed assertion, one a line."""
    lines = [f"  {job}" for job in jobs[:MOST_SHOWN]]
    if len(jobs) > MOST_SHOWN:
        lines.append(f"  and {len(jobs) - MOST_SHOWN} more")
    return "\n".join(lines)


def _as_sent(where: str, value: Any) -> Any:
    """A value as it comes out of JSON. An object that compares itself, such as `mock.ANY`, stays;
    a value that no job can have would match none, without a word."""
    try:
        raw = payload.encode(where, [[value]], None, "")
    except UnserializableArgument:
        if (found := conversion(value)) is not None:
            raise UnserializableArgument(
                f"{where} is {value!r}, which JSON cannot carry, so no job has it; {found}"
            ) from None
        return value
    return (payload.decode(raw).args or [[None]])[0][0]


def _shown_time(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds")
