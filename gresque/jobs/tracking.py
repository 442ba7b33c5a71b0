"""Tracked jobs: what is known of one while it waits, runs, and after its end. Pure.

The envelope of a tracked job says for how long its result is kept (`track`, seconds). What is known
of it stands in the HASH `job:<id>`: its state, and with it the details that belong to that state.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from gresque.errors import JobDeclarationError, UnserializableResult
from gresque.jobs import payload
from gresque.jobs.envelope import UNREADABLE, Members, member
from gresque.jobs.payload import check_value, encode_value
from gresque.seconds import seconds_of
from gresque.settings import RESULT_MAX_BYTES
from gresque.store.track import ENDED
from gresque.text import printable

TRACK = "track"
TRACK_IN_BYTES = b'"track"'
"""Without this a payload is not that of a tracked job."""

MESSAGE_CHARS = 1000
TRACEBACK_CHARS = 20_000
NOTE_CHARS = 200
LONGEST_SECONDS = 10 * 365 * 86_400
WAITING_MS = 86_400_000
"""What is known of a job that waits or runs is kept for this time longer than its result would be,
as nobody knows when it ends."""


class Details(msgspec.Struct, omit_defaults=True):
    """What is known of a job in its state. Times are milliseconds of the epoch, 0 where there is
    none."""

    name: str = msgspec.field(name="class", default="")
    queue: str = ""
    attempt: int = 1
    started: int = 0
    ended: int = 0
    worker: str = ""
    """The process that runs it, or ran it."""
    progress: Any = None
    """[done, total, note]."""
    error: list[str] | None = None
    """Class of the exception, message, traceback."""
    value: msgspec.Raw = msgspec.Raw(b"")
    """The result, as JSON."""


encode_details = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Details).decode


class Progress(NamedTuple):
    """How far a job is: `done` of `total`, which is None where the job does not know it."""

    done: float
    total: float | None = None
    note: str = ""


def decode_details(raw: bytes | None) -> Details:
    """Empty for what cannot be read."""
    try:
        return _decode(raw or b"{}")
    except UNREADABLE:
        return Details()


def progress_of(found: Any) -> Progress | None:
    """None for what is none."""
    if not isinstance(found, list) or len(found) != 3:
        return None
    done, total, note = found
    if not _is_number(done) or not (total is None or _is_number(total)):
        return None
    return Progress(done, total, str(note))


def checked_progress(done: Any, total: Any, note: Any) -> list[Any]:
    """As `Details.progress` has it. Raises ValueError."""
    if not _is_number(done) or not (total is None or _is_number(total)):
        raise ValueError(f"progress({done!r}, {total!r}): give numbers, such as progress(3, 10)")
    text = str(note)[:NOTE_CHARS].encode("utf-8", "replace").decode()
    return [done, total, text]


def _is_number(found: Any) -> bool:
    return type(found) in (int, float) and math.isfinite(found) and abs(found) < 2**63


def ttl_of(members: Members) -> int:
    """For how many seconds the result of a job is kept; 0 for a job that is not tracked."""
    if TRACK not in members:
        return 0
    return min(max(member(members, TRACK, int) or 0, 0), LONGEST_SECONDS)


def waiting_ms(ttl_seconds: int, delay_ms: int = 0) -> int:
    """How long the state of a job that is not over is kept."""
    return max(ttl_seconds * 1000, delay_ms) + WAITING_MS


def checked_ttl(what: str, given: Any) -> int:
    """Whole seconds, 0 for no tracking. Raises JobDeclarationError."""
    if given is None:
        return 0
    seconds = seconds_of(given)
    if seconds is None or not 0 <= seconds <= LONGEST_SECONDS:
        raise JobDeclarationError(
            f"{what}={given!r} is no time to keep a result for; give a number of seconds, ten "
            "years at most, or 0 to keep none"
        )
    return math.ceil(seconds)


def encode_result(job: str, value: Any, most_bytes: int = RESULT_MAX_BYTES) -> bytes:
    """A result as JSON, which waits in the server's memory. Raises UnserializableResult."""
    where = f"{printable(job)}: its result"
    try:
        check_value(value, where)
        raw = encode_value(value)
    except (TypeError, ValueError) as error:
        said = str(error).partition("; ")[0]  # the remedy is one for arguments
        text = said if said.startswith(where) else f"{where}: {said}"
        raise UnserializableResult(
            f"{text}; return what JSON carries, or declare result_ttl_seconds=0"
        ) from None
    if len(raw) > most_bytes:
        raise UnserializableResult(
            f"{where} has {len(raw):,} bytes as JSON, the limit is {most_bytes:,} "
            "(RESULT_MAX_BYTES); store it elsewhere and return its name"
        )
    return raw


def cut_error(name: str, message: str, lines: Any) -> list[str]:
    """As `Details.error` has it: bounded, and text that UTF-8 can carry. Of a long traceback the
    end is kept, which says where the exception was raised."""
    trace = "\n".join(map(str, lines))[-TRACEBACK_CHARS:]
    parts = name[:200], message[:MESSAGE_CHARS], trace
    return [part.encode("utf-8", "replace").decode() for part in parts]


class KnownJob(NamedTuple):
    """What is known of a tracked job from now on, and for how long."""

    job_id: str
    state: str
    details: bytes
    expiry_ms: int


def known_job(
    raw: bytes,
    queue: str,
    members: Members,
    state: str,
    run: Details | None,
    *,
    attempt: int,
    error: list[str] | None,
    delay_ms: int,
    now: float,
) -> KnownJob | None:
    """What is known of a job with this payload after one of its ends; None where it is not tracked.
    `run` is what is known of the run that has ended, `attempt` the number of the one that is next,
    or was the last; `delay_ms` is how long it waits for its time."""
    ttl, job_id = ttl_of(members), payload.id_of(raw)
    if not ttl or not isinstance(job_id, str):
        return None
    details = Details() if run is None else replace(run)
    details.name, details.queue = payload.class_of(raw) or "", queue
    details.attempt, details.error = attempt, error
    is_over = state in ENDED
    if is_over:
        details.ended = round(now * 1000)
    else:
        details.progress, details.started, details.worker = None, 0, ""
    expiry_ms = ttl * 1000 if is_over else waiting_ms(ttl, delay_ms)
    return KnownJob(job_id, state, encode_details(details), expiry_ms)
