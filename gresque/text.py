"""Texts: which ones may travel through Redis and JSON, and how they are shown. Pure."""

from __future__ import annotations

import os
import shlex


def is_utf8(text: str) -> bool:
    """False when the text has a lone surrogate, which UTF-8 cannot carry."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def from_os(text: str) -> str:
    """An argument or a variable of the environment, read as UTF-8 where the locale could not."""
    if is_utf8(text):
        return text
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def to_os(path: str) -> str:
    """A path as the locale can use it: the reverse of `from_os`."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return os.fsdecode(path.encode("utf-8", "surrogateescape"))
    return path


def encodable(text: str, encoding: str | None) -> str:
    """`text` with escapes for characters outside this encoding."""
    if text.isascii():
        return text
    return text.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")


def printable(value: object) -> str:
    """`value` as text that does nothing to a terminal and ends no line: control characters, those
    that turn the direction of writing and those without a width become escapes."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def shell(*words: object) -> str:
    """A command as it is typed."""
    return shlex.join(printable(word) for word in words)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def decoded(name: bytes) -> str:
    """A name out of Redis. Names are UTF-8; a stray byte of another program breaks no listing."""
    return name.decode("utf-8", "surrogateescape")


def encoded(name: str) -> bytes:
    """The name as it came, stray bytes included, on which redis-py raises."""
    return name.encode("utf-8", "surrogateescape")


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 job`, `2,500 jobs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
