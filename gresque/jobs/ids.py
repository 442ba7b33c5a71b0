"""Ids of jobs: UUIDv7 as 32 hex digits, which carry the time of enqueueing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import gresque.clock as clock

YEAR_SECONDS = 365 * 86_400
AHEAD_SECONDS = 60.0
"""By how much the clock of the program that enqueued may be ahead of this one."""

_BULK, _SINGLE = 1000, 100
_RANDOM_BYTES = 10
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))

_V7 = re.compile("([0-9a-f]{12})7[0-9a-f]{3}[89ab][0-9a-f]{15}")


class JobId(str):
    """The id of an enqueued job, as every enqueue returns it: a str in all respects.

    Payloads, ledgers and failure entries hold ids as plain text.
    """

    __slots__ = ()

    duplicate = False
    """Whether this is the id of another job, which waits or runs already and does the work of a
    unique job that was not enqueued."""


class DuplicateId(JobId):
    """The id of the job that does the work of a job that was not enqueued."""

    __slots__ = ()

    duplicate = True


JOB_IDS = frozenset({JobId, DuplicateId})


def as_text(value: Any) -> str:
    """For msgspec, which encodes no subclass of str: the text of an id that is an argument."""
    if type(value) in JOB_IDS:
        return str(value)
    raise TypeError(f"{type(value).__qualname__} cannot be carried by JSON")


_endings: list[str] = []
"""For the ids of single jobs: to ask the system for each costs as much as to encode its payload."""
# Else a child would give its jobs the ids that its parent gives to others.
os.register_at_fork(after_in_child=_endings.clear)


def new_id() -> str:
    """The id of a job that is enqueued now."""
    try:
        ending = _endings.pop()  # in one step: threads share the list
    except IndexError:
        ending, *others = _random_endings(_SINGLE)
        _endings.extend(others)
    return f"{clock.now_ns() // 1_000_000:012x}7{ending}"


def new_ids() -> Iterator[str]:
    """Ids for a bulk, without end: each has the time at which it is taken, as what yields the jobs
    of a bulk may be slow."""
    start, since, until = "", 0, 0
    while True:
        for ending in _random_endings(_BULK):
            now = clock.now_ns()
            if not since <= now < until:
                milliseconds = now // 1_000_000
                start = f"{milliseconds:012x}7"
                since, until = milliseconds * 1_000_000, (milliseconds + 1) * 1_000_000
            yield start + ending


def _random_endings(count: int) -> list[str]:
    """The part after time and version: 19 random hex digits, the fourth with the variant."""
    random = bytearray(os.urandom(count * _RANDOM_BYTES))
    random[2::_RANDOM_BYTES] = random[2::_RANDOM_BYTES].translate(_VARIANT)
    digits = random.hex()
    return [digits[i : i + 19] for i in range(1, len(digits), 2 * _RANDOM_BYTES)]


def enqueued_at(job_id: object) -> float | None:
    """When the job with this id was enqueued, in epoch seconds; None when its id does not say so.

    Only ids of gresque carry a time. The Ruby fork's are random: of a million about two pass for
    one of the last year.

        gresque.enqueued_at("019ab0d2c4f17c3e8a1b5d7e9f2c4a60")  # 1763901293.809
    """
    match = _V7.fullmatch(job_id) if isinstance(job_id, str) else None
    if match is None:
        return None
    seconds = int(match[1], 16) / 1000
    now = clock.now()
    return seconds if now - YEAR_SECONDS <= seconds <= now + AHEAD_SECONDS else None
