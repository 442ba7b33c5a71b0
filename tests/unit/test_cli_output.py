"""What commands print."""

from __future__ import annotations

import pytest

from gresque.cli.output import compact, table
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
        rows = [["日本", 1_234, None], ["e\u0301", 5, "x\ny"]]
        assert list(table(["A", "N", "B"], rows)) == [
            "A         N  B",
            "日本  1,234  -",
            "e\u0301         5  x y",
        ]
