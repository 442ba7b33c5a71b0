"""Names of queues, classes and hosts within addresses. A name may hold anything."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from werkzeug.routing import BaseConverter

from gresque.text import decoded, encoded

_ESCAPED = re.compile(rb"~([0-9a-f]{2})")


def to_path(name: str) -> str:
    """One segment of a path. A tilde stands before the two digits of a byte that servers, proxies
    or browsers would change: a slash, a lone dot, what is not UTF-8, the tilde itself."""
    raw = encoded(name)
    try:
        raw.decode()
        kept: set[int] = {*range(0x80, 0x100)}
    except UnicodeDecodeError:
        kept = set()
    if raw in (b"", b".", b".."):
        return "~" + "".join(f"~{byte:02x}" for byte in raw)
    return quote(
        b"".join(
            bytes([byte]) if byte not in b"~/\\" and (byte < 0x80 or byte in kept)
            else b"~%02x" % byte
            for byte in raw
        ),
        safe="",
    )  # fmt: skip


def from_path(segment: str) -> str:
    raw = encoded(segment)
    if raw.startswith(b"~~") or raw == b"~":
        raw = raw[1:]
    return decoded(_ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), raw))


def to_field(name: str) -> str:
    """A name in a field of a form, whatever bytes and characters it has."""
    return to_path(name)


def from_field(text: str) -> str:
    return from_path(unquote(text, errors="surrogateescape"))


class NameConverter(BaseConverter):
    """`<name:queue>` in a route."""

    def to_python(self, segment: str) -> str:
        return from_path(segment)

    def to_url(self, name: str) -> str:
        return to_path(name)
