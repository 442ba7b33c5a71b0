"""What a text may be, to travel through Redis and JSON. Pure."""

from __future__ import annotations


def is_utf8(text: str) -> bool:
    """False when the text has a lone surrogate, which UTF-8 cannot carry."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
