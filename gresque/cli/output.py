"""The output of commands: aligned plain text for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import click

import gresque.stdio as stdio
from gresque.text import encodable, printable

Row = TypeVar("Row")

_CHUNK = 1000
"""Rows that are aligned together; a listing of any length is printed in constant memory."""
_WIDEST_CELL = 48
"""On a terminal, so that one long name does not push the rest out of sight."""
_GAP = "  "


class Column(NamedTuple):
    """A title, and the value of a row under it: numbers are aligned to the right."""

    title: str
    cell: Callable[[Any], Any]


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""The flag of everything that lists; its value goes to `Output`."""


class Output:
    """Prints a listing as a table or as a JSON array, something single as lines or an object.

    JSON is ASCII: any bytes from Redis can be printed and read back.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def listing(
        self,
        rows: Iterable[Row],
        as_dict: Callable[[Row], dict[str, Any]],
        columns: Sequence[Column],
        empty: str,
    ) -> None:
        """Print rows as they come; `empty` is said, in text, when there are none."""
        if self.as_json:
            _print_array(as_dict(row) for row in rows)
        else:
            _print_table(rows, columns, empty)

    def document(self, found: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Print one thing: `found` as JSON, or its `lines`."""
        if self.as_json:
            write([json.dumps(found, indent=2)])
        else:
            write(lines())


def write(lines: Iterable[str]) -> None:
    """Print lines to stdout; characters outside its encoding are escaped."""
    text = "".join(f"{line}\n" for line in lines)
    _send(encodable(text, sys.stdout.encoding))


def complain(line: str) -> None:
    """Print a line to stderr, of any characters."""
    text = encodable(f"{printable(line)}\n", sys.stderr.encoding)
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _send(text: str) -> None:
    """Write and flush. A reader that left, as `| head` does, ends the command: it has seen what it
    wanted to."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise the interpreter complains at its exit, when it flushes its buffer.
        stdio.become_null([sys.stdout.fileno()])
        raise click.exceptions.Exit(0) from None


def compact(value: Any) -> str:
    """JSON on one line, with letters of all languages."""
    return printable(json.dumps(value, ensure_ascii=False))


def counted(number: int, noun: str) -> str:
    """`1 job`, `2,500 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def pairs(rows: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """Lines of names and values, the values aligned."""
    cells = [(name, _cell(value)) for name, value in rows]
    width = max((len(name) for name, _ in cells), default=0)
    for name, text in cells:
        yield f"{name:<{width}}  {text}".rstrip()


def _print_array(rows: Iterable[dict[str, Any]]) -> None:
    remaining = iter(rows)
    separator = "["
    while chunk := list(islice(remaining, _CHUNK)):
        _send(separator + "\n" + ",\n".join(map(json.dumps, chunk)))
        separator = ","
    _send("[]\n" if separator == "[" else "\n]\n")


def _print_table(rows: Iterable[Any], columns: Sequence[Column], empty: str) -> None:
    remaining = iter(rows)
    titles: list[str] | None = [column.title for column in columns]
    while chunk := list(islice(remaining, _CHUNK)):
        write(table(titles, [[column.cell(row) for column in columns] for row in chunk]))
        titles = None
    if titles is not None:
        write([empty])


def table(titles: list[str] | None, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The lines of a table. On a terminal the last column is cut to what is left of the line."""
    texts = [[_cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[index]) for row in rows) for index in range(len(rows[0]))]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if titles is not None:
        texts.insert(0, titles)
    if room is not None:
        texts = [[*(_cut(cell, _WIDEST_CELL) for cell in row[:-1]), row[-1]] for row in texts]
    widths = [max(_width(row[index]) for row in texts) for index in range(len(texts[0]))]
    before_last = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    for row in texts:
        if room is not None:
            row[-1] = _cut(row[-1], max(room - before_last, 10))
        yield _GAP.join(map(_pad, row, widths, numeric)).rstrip()


def _cell(value: Any) -> str:
    if _is_number(value):
        return f"{value:,}"
    text = "-" if value is None or value == "" else str(value)
    return printable(" ".join(text.split("\n")) if "\n" in text else text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _width(text: str) -> int:
    """Columns on a terminal: letters of East Asia take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cut(text: str, room: int) -> str:
    if _width(text) <= room:
        return text
    kept, used = 0, 1  # the ellipsis
    for char in text:
        used += _char_width(char)
        if used > room:
            break
        kept += 1
    return text[:kept] + "…"


def _pad(text: str, width: int, to_the_right: bool) -> str:
    padding = " " * (width - _width(text))
    return padding + text if to_the_right else text + padding
