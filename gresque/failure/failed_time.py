"""When a job failed, from the entries of any Resque. Pure."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime

from gresque.clock import failed_at, parse_iso_8601


def failed_seconds(text: str) -> float | None:
    """`failed_at` in epoch seconds; None when it is no time. Ruby and gresque write
    `2026/11/23 15:33:14 UTC`, programs in other languages a number, ISO 8601, or the date as that
    language writes it."""
    with suppress(ValueError):
        ruby = datetime.strptime(text[:19], "%Y/%m/%d %H:%M:%S")
        return ruby.replace(tzinfo=UTC).timestamp()
    with suppress(ValueError):
        number = float(text)
        if not math.isfinite(number):
            return None
        return number / 1000 if abs(number) > 1e11 else number
    iso = parse_iso_8601(text.removesuffix(" UTC"))
    if iso is not None:
        return iso
    # Few entries need it, and a command that looks would load all of `email`.
    from email.utils import mktime_tz, parsedate_tz

    zoned = text.partition("(")[0].replace("GMT+", "+").replace("GMT-", "-")
    parts = parsedate_tz(zoned)
    with suppress(ValueError, OverflowError, TypeError):
        return mktime_tz((*parts[:9], parts[9] or 0)) if parts else None
    return None


def as_resque(text: str) -> str:
    """`failed_at` as Ruby and gresque write it, which sorts by time; another text as it is."""
    if text[4:5] == "/":
        return text
    seconds = failed_seconds(text)
    with suppress(ValueError, OverflowError, OSError):
        return text if seconds is None else failed_at(seconds)
    return text
