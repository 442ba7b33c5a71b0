"""Time zones by their IANA names."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache

from gresque.errors import NotReadableHere


@lru_cache(maxsize=1000)
def zone(name: str) -> tzinfo:
    """The zone of this name. Raises NotReadableHere that names one like it."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # a program that only enqueues needs no zones

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise NotReadableHere(f"the zone {name!r} is unknown; {_meant(name)}") from None


def _meant(name: str) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    known = available_timezones()
    if not known:
        return "this machine has no zones at all: install tzdata (pip install tzdata)"
    by_lowered = {each.lower(): each for each in known}
    by_city = {each.rpartition("/")[2].lower(): each for each in sorted(known)}
    lowered = name.lower().replace(" ", "_")
    found = by_lowered.get(lowered) or by_city.get(lowered)
    if found is None:
        close = get_close_matches(lowered, by_lowered, 1)
        found = by_lowered[close[0]] if close else None
    return f"write {found!r}" if found else "write one such as 'Europe/Berlin' or 'UTC'"
