"""What a text may be, to travel through Redis and JSON, and to be shown. Pure."""

from __future__ import annotations


def is_utf8(text: str) -> bool:
    """False when the text has a lone surrogate, which UTF-8 cannot carry."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def printable(value: object) -> str:
    """`value` as text that does nothing to a terminal and ends no line: control characters, those
    that turn the direction of writing and those without a width become escapes."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
