"""The entries of the in-flight ledger: `<length><flag><queue key><payload>`.

The length marks the end of the queue key, so that a queue may have any characters in its name. The
flag says which counters of jobs in flight counted the job when it was reserved. The script that
takes the entry out of the ledger counts it off there, whatever the limits of its queue are by then.
Jobs in `later` are written in the same way, and are counted nowhere. The field `state` holds the
turn's sequence number and the process's totals (see `lua/cycle.lua`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

STATE = b"state"

UNCOUNTED = b":"
COUNTED = b"+"
"""In `inflight`: its queue has a cap."""
COUNTED_OWN = b"@"
"""In `inflight:<worker>`: its worker has a cap of its own for the queue."""
COUNTED_BOTH = b"#"
IN_ALL = frozenset({COUNTED, COUNTED_BOTH})
"""The flags of jobs that `inflight` counts."""
IN_OWN = frozenset({COUNTED_OWN, COUNTED_BOTH})
"""The flags of jobs that `inflight:<worker>` counts."""


class LedgerEntry(NamedTuple):
    """A job in a slot: the key of the list that it came from (its queue, or one of the suspects of
    its queue, see `Keys.queue_of`), its raw payload, and the flag that says where it is counted."""

    queue_key: bytes
    raw: bytes
    flag: bytes = UNCOUNTED


def parse_entry(value: bytes, prefixes: tuple[bytes, ...] = (b"",)) -> LedgerEntry:
    """Read what stands in a slot. Raises ValueError, which says what is wrong with it, also when
    its queue key begins with none of `prefixes`."""
    head = _HEAD.match(value)
    if head is None:
        raise ValueError("it does not begin with the length of a queue key")
    length, flag = head.groups()
    split = head.end() + int(length)
    if split > len(value):
        raise ValueError("its queue key goes beyond its end")
    queue_key = value[head.end() : split]
    if not queue_key or not queue_key.startswith(prefixes) or queue_key in prefixes:
        raise ValueError(f"its queue key is not one of a queue: {queue_key[:100]!r}")
    return LedgerEntry(queue_key, value[split:], flag)


_HEAD = re.compile(rb"([0-9]{1,9})([:+@#])")


def write_entry(queue_key: bytes, raw: bytes, flag: bytes = UNCOUNTED) -> bytes:
    """What stands in a slot for a job of this list."""
    return b"%d%b%b%b" % (len(queue_key), flag, queue_key, raw)


class Unreadable(NamedTuple):
    """A slot whose content is no entry, and why."""

    raw: bytes
    reason: str


class Totals(NamedTuple):
    """The totals of the jobs of a process: reserved = done + failed + requeued +
    retried + in the ledger."""

    reserved: int = 0
    done: int = 0
    failed: int = 0
    requeued: int = 0
    retried: int = 0
    """Attempts after which the job is tried again."""

    @property
    def held(self) -> int:
        """How many jobs stand in the ledger."""
        return self.reserved - self.done - self.failed - self.requeued - self.retried

    def __add__(self, other: Totals) -> Totals:  # type: ignore[override]
        return Totals(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __sub__(self, other: Totals) -> Totals:
        return Totals(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def __str__(self) -> str:
        """Without retries for workers that had none."""
        retried = f"+ {self.retried:,} retried " if self.retried else ""
        return (
            f"reserved {self.reserved:,} = {self.done:,} done + {self.failed:,} failed "
            f"{retried}+ {self.requeued:,} requeued"
        )


_STATE = re.compile(
    rb"(?:fenced(?:(?::[0-9]{1,13}){4})? )?[0-9]{1,13}(?:[!~][0-9,!]*)?"
    rb"((?: [0-9]{1,13}){5})"
)
"""As `lua/fence.lua` reads it: longer numbers are none that a process counts."""


def parse_state(value: bytes) -> Totals:
    """The totals in a ledger's state, fenced or not. Raises ValueError for what is none."""
    state = _STATE.fullmatch(value)
    if state is None:
        raise ValueError("it is not a sequence number and five totals")
    return Totals(*map(int, state[1].split()))


class HeldLedger(NamedTuple):
    """The jobs of a worker process: slot -> entry, and its totals; empty when it has no ledger.

    `unreadable` is what stands in slots and is no entry; `broken_state` what stands in the place
    of the totals, which are 0 then: b"" when nothing does.
    """

    entries: dict[bytes, LedgerEntry]
    totals: Totals = Totals()
    is_fenced: bool = False
    unreadable: dict[bytes, Unreadable] = {}  # noqa: RUF012
    broken_state: bytes | None = None

    @property
    def held(self) -> int:
        """How many jobs stand in it, unreadable ones included."""
        return len(self.entries) + len(self.unreadable)


def parse_ledger(fields: dict[bytes, bytes], prefixes: tuple[bytes, ...]) -> HeldLedger:
    """Read a whole ledger, each field by itself; `prefixes` begin the keys of queues, and of the
    lists of their suspects."""
    entries: dict[bytes, LedgerEntry] = {}
    unreadable: dict[bytes, Unreadable] = {}
    for slot, value in fields.items():
        if slot == STATE:
            continue
        try:
            entries[slot] = parse_entry(value, prefixes)
        except ValueError as error:
            unreadable[slot] = Unreadable(value, str(error))
    state = fields.get(STATE, b"")
    try:
        totals, broken = parse_state(state), None
    except ValueError:
        totals, broken = Totals(), state if fields else None
    return HeldLedger(entries, totals, state.startswith(b"fenced"), unreadable, broken)
