"""Whether a job that failed runs again, and when: what its declaration says about retries. Pure.

The declaration of this process goes first, then what the envelope says that the producer's
declaration said, then the setting RETRIES.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from gresque.errors import (
    DirtyExit,
    GiveUp,
    InvalidArguments,
    InvalidJobResult,
    InvalidPayload,
    JobDeclarationError,
    JobExpired,
    RetryLater,
)
from gresque.jobs.attempts import (
    FIRST_FAILED_AT,
    RETRIES,
    RETRY_FOR,
    attempt_of,
    snoozes_of,
    time_of,
)
from gresque.jobs.envelope import Members, member
from gresque.seconds import is_number, seconds_of

Seconds = float | timedelta
Delays = Seconds | Sequence[Seconds]
Backoff = Delays | Callable[[int], Seconds]
ErrorClasses = type[BaseException] | Sequence[type[BaseException]]

MOST_RETRIES = 1_000_000
MOST_SNOOZES = 1000
"""A job that asks for more in a row fails: it would go on for ever."""
LONGEST_SECONDS = 366 * 86_400.0
JITTER = 0.15
"""Of a computed delay, in both directions: jobs that failed together do not come back together."""

NEVER = (
    GiveUp, RetryLater, DirtyExit, InvalidPayload, InvalidArguments, InvalidJobResult, JobExpired,
)  # fmt: skip
"""No further attempt can do better, or an operator meant it."""


@dataclass(frozen=True)
class Exponential:
    """A delay of `base` seconds, times `factor` for each further attempt, `max` at most."""

    base: float
    factor: float
    most: float
    jitter: float

    def __call__(self, attempt: int) -> float:
        try:
            seconds = self.base * self.factor ** (attempt - 1)
        except OverflowError:
            seconds = self.most
        return _spread(min(seconds, self.most / (1 + self.jitter)), self.jitter)


def exponential(
    base: Seconds = 15, factor: float = 2, max: Seconds = 3600, jitter: float = JITTER
) -> Exponential:
    """A back-off for `backoff=`: 15, 30, 60 s and so on, an hour at most, each spread by 15 %.

    @gresque.job(queue="web", retries=8, backoff=gresque.exponential(base=1, max=600))
    """
    first, most = _seconds(base), _seconds(max)
    if first is None or most is None:
        wrong = f"base={base!r}" if first is None else f"max={max!r}"
        raise JobDeclarationError(f"exponential({wrong}): give a number of seconds, 0 or more")
    if not is_number(factor) or factor < 1:
        raise JobDeclarationError(f"exponential(factor={factor!r}): give a number, 1 or more")
    if not is_number(jitter) or not 0 <= jitter <= 1:
        raise JobDeclarationError(f"exponential(jitter={jitter!r}): give a number from 0 to 1")
    return Exponential(first, factor, most, jitter)


def default_backoff(attempt: int) -> float:
    """Sidekiq's: 16 s, 31 s, 96 s, 271 s, 640 s …, three weeks after 25 attempts."""
    return _spread(min(min(attempt, 1000.0) ** 4 + 15, LONGEST_SECONDS), JITTER)


def _spread(seconds: float, jitter: float) -> float:
    return seconds * random.uniform(1 - jitter, 1 + jitter)


class Again(msgspec.Struct):
    """The job runs once more."""

    seconds: float
    counts: bool
    """As a further attempt; else as the same one."""


@dataclass(frozen=True)
class RetryPolicy:
    """What a declaration says about retries; `None` where it says nothing.

    Of the classes that it names the nearest in an exception's line of ancestors decides.
    """

    retries: int | None = None
    backoff: Backoff = default_backoff
    retry_on: tuple[type[BaseException], ...] | None = None
    retry_delays: Mapping[type[BaseException], Delays] = field(default_factory=dict)
    fatal: tuple[type[BaseException], ...] = ()
    ignore: tuple[type[BaseException], ...] = ()
    retry_for_seconds: float | None = None

    @property
    def envelope(self) -> dict[str, Any]:
        """For a process that lacks the code."""
        said: dict[str, Any] = {}
        if self.retries is not None:
            said[RETRIES] = self.retries
        if self.retry_for_seconds is not None:
            said[RETRY_FOR] = self.retry_for_seconds
        return said

    def of(self, kind: type[BaseException]) -> tuple[str, Delays | None]:
        """What to do after this exception (`fatal`, `ignore`, `retry`), and the delays of its
        own."""
        if not (self.retry_on or self.retry_delays or self.fatal or self.ignore):
            return "retry" if self.retry_on is None else "fatal", None
        for ancestor in kind.__mro__:
            delays = self.retry_delays.get(ancestor)
            if ancestor in self.fatal:
                return "fatal", None
            if ancestor in self.ignore:
                return "ignore", delays
            if delays is not None or ancestor in (self.retry_on or ()):
                return "retry", delays
        return "retry" if self.retry_on is None else "fatal", None


_SAYS_NOTHING = RetryPolicy()


def retry_policy(
    job: str,
    retries: int | None = None,
    backoff: Backoff | None = None,
    retry_on: ErrorClasses | None = None,
    retry_delays: Mapping[type[BaseException], Delays] | None = None,
    fatal: ErrorClasses = (),
    ignore: ErrorClasses = (),
    retry_for_seconds: Seconds | None = None,
) -> RetryPolicy | None:
    """What a declaration says, checked; None when that is nothing. Raises JobDeclarationError."""
    what = f"job {job}"
    if retries is not None and (type(retries) is not int or not 0 <= retries <= MOST_RETRIES):
        raise JobDeclarationError(
            f"{what}: retries={retries!r} is no number of further attempts; give a whole number "
            f"from 0 to {MOST_RETRIES:,}"
        )
    limit = None
    if retry_for_seconds is not None:
        limit = _seconds(retry_for_seconds)
        if limit is None or limit <= 0:
            raise JobDeclarationError(
                f"{what}: retry_for_seconds={retry_for_seconds!r} is no time; give a number of "
                "seconds above 0, or leave it out"
            )
        retries = MOST_RETRIES if retries is None else retries
    if retries is None:
        given = {"backoff": backoff, "retry_on": retry_on, "retry_delays": retry_delays}
        for name, value in given.items():
            if value is not None:
                raise JobDeclarationError(
                    f"{what}: {name}= says how to retry, and nothing says how often; give "
                    "retries= too, such as retries=5"
                )
    delays = {} if retry_delays is None else retry_delays
    if not isinstance(delays, Mapping):
        raise JobDeclarationError(
            f"{what}: retry_delays={delays!r} is no dict; give {{ExceptionClass: seconds}}"
        )
    if backoff is not None and not callable(backoff):
        _check_delays(f"{what}: backoff", backoff, " or a function of the attempt")
    for kind, value in delays.items():
        _check_delays(f"{what}: retry_delays of {_name(kind)}", value, "")
    policy = RetryPolicy(
        retries,
        default_backoff if backoff is None else backoff,
        None if retry_on is None else _classes(f"{what}: retry_on", retry_on),
        dict(zip(_classes(f"{what}: retry_delays", tuple(delays)), delays.values(), strict=True)),
        _classes(f"{what}: fatal", fatal),
        _classes(f"{what}: ignore", ignore),
        limit,
    )
    _check_contradictions(what, policy)
    return None if policy == _SAYS_NOTHING else policy


def _check_contradictions(what: str, policy: RetryPolicy) -> None:
    for kind in policy.fatal:
        for name, others in (
            ("ignore", policy.ignore),
            ("retry_on", policy.retry_on or ()),
            ("retry_delays", policy.retry_delays),
        ):
            if kind in others:
                raise JobDeclarationError(
                    f"{what}: {_name(kind)} stands in fatal= and in {name}=; leave it out of one"
                )
    for kind in policy.ignore:
        if kind in (policy.retry_on or ()):
            raise JobDeclarationError(
                f"{what}: {_name(kind)} stands in ignore= and in retry_on=; leave it out of one"
            )


def _check_delays(what: str, delays: object, more: str) -> None:
    listed = delays if isinstance(delays, list | tuple) else [delays]
    if not listed or any(_seconds(each) is None for each in listed):
        raise JobDeclarationError(
            f"{what}: {delays!r} is no delay; give a number of seconds, a timedelta, a list of "
            f"them{more}"
        )


def _classes(what: str, given: Any) -> tuple[Any, ...]:
    found = tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)
    for each in found:
        if not isinstance(each, type) or not issubclass(each, BaseException):
            raise JobDeclarationError(
                f"{what}: {each!r} is no class of exceptions; give one such as ValueError"
            )
    return found


def _name(kind: object) -> str:
    return kind.__qualname__ if isinstance(kind, type) else repr(kind)


def _seconds(value: object) -> float | None:
    """A delay in seconds; None for what is none."""
    kind = type(value)
    if (kind is float or kind is int) and 0 <= value <= LONGEST_SECONDS:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    seconds = seconds_of(value)
    return None if seconds is None or seconds < 0 else min(float(seconds), LONGEST_SECONDS)


def retries_of(policy: RetryPolicy | None, members: Members, default: int) -> int:
    """How many further attempts a job has, after the first one."""
    if policy is not None and policy.retries is not None:
        return policy.retries
    declared = member(members, RETRIES, int)
    return declared if declared is not None and declared >= 0 else default


def next_attempt(
    error: BaseException,
    policy: RetryPolicy | None,
    members: Members,
    default_retries: int,
    now: float,
) -> Again | None:
    """When a job that raised this runs again; None when it has failed for good.

    Of the exception only its class is looked at. A back-off function is the job's own code: what
    it raises comes out here.
    """
    kind = type(error)
    if issubclass(kind, RetryLater):
        given = getattr(error, "seconds", 0.0)
        seconds = _seconds(given)
        if seconds is None:  # of a class of the job's own
            raise ValueError(f"{kind.__qualname__}.seconds is {given!r}: give a number, 0 or more")
        return Again(seconds, False) if snoozes_of(members) < MOST_SNOOZES else None
    if issubclass(kind, NEVER):
        return None
    policy = policy or _SAYS_NOTHING
    what, delays = policy.of(kind)
    attempt = attempt_of(members)
    if what == "ignore" and snoozes_of(members) < MOST_SNOOZES:
        return Again(_delay(delays, policy.backoff, attempt), False)
    if what != "retry" or attempt > retries_of(policy, members, default_retries):
        return None
    seconds = _delay(delays, policy.backoff, attempt)
    left = time_left(policy, members, now)
    if left is None:
        return Again(seconds, True)
    return Again(min(seconds, left), True) if left > 0 else None


def time_left(policy: RetryPolicy | None, members: Members, now: float) -> float | None:
    """How long the job may be tried again; None for any time."""
    limit = policy.retry_for_seconds if policy is not None else None
    if limit is None and members:
        limit = member(members, RETRY_FOR, float)
    if limit is None or limit <= 0:
        return None
    return limit - (now - (time_of(members, FIRST_FAILED_AT) or now))


def _delay(delays: Delays | None, backoff: Backoff, attempt: int) -> float:
    chosen: Any = backoff if delays is None else delays
    if callable(chosen):
        found = chosen(attempt)
        seconds = _seconds(found)
        if seconds is None:
            raise ValueError(
                f"its back-off returned {found!r} for attempt {attempt}; return a number of "
                "seconds or a timedelta"
            )
        return seconds
    if isinstance(chosen, list | tuple):
        chosen = chosen[min(attempt, len(chosen)) - 1]
    return _seconds(chosen) or 0.0
