"""What commands print."""

from __future__ import annotations

import io
import sys
from operator import itemgetter

import pytest

from gresque.cli import output
from gresque.cli.output import Column, Output, compact, table
from gresque.text import printable


class TestOutput:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain héllo 日本 😀", "plain héllo 日本 😀"),
            ("\x1b[31m", r"\x1b[31m"),
            ("a\r\n\tb", r"a\r\n\tb"),
            ("\x9b1m\x7f", r"\x9b1m\x7f"),
            ("\u202e", r"\u202e"),
            ("\udcff", r"\xff"),
            ("\ud800", r"\ud800"),
        ],
    )
    def test_printable(self, text: str, shown: str) -> None:
        assert printable(text) == shown

    def test_compact(self) -> None:
        assert compact({"é": "\x1b\x9b"}) == r'{"é": "\u001b\x9b"}'

    def test_table(self) -> None:
        assert list(table([["日本", 1_234, None], ["e\u0301", 5, "x\ny"]])) == [
            "日本  1,234  -",
            "e\u0301         5  x y",
        ]
        assert list(table([])) == []


class Screen(io.StringIO):
    """A stdout that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


COLUMNS = [Column("NAME", itemgetter(0)), Column("TEXT", itemgetter(1))]
ROWS = [("a", "x" * 100), ("b", "short")]


def listed(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, **env: str) -> list[str]:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "40", **env}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", screen)
    colour = {"b": "red"}
    Output(False).listing(ROWS, dict, COLUMNS, "none", colour=lambda row: colour.get(row[0]))
    return screen.getvalue().splitlines()


class TestTerminal:
    def test_a_listing_fits_and_has_colours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert listed(monkeypatch, Screen()) == [
            "NAME  TEXT",
            f"a     {'x' * 33}…",
            "\x1b[31mb     short\x1b[0m",
        ]

    @pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
    def test_no_colours(self, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
        assert listed(monkeypatch, Screen(), **env)[2] == "b     short"

    def test_a_pipe_gets_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = listed(monkeypatch, io.StringIO())
        assert lines == ["NAME  TEXT", f"a     {'x' * 100}", "b     short"]

    def test_a_terminal_without_an_ellipsis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen = Screen()
        monkeypatch.setattr(Screen, "encoding", "ascii")
        assert listed(monkeypatch, screen)[1] == f"a     {'x' * 33}~"

    def test_the_second_portion_has_the_columns_of_the_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(output, "_CHUNK", 1)
        lines = listed(monkeypatch, Screen(), NO_COLOR="1")
        assert lines == ["NAME  TEXT", f"a     {'x' * 33}…", "b     short"]
