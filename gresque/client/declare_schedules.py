"""Writing the entries that code and schedule file declare into Redis: what a master does when it
starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from gresque.client.schedules import change_to
from gresque.errors import ScheduleError
from gresque.logs import fields
from gresque.schedule.entry import Entry, from_json
from gresque.store.cron_snapshot import Change, Snapshot

if TYPE_CHECKING:
    from gresque.store.store import Store

log = logging.getLogger("gresque.cron")

TRIES = 10


def declare_schedules(
    store: Store, app: str, entries: Sequence[Entry], boot: int = 0, *, has_file: bool = True
) -> int:
    """Write the entries of a program; those that it declared before, and does not any more, go.

    `boot` is what this returned at the first call of the same master, and 0 then. Of several
    masters of one program the one that booted last declares: where an older one would change
    something, the result is 0.

    A master without a schedule file says nothing of those that others of the program read from
    theirs: entries of code and file are declared apart.
    """
    sources = ("file", "code") if has_file else ("code",)
    names = {entry.name for entry in entries}
    boots = [
        _declare(
            store, app, source, [each for each in entries if each.source == source], names, boot
        )
        for source in sources
    ]
    return min(boots) if boot else max(boots)


def _declare(
    store: Store, app: str, source: str, entries: Sequence[Entry], names: set[str], boot: int
) -> int:
    """Those of one source; `names` are those of both."""
    field = app if source == "code" else f"{app} {source}"
    if not entries and not store.cron.has_app(field):
        return boot
    ours = [msgspec.structs.replace(entry, app=app) for entry in entries]
    for _ in range(TRIES):
        snapshot, now = store.cron.read(), int(store.now() * 1000)
        found = snapshot.entries
        every = (change_to(entry, found.get(entry.name), now) for entry in ours)
        changes = [change for change in every if _is_needed(change, snapshot)]
        gone = _gone((app, source), names, found)
        if boot and not changes and not gone:
            return boot
        boot, changed = store.cron.put([*changes, *gone], field, boot)
        if not changed:
            for change in gone if boot else ():
                log.info(
                    "schedule entry %s is removed: %s declares it no more", change.name, app,
                    extra=fields("schedule_removed", entry=change.name, app=app),
                )  # fmt: skip
            return boot
    raise ScheduleError("the schedule is changed by other programs all the time; it is tried again")


def _is_needed(change: Change, found: Snapshot) -> bool:
    """Also where an entry stands as it should and has lost its tick."""
    name = change.name
    has_lost = change.next is not None and not (name in found.next or name in found.paused)
    return change.new != change.old or has_lost


def _gone(owner: tuple[str, str], declared: set[str], found: dict[str, bytes]) -> list[Change]:
    gone = []
    for name, raw in found.items():
        if name not in declared and _owner(raw) == owner:
            gone.append(Change(name, raw, b"", None))
    return gone


def _owner(raw: bytes) -> tuple[str, str] | None:
    """The program that declares this entry, and where."""
    try:
        entry = from_json(raw)
    except ScheduleError:
        return None
    return entry.app, entry.source
