"""The payload of a job whose processes died under it, compared with the one that was enqueued."""

from __future__ import annotations

from gresque.jobs.crash_history import DEATHS
from gresque.jobs.envelope import members_of, with_members


def without_deaths(raw: bytes) -> bytes:
    """The payload as if no process had died under it."""
    members = members_of(raw)
    left = {name: members[name] for name in members if name not in DEATHS}
    return raw if left == members else with_members(raw, left)
