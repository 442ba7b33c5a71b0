"""The entries of the in-flight ledger: `<length>:<queue key><payload>`.

The length tells where a queue key ends, whatever characters its queue has in its name. The field
`state` holds the turn's sequence number and the process's totals (see `lua/cycle.lua`).
"""

from __future__ import annotations

from typing import NamedTuple

STATE = b"state"


class LedgerEntry(NamedTuple):
    """A job in a slot: the key of the queue it came from and its raw payload."""

    queue_key: bytes
    raw: bytes


def parse_entry(value: bytes) -> LedgerEntry:
    length, _, rest = value.partition(b":")
    split = int(length)
    return LedgerEntry(rest[:split], rest[split:])


class Totals(NamedTuple):
    """What became of the jobs of a process: reserved = done + failed + requeued + in the ledger."""

    reserved: int = 0
    done: int = 0
    failed: int = 0
    requeued: int = 0

    def __add__(self, other: Totals) -> Totals:  # type: ignore[override]
        return Totals(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __str__(self) -> str:
        return (
            f"reserved {self.reserved:,} = {self.done:,} done + {self.failed:,} failed "
            f"+ {self.requeued:,} requeued"
        )


def parse_state(value: bytes) -> Totals:
    """The totals in a ledger's state, fenced or not."""
    numbers = value.split()[2 if value.startswith(b"fenced") else 1 :]
    return Totals(*map(int, numbers))
