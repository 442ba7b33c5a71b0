"""How often a job's process has died under it, as the envelope of its payload says. Pure.

A crash recovery writes `"recoveries":2,"deaths":["…","…"]` there; the rest stays as it is.
"""

from __future__ import annotations

from gresque.jobs.envelope import Members, member, members_of, with_members

DEATHS = ("recoveries", "deaths")
HISTORY = 10
"""Deaths that are kept, the last ones; the count goes on."""
DEATH_CHARS = 500
MOST_BYTES = 64 * 1024
"""The most that a history may add to a payload: a character takes 6 bytes at most."""


def recoveries(raw: bytes) -> int:
    """How many deaths the job was recovered from."""
    return _count(members_of(raw))


def deaths(raw: bytes) -> list[str]:
    """Its last deaths, the newest at the end, each as `<process> at <time>`."""
    return _deaths(members_of(raw))


def add_death(raw: bytes, death: str) -> bytes:
    """The payload, which is a JSON object, with one death more."""
    if len(death) > DEATH_CHARS:
        death = "…" + death[1 - DEATH_CHARS :]  # the end of a process id differs from any other's
    members = members_of(raw)
    history = [*_deaths(members), death.encode("utf-8", "backslashreplace").decode()]
    count = {"recoveries": _count(members) + 1, "deaths": history[-HISTORY:]}
    return with_members(raw, members | count)


def _count(members: Members) -> int:
    return max(member(members, "recoveries", int) or 0, 0)


def _deaths(members: Members) -> list[str]:
    return member(members, "deaths", list[str]) or []
