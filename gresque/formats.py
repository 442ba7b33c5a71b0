"""Numbers and times as the dashboard and the terminal show them. Pure.

Each function takes None for a value that is not known, and returns a dash.
"""

from __future__ import annotations

import math

NONE = "–"

_SHORT = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def span(seconds: float | None) -> str:
    """A length of time: `4 ms`, `0.3 s`, `41.8 s`, `6 min 12 s`, `3 h 04 min`, `5 d 03 h`."""
    if seconds is None:
        return NONE
    seconds = max(seconds, 0.0)
    if 0 < seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "0 ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600:02d} h"


def tight(seconds: float | None) -> str:
    """The same in few characters, for a terminal: `0.4 s`, `14.2 s`, `4m58s`, `3h04m`, `5d03h`."""
    if seconds is None or seconds < 59.95:
        return span(seconds)
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 2 * 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600:02d}h"


def rough(seconds: float | None) -> str:
    """The same in one unit: `12 s`, `6 min`, `3 h`, `5 d`."""
    if seconds is None:
        return NONE
    seconds = max(seconds, 0.0)
    for least, size, unit in ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "min")):
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def ago(seconds: float | None) -> str:
    """`now`, `12 s ago`, `6 min ago`."""
    if seconds is None:
        return NONE
    return "now" if seconds < 1 else f"{rough(seconds)} ago"


def number(value: float | None) -> str:
    """A count in full: `18,412`; from ten million on `57.9 M`."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) < 1e7 else short(value)


def short(value: float | None) -> str:
    """A count in few characters, for an axis: `400`, `1.2 k`, `90 k`, `57.9 M`."""
    if value is None:
        return NONE
    for size, unit in _SHORT:
        if abs(value) >= size:
            return f"{_three_digits(value / size)} {unit}"
    return _three_digits(value)


def rate(per_second: float | None) -> str:
    """Jobs a second, without the unit: `671`, `8.6`, `0.2`, `0.004`, `0`."""
    if per_second is None:
        return NONE
    if per_second >= 1e5:
        return short(per_second)
    if per_second >= 9.95 or per_second <= 0:
        return f"{max(per_second, 0):,.0f}"
    return _significant(per_second, 2 if per_second >= 0.095 else 1)


def share(part: float | None, whole: float | None) -> str:
    """`1.3 %` of the whole, `0.01 %`; a dash where there is nothing to share."""
    if part is None or not whole:
        return NONE
    percent = 100 * part / whole
    if percent <= 0 or percent >= 9.95:
        return f"{percent:.0f} %"
    return f"{_significant(percent, 2 if percent >= 0.095 else 1)} %"


def size(count: float | None) -> str:
    """Bytes: `812 B`, `60 kB`, `624 MB`, `1.9 GB`."""
    if count is None:
        return NONE
    for unit_size, unit in _SIZES:
        if count >= unit_size:
            return f"{_three_digits(count / unit_size)} {unit}"
    return f"{count:.0f} B"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 or value == int(value) else f"{value:.1f}"


def _significant(value: float, digits: int) -> str:
    decimals = digits - 1 - math.floor(math.log10(value))
    text = f"{value:.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
