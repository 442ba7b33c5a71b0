"""Values from Redis as a page shows them: every one is hostile."""

from __future__ import annotations

from gresque.text import printable

MOST_CHARS = 200


def value(given: object, most_chars: int = MOST_CHARS) -> str:
    """A text for a template, which escapes what means something in HTML: cut, and with escapes for
    what would turn the direction of writing, hide or break lines. Cut first: it may have 8 MB."""
    text = given if isinstance(given, str) else str(given)
    if len(text) > most_chars:
        text = text[: most_chars - 1] + "…"
    return printable(text)
