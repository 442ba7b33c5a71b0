"""The changes of failed lists, as the scripts that make them note them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gresque.store.server import Server
from gresque.text import decoded, encoded

MOST = 1000
"""Changes that are kept. A reader that missed more has to read the lists again."""

NO_CHANGE = b"0-0"
"""Comes before the first change."""


@dataclass(frozen=True)
class FailedListChange:
    """What one step did to a list of `length` entries: it marked some, then dropped some, then
    moved those that were left of the `turned` oldest to the end. Indexes are those before the
    step; `dropped` has no entry twice."""

    key: str
    length: int
    marked: tuple[int, ...]
    dropped: tuple[range, ...]
    turned: int

    @classmethod
    def parse(cls, fields: dict[bytes, bytes]) -> FailedListChange:
        """Raises ValueError and KeyError for what another program wrote."""
        return cls(
            decoded(fields[b"list"]),
            int(fields[b"length"]),
            tuple(map(int, fields[b"marked"].split())),
            tuple(map(_range, fields[b"dropped"].split())),
            int(fields[b"turned"]),
        )


def _range(text: bytes) -> range:
    first, _, last = text.partition(b"-")
    return range(int(first), int(last or first) + 1)


def trimmed(changes_key: str, key: str, count: int) -> tuple[bytes | str | int, ...]:
    """The arguments of an XADD that notes, within a transaction, that the `count` oldest entries of
    a list were dropped. The length of the list is not known then."""
    return (
        encoded(changes_key), "MAXLEN", "~", MOST, "*", "list", encoded(key), "length", -1,
        "marked", "", "dropped", f"0-{count - 1}", "turned", 0,
    )  # fmt: skip


@dataclass(frozen=True)
class FailedLook:
    """Failed lists at one moment: their lengths, the entries of a page, and all that changed since
    the look before. `is_complete` is False where some changes are not known any more."""

    last_change: bytes
    changes: tuple[FailedListChange, ...]
    is_complete: bool
    lengths: tuple[int, ...]
    page: tuple[bytes, ...]


class FailedChanges:
    """The STREAM `failed_changes`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def last(self) -> bytes:
        """The id of the last change."""
        found = self._server.read([], "XREVRANGE", self._keys.failed_changes, "+", "-", "COUNT", 1)
        return bytes(found[0][0]) if found else NO_CHANGE

    def look(
        self, since: bytes, keys: Sequence[str], page: tuple[str, int, int] | None = None
    ) -> FailedLook:
        """Look at the lists with these keys in one atomic step; `page` is key, start and count of
        the entries to read."""
        pipeline = self._server.redis.pipeline(transaction=True)
        changes = self._keys.failed_changes
        # The change at `since` comes again: where it is missing, others may be.
        pipeline.execute_command("XRANGE", changes, since, "+", "COUNT", 2 * MOST)
        for key in keys:
            pipeline.llen(encoded(key))
        if page is not None:
            key, start, count = page
            pipeline.lrange(encoded(key), start, start + count - 1)
        found, *lengths = pipeline.execute(raise_on_error=False)
        entries = self._server.reply([], page[0], lengths.pop()) if page is not None else ()
        noted = self._server.reply([], changes, found)
        known = since == NO_CHANGE or bool(noted and noted[0][0] == since)
        fresh = noted if since == NO_CHANGE else noted[1:]
        parsed = tuple(_parse(fresh))
        return FailedLook(
            last_change=noted[-1][0] if noted else since,
            changes=parsed,
            is_complete=known and len(parsed) == len(fresh) < MOST,
            lengths=tuple(self._server.numbers(keys, lengths)),
            page=tuple(entries),
        )


def _parse(noted: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> Iterator[FailedListChange]:
    for _, fields in noted:
        try:
            yield FailedListChange.parse(fields)
        except (ValueError, KeyError, AttributeError):
            return
