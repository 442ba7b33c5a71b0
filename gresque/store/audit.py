"""The stream of what operators did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gresque.text import decoded, encoded

if TYPE_CHECKING:
    from gresque.store.server import Server

KEPT = 10_000
"""Entries. Redis removes whole nodes of the stream: some 100 more may stay."""

Entry = tuple[str, dict[str, str]]
"""The id of an entry, `<epoch milliseconds>-<number>` by the server's clock, and its fields."""


class AuditLog:
    """Its methods raise redis-py's errors."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def add(self, fields: Mapping[str, str]) -> None:
        words = [encoded(word) for pair in fields.items() for word in pair]
        key = self._server.keys.audit
        self._server.call("XADD", key, "MAXLEN", "~", KEPT, "*", *words)

    def page(self, count: int, before: str = "") -> list[Entry]:
        """`count` entries, the newest first; those before the one with this id, if one is given."""
        last = f"({before}" if before else "+"
        found = self._server.read(
            [], "XREVRANGE", self._server.keys.audit, last, "-", "COUNT", count
        )
        return [
            (decoded(entry), {decoded(name): decoded(value) for name, value in fields.items()})
            for entry, fields in found
        ]
