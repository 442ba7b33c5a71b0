"""Parts of a turn that Redis refuses: jobs that cannot be moved, counts that cannot be made."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gresque.logs import fields
from gresque.store.refusals import is_missing_right, is_wrong_type
from gresque.text import counted, decoded
from gresque.worker.turns.in_flight import ReservedJob, Settled

log = logging.getLogger("gresque.worker")

RETRY_SECONDS = 1.0
"""Refused jobs are sent again this often."""

MOST_REFUSED = 1000
"""A process that holds this many refused jobs takes no new ones."""


class Refused:
    """Jobs that have ended and cannot be moved: the list they go to is of another type, or the ACL
    forbids it. They stay in their slots of the ledger, and are sent again with a later turn.

    Each key that refuses is logged once, until it accepts again.
    """

    def __init__(self) -> None:
        self.settled: list[Settled] = []
        self._logged: set[tuple[bytes, bytes]] = set()

    def __len__(self) -> int:
        return len(self.settled)

    @property
    def full(self) -> bool:
        return len(self) >= MOST_REFUSED

    @property
    def slots(self) -> list[bytes]:
        return [each.job[0] for each in self.settled]

    @property
    def jobs(self) -> list[ReservedJob]:
        return [each.job for each in self.settled]

    def take(self, arguments: int) -> list[Settled]:
        """As many of them as fit into this many arguments of a turn. They are no longer kept here:
        they are sent again."""
        count = 0
        for each in self.settled:
            arguments -= each.arguments
            if arguments < 0:
                break
            count += 1
        taken, self.settled = self.settled[:count], self.settled[count:]
        return taken

    def log(self, notes: Sequence[bytes]) -> None:
        """`notes` as in cycle.lua: what, command, key, error, …"""
        for what, command, key, error in zip(*[iter(notes)] * 4, strict=True):
            if (key, error) not in self._logged:
                self._logged.add((key, error))
                found = decoded(what), decoded(command), decoded(key), decoded(error)
                refused = fields("key_refused", key=found[2], error=found[3])
                log.error("%s", explain(*found), extra=refused)

    def log_accepted(self, count: int) -> None:
        """Jobs that had been refused are moved."""
        accepted = fields("key_accepted", jobs=count)
        jobs = counted(count, "job")
        log.warning("Redis accepts refused keys again, and settles %s", jobs, extra=accepted)
        self._logged.clear()


_EFFECTS = {
    "move": "the jobs concerned stay in the ledger and are sent again every second",
    "count": "it is not updated; jobs go on",
    "look": "nothing is taken from it; jobs go on",
}


def explain(what: str, command: str, key: str, error: str) -> str:
    """One line: the key, what Redis says, the effect on the jobs, and the remedy."""
    if what == "below":
        return (
            f"{key} counted fewer jobs in flight than there are ({error}): it counts from 0 again. "
            "gresque limits --verify counts again from the ledgers"
        )
    return (
        f"Redis refuses {command} {key} ({error}): {_EFFECTS[what]}. {_remedy(command, key, error)}"
    )


def _remedy(command: str, key: str, error: str) -> str:
    if is_wrong_type(error):
        return f"Another program keeps something else there: rename or delete {key}"
    if "integer" in error or "overflow" in error:
        return f"Its value cannot be counted up: set or delete {key}"
    if is_missing_right(error):
        return f"Allow it: ACL SETUSER <user> +{command.lower()} ~{key}"
    return f"Look at {key}"
