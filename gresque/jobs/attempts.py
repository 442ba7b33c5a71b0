"""The attempts of a job, as the envelope of its payload counts them. Pure.

Everything about a retry stands in the payload: no key of Redis belongs to a job, and two jobs with
equal arguments never share a counter. Members: `attempt` (absent for the first), `errors` (the last
ten), `first_failed_at`, `run_at` (when it may run again), `snoozes` in a row, `unknown_since`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gresque.clock import iso_8601
from gresque.jobs.crash_history import DEATHS
from gresque.jobs.envelope import RUN_AT, Members, member, members_of, rewritten, with_members

ATTEMPT, ERRORS, FIRST_FAILED_AT = "attempt", "errors", "first_failed_at"
SNOOZES, UNKNOWN_SINCE = "snoozes", "unknown_since"
RETRIES, RETRY_FOR = "retries", "retry_for"
"""What the declaration said, for a process that lacks the code."""

ERRORS_KEPT = 10
MESSAGE_CHARS = 500
CLASS_CHARS = 200
MOST_BYTES = 64 * 1024
"""The most that the attempts may add to a payload: a character takes 6 bytes at most."""

_PASSING = frozenset({*DEATHS, SNOOZES, UNKNOWN_SINCE, RUN_AT})
"""What an attempt does not hand on to the next one."""
_STATE = (ATTEMPT, FIRST_FAILED_AT, RUN_AT, SNOOZES, UNKNOWN_SINCE)


class AttemptError(NamedTuple):
    """An attempt that failed: when (ISO 8601), the exception's class and its message."""

    at: str
    error_class: str
    message: str


def attempt_of(members: Members) -> int:
    """1 for the first one."""
    return max(member(members, ATTEMPT, int) or 1, 1) if ATTEMPT in members else 1


def snoozes_of(members: Members) -> int:
    """How often in a row it asked to run later."""
    return max(member(members, SNOOZES, int) or 0, 0)


def time_of(members: Members, name: str) -> float | None:
    """A time in epoch seconds; None for what is none."""
    if name not in members:
        return None
    found = member(members, name, float)
    return found if found is not None and 0 < found < 1e11 else None


def errors_of(members: Members) -> list[AttemptError]:
    """The last failed attempts, the newest at the end."""
    found = member(members, ERRORS, list[dict[str, Any]]) or []
    return [
        AttemptError(*(str(each.get(name, "")) for name in ("at", "class", "message")))
        for each in found
    ]


def failed_attempt(
    raw: bytes,
    error_class: str,
    message: str,
    now: float,
    delay_seconds: float,
    members: Members | None = None,
) -> bytes | None:
    """The payload of the next attempt, after one that failed now. The deaths of its processes are
    forgotten: it ran to an end. None when the payload cannot be rewritten. `members` are those of
    the payload, where they are known."""
    if members is None:
        members = members_of(raw)
    rounded = round(now, 3)
    changes: dict[str, Any] = {
        ATTEMPT: attempt_of(members) + 1,
        ERRORS: _with_error(members, error_class, message, now),
        FIRST_FAILED_AT: time_of(members, FIRST_FAILED_AT) or rounded,
        RUN_AT: round(now + delay_seconds, 3) if delay_seconds else rounded,
    }
    return _rewritten(raw, members, changes)


def snoozed(raw: bytes, now: float, delay_seconds: float) -> bytes | None:
    """The payload of the same attempt once more."""
    members = members_of(raw)
    changes = {SNOOZES: snoozes_of(members) + 1, RUN_AT: round(now + delay_seconds, 3)}
    return _rewritten(raw, members, changes)


def unknown_here(raw: bytes, now: float, delay_seconds: float) -> bytes | None:
    """The payload of a job that waits for its code."""
    members = members_of(raw)
    changes = {name: members[name] for name in DEATHS if name in members}  # it has not run
    since: dict[str, Any] = {UNKNOWN_SINCE: time_of(members, UNKNOWN_SINCE) or round(now, 3)}
    since[RUN_AT] = round(now + delay_seconds, 3)
    return _rewritten(raw, members, since | changes)


def ended(raw: bytes, error_class: str, message: str, now: float) -> bytes:
    """The payload of a job that failed for good: its last error stands with those before it. A
    job without any stays as it is."""
    members = members_of(raw)
    if ERRORS not in members:
        return raw
    return with_members(raw, members | {ERRORS: _with_error(members, error_class, message, now)})


def begun_again(raw: bytes) -> bytes:
    """The payload for a retry by hand: attempt 1 again. The history stays."""
    return without(raw, *_STATE, *DEATHS)


def without_history(raw: bytes) -> bytes:
    """The payload as if it had never failed, and no process had died under it."""
    return without(raw, *_STATE, ERRORS, *DEATHS)


def without(raw: bytes, *names: str) -> bytes:
    members = members_of(raw)
    left = {name: value for name, value in members.items() if name not in names}
    return raw if len(left) == len(members) else with_members(raw, left)


def _rewritten(raw: bytes, members: Members, changes: dict[str, Any]) -> bytes | None:
    # A payload that stays as it is would be tried for ever.
    if not members:
        return rewritten(raw, changes)
    kept = {name: value for name, value in members.items() if name not in _PASSING}
    return rewritten(raw, kept | changes)


def _with_error(members: Members, error_class: str, message: str, now: float) -> list[Any]:
    new = {
        "at": iso_8601(now),
        "class": _sendable(error_class[:CLASS_CHARS]),
        "message": _sendable(message[:MESSAGE_CHARS]),
    }
    if ERRORS not in members:
        return [new]
    earlier = [
        {"at": at[:40], "class": name[:CLASS_CHARS], "message": text[:MESSAGE_CHARS]}
        for at, name, text in errors_of(members)
    ]
    return [*earlier, new][-ERRORS_KEPT:]


def _sendable(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot carry."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
