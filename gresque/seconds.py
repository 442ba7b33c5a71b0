"""Numbers and times as programs give them. Pure."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TypeGuard

AGES = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h|d)?")
MOST_AGE_SECONDS = 1e10


def is_number(value: object) -> TypeGuard[float]:
    """A finite number that is not over the range of a float; True and False are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int of hundreds of digits
        return False


def seconds_of(value: object) -> float | None:
    """The seconds of a number or a timedelta; None for anything else."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if is_number(value) else None


def parse_age(text: str) -> float | None:
    """The seconds of `90`, `10m` or `2h`; None for any other text."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        return None
    seconds = float(found[1]) * AGES[found[2] or "s"]
    return seconds if seconds <= MOST_AGE_SECONDS else None
