"""Jobs whose time has come and that still wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.clock import duration
from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import View
from gresque.store.delayed import LOCK_MARK
from gresque.store.reads import Reads, Reply
from gresque.text import counted, decoded, printable, shell

OVERDUE_SECONDS = 10.0
"""A lease is taken over within 6 s after the death of a host."""


def overdue(view: View) -> Iterator[Finding]:
    """Jobs that should be in their queues: no maintenance process lives, or it cannot move them, or
    another program's scheduler holds its lock and moves nothing."""
    keys, reads = view.store.keys, view.store.reads()
    limit = view.at - OVERDUE_SECONDS
    later = reads.number("ZCOUNT", keys.later, "-inf", int(limit * 1000))
    lists = reads.number("ZCOUNT", keys.delayed_schedule, "-inf", int(limit))
    first_later = _first(reads, keys.later)
    first_list = _first(reads, keys.delayed_schedule)
    lease = reads.ask(b"", "GET", keys.maintenance)
    holders = {lock: reads.ask(b"", "GET", lock) for lock in keys.scheduler_locks}
    reads.run()
    if later.value:
        late = view.at - first_later.value / 1000
        said = f"{counted(later.value, 'delayed job')} should have run, the first {_late(late)}"
        yield _own(said, bool(lease.value), {"jobs": later.value, "late_seconds": round(late, 1)})
    if lists.value:
        late = view.at - first_list.value
        said = (
            f"delayed jobs of other programs, of {counted(lists.value, 'second')}, should have "
            f"run, the first {_late(late)}"
        )
        details: dict[str, object] = {"seconds": lists.value, "late_seconds": round(late, 1)}
        for lock, reply in holders.items():
            holder = decoded(reply.value)
            if holder and not holder.startswith(LOCK_MARK):
                yield _foreign(said, lock, holder, details)
                return
        yield _own(said, bool(lease.value), details)


def _first(reads: Reads, key: str) -> Reply[float]:
    """The lowest score."""
    return reads.ask(
        0.0, "ZRANGE", key, 0, 0, "withscores",
        parse=lambda found: float(found[1]) if found else 0.0,
    )  # fmt: skip


def _late(seconds: float) -> str:
    return f"{duration(seconds)} ago"


def _own(said: str, has_keeper: bool, details: dict[str, object]) -> Finding:
    if not has_keeper:
        why, command = "no maintenance process runs", shell("gresque", "work", "-q", "*")
    else:
        why = "the maintenance process cannot move them, and its log says why"
        command = shell("gresque", "delayed")
    return Finding(Level.BROKEN, "overdue", f"{said}: {why}", (command,), details)


def _foreign(said: str, lock: str, holder: str, details: dict[str, object]) -> Finding:
    return Finding(
        Level.BROKEN,
        "overdue",
        printable(
            f"{said}: the scheduler {holder} holds {lock} and does not move them; start it again, "
            "or delete that key if it is gone"
        ),
        (shell("gresque", "delayed"),),
        details | {"lock": lock, "holder": holder},
    )
