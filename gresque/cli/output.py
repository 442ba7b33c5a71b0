"""The output of commands: aligned plain text for people, JSON for programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import click

import gresque.stdio as stdio
from gresque.cli.table import ELLIPSIS, Table, shown
from gresque.cli.table import Column as Column
from gresque.text import counted as counted
from gresque.text import encodable, printable

Row = TypeVar("Row")

_CHUNK = 1000
"""Rows that are aligned together; a listing of any length is printed in constant memory."""

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
        colour: Callable[[Row], str | None] | None = None,
    ) -> None:
        """Print rows as they come; `empty` is said, in text, when there are none. `colour` is that
        of a row's line on a terminal."""
        if self.as_json:
            _print_array(as_dict(row) for row in rows)
        else:
            _print_table(rows, columns, empty, colour)

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


def arguments(item: dict[str, Any]) -> str:
    """The arguments of a job, as `payload.loads` reads it; the whole item where it is no job."""
    if "raw" in item and "class" not in item:
        return str(item["raw"])
    shown = compact(item.get("args") or [])
    kwargs = item.get("kwargs")
    return f"{shown} {compact(kwargs)}" if kwargs else shown


def pairs(rows: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """Lines of names and values, the values aligned."""
    cells = [(name, shown(value)) for name, value in rows]
    width = max((len(name) for name, _ in cells), default=0)
    for name, text in cells:
        yield f"{name:<{width}}  {text}".rstrip()


def _print_table(
    rows: Iterable[Any],
    columns: Sequence[Column],
    empty: str,
    colour: Callable[[Any], str | None] | None,
) -> None:
    remaining, begun = iter(rows), False
    found = Table(columns, terminal_width(), ellipsis_for(sys.stdout.encoding))
    while chunk := list(islice(remaining, _CHUNK)):
        lines = list(found.lines(chunk))
        titles = [] if begun else [lines.pop(0)]
        if colour is not None and shows_colour():
            lines = [coloured(line, colour(row)) for line, row in zip(lines, chunk, strict=True)]
        write([*titles, *lines])
        begun = True
    if not begun:
        write([empty])


def _print_array(rows: Iterable[dict[str, Any]]) -> None:
    remaining = iter(rows)
    separator = "["
    while chunk := list(islice(remaining, _CHUNK)):
        _send(separator + "\n" + ",\n".join(map(json.dumps, chunk)))
        separator = ","
    _send("[]\n" if separator == "[" else "\n]\n")


def table(rows: Sequence[Sequence[Any]], indent: int = 0) -> Iterator[str]:
    """Rows of values as aligned lines without titles, in a terminal's width less `indent`."""
    columns = [Column("", itemgetter(index)) for index in range(len(rows[0]) if rows else 0)]
    width = terminal_width()
    room = None if width is None else max(width - indent, 1)
    return Table(columns, room, ellipsis_for(sys.stdout.encoding)).lines(rows)


def terminal_width() -> int | None:
    """Of stdout; None where it is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def ellipsis_for(encoding: str | None) -> str:
    """One that this encoding has."""
    return ELLIPSIS if encodable(ELLIPSIS, encoding) == ELLIPSIS else "~"


def shows_colour() -> bool:
    """Whether stdout is a terminal with colours, and the user wants them (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and sys.stdout.isatty()


def coloured(line: str, colour: str | None) -> str:
    return click.style(line, fg=colour) if colour and shows_colour() else line
