"""Numbers and times as programs give them. Pure."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TypeGuard


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
