"""How often a job's process has died under it, told by the job's own payload. Pure.

A crash recovery writes `{"recoveries":2,"deaths":["…","…"],` before the rest of the payload, which
stays as it was to the letter. Whoever reads payloads passes over fields that he does not know.
"""

from __future__ import annotations

import re

import msgspec

HISTORY = 10
"""Deaths that are kept, the last ones; the count goes on."""
DEATH_CHARS = 500

_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_MARK = re.compile(
    rb'\s*\{\s*"recoveries"\s*:\s*(\d{1,9})\s*,\s*"deaths"\s*:\s*'
    rb"(\[\s*(?:%b(?:\s*,\s*%b)*)?\s*\])(?:\s*,|(?=\s*\}))" % (_TEXT, _TEXT)
)
_read_deaths = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode


def recoveries(raw: bytes) -> int:
    """How many deaths the job was recovered from."""
    mark = _MARK.match(raw)
    return int(mark[1]) if mark else 0


def deaths(raw: bytes) -> list[str]:
    """Its last deaths, the newest at the end, each as `<process> at <time>`."""
    mark = _MARK.match(raw)
    if mark is None:
        return []
    try:
        return _read_deaths(mark[2])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def add_death(raw: bytes, death: str) -> bytes:
    """The payload, which is a JSON object, with one death more."""
    if len(death) > DEATH_CHARS:
        death = "…" + death[1 - DEATH_CHARS :]  # a process id ends with what tells it from others
    history = [*deaths(raw), death.encode("utf-8", "backslashreplace").decode()][-HISTORY:]
    rest = without_deaths(raw).lstrip()[1:]
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return b'{"recoveries":%d,"deaths":%b%b%b' % (
        recoveries(raw) + 1, _encode(history), comma, rest,
    )  # fmt: skip


def without_deaths(raw: bytes) -> bytes:
    """The payload as it was before its first recovery."""
    mark = _MARK.match(raw)
    return b"{" + raw[mark.end() :] if mark else raw
