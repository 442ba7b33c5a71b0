"""The audit log, read back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gresque.store.audit import Entry
from gresque.store.store import Store

PAGE = 500
_ID = re.compile("[0-9]{1,18}-[0-9]{1,18}")


@dataclass(frozen=True)
class AuditEntry:
    """What an operator did: `at` in epoch seconds by the server's clock, `by` the name, `place`
    from where (`cli`, `top`, `web 10.0.0.3`), `verb` and `target` what, `count` how many things it
    changed."""

    id: str
    at: float
    by: str
    place: str
    verb: str
    target: str
    count: int
    outcome: str


def read_audit(
    store: Store, count: int = 50, *, before: str = "", text: str = ""
) -> list[AuditEntry]:
    """`count` entries, the newest first; those before the entry with the id `before`, and with
    `text` in some field, in upper or lower case."""
    found: list[AuditEntry] = []
    before = before if _ID.fullmatch(before) else ""
    wanted = text.casefold()
    for entry in _each(store, count if not text else PAGE, before):
        if not wanted or any(wanted in str(value).casefold() for value in vars(entry).values()):
            found.append(entry)
            if len(found) == count:
                break
    return found


def _each(store: Store, page: int, before: str) -> Iterator[AuditEntry]:
    while entries := store.audit.page(min(page, PAGE), before):
        yield from map(_read, entries)
        before = entries[-1][0]


def _read(entry: Entry) -> AuditEntry:
    entry_id, found = entry
    number = found.get("count", "")
    milliseconds = entry_id.partition("-")[0]
    return AuditEntry(
        id=entry_id,
        at=int(milliseconds) / 1000,
        by=found.get("by", ""),
        place=found.get("from", ""),
        verb=found.get("verb", ""),
        target=found.get("target", ""),
        count=int(number) if number.isdecimal() and len(number) < 19 else 0,
        outcome=found.get("outcome", ""),
    )
