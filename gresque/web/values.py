"""Values from Redis as a page shows them: every one is hostile."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
from markupsafe import Markup, escape

from gresque.formats import NONE, rough
from gresque.text import printable

MOST_CHARS = 200


def value(given: object, most_chars: int = MOST_CHARS) -> str:
    """A text for a template, which escapes what means something in HTML: cut, and with escapes for
    what would turn the direction of writing, hide or break lines. Cut first: it may have 8 MB."""
    text = given if isinstance(given, str) else str(given)
    if len(text) > most_chars:
        text = text[: most_chars - 1] + "…"
    return printable(text)


_LENGTH = re.compile(r"\d[\d.,]* (?:ms|s|min|h|d)(?: \d\d (?:s|min|h))?\b")


def stressed(sentence: str, subject: str) -> Markup:
    """A sentence with its subject and its lengths of time in bold."""
    shown, named = value(sentence, 600), value(subject, 300)
    before, found, after = shown.partition(named) if named else (shown, "", "")
    parts = [_with_lengths(before), Markup("<b>{}</b>").format(found) if found else Markup("")]
    return Markup("").join([*parts, _with_lengths(after)])


def _with_lengths(text: str) -> Markup:
    parts, at = [], 0
    for found in _LENGTH.finditer(text):
        parts += [escape(text[at : found.start()]), Markup("<b>{}</b>").format(found[0])]
        at = found.end()
    return Markup("").join([*parts, escape(text[at:])])


def block(given: object, most_chars: int) -> str:
    """A text of several lines, for a `<pre>`."""
    text = given if isinstance(given, str) else str(given)
    if len(text) > most_chars:
        text = text[: most_chars - 1] + "…"
    return "\n".join(printable(line.expandtabs(4)) for line in text.split("\n"))


def moment(at: float | None) -> str:
    """An exact time: `2026-11-23 15:33:14 UTC`."""
    return NONE if at is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def offset(seconds: float) -> str:
    """How much earlier or later: `12 s before`, `3 min after`."""
    return f"{rough(abs(seconds))} {'before' if seconds < 0 else 'after'}"


def pretty(found: Any) -> str:
    """JSON over several lines."""
    try:
        return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, ValueError):
        return str(found)
