"""When a job failed, from the entries of any Resque. Pure."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz


def failed_seconds(text: str) -> float | None:
    """`failed_at` in epoch seconds; None when it is no time. Ruby and gresque write
    `2026/11/23 15:33:14 UTC`, programs in other languages a number, or the date as that language
    writes it."""
    with suppress(ValueError):
        ruby = datetime.strptime(text[:19], "%Y/%m/%d %H:%M:%S")
        return ruby.replace(tzinfo=UTC).timestamp()
    with suppress(ValueError):
        number = float(text)
        if math.isfinite(number):
            return number / 1000 if abs(number) > 1e11 else number
    parts = parsedate_tz(text.replace("GMT+", "+").replace("GMT-", "-"))
    with suppress(ValueError, OverflowError, TypeError):
        return mktime_tz((*parts[:9], parts[9] or 0)) if parts else None
    return None
