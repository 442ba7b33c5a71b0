"""Since when a job waits in its queue. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from gresque.clock import parse_iso_8601
from gresque.jobs.envelope import UNREADABLE
from gresque.jobs.ids import enqueued_at

_MOST_PLAUSIBLE = 1e11
"""Seconds: above that a number would be milliseconds."""


class _Envelope(msgspec.Struct):
    run_at: Any = None
    deaths: Any = None


class _Item(msgspec.Struct):
    id: Any = None
    gresque: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Item).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def waits_since(raw: bytes) -> float | None:
    """The time, in epoch seconds, since when the job in this queue item waits: the last of the time
    in its id, the time for which it was delayed, and the last death of a process that held it.
    None when it says none of them, as jobs of other programs."""
    try:
        item = _decode(raw)
        envelope = _Envelope()
        if isinstance(item.gresque, msgspec.Raw):
            envelope = _decode_envelope(item.gresque)
    except UNREADABLE:
        return None
    times = (enqueued_at(item.id), _run_at(envelope.run_at), _last_death(envelope.deaths))
    return max((time for time in times if time is not None), default=None)


def _run_at(value: Any) -> float | None:
    is_time = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_time and 0 < value < _MOST_PLAUSIBLE else None


def _last_death(deaths: Any) -> float | None:
    """The history says `<process> at <time>`."""
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[-1], str):
        return None
    return parse_iso_8601(deaths[-1].rpartition(" at ")[2])
