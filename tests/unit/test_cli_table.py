"""Tables that fit a terminal."""

from __future__ import annotations

from operator import itemgetter

import pytest

from gresque.cli.table import Column, Table, cut, cut_middle, width, wrap

ID = "0" * 31 + "7"
LONG = Column("ARGUMENTS", itemgetter(2))
COLUMNS = [
    Column("PROCESS", itemgetter(0), lambda row: "vm:11"),
    Column("ID", itemgetter(1), lambda row: row[1][-8:], whole=True),
    LONG,
    Column("SLOT", itemgetter(3), rank=2),
    Column("HELD", itemgetter(4), rank=1),
    Column("BLOCKS", lambda row: None),
]
ROW = ("vm:10:mail:1:100:1:11:1795485960660", ID, "[" + "1, " * 50 + "2]", "3", 1_234)


def lines(room: int | None, *rows: tuple[object, ...]) -> list[str]:
    return list(Table(COLUMNS, room).lines(rows or [ROW]))


def test_a_pipe_gets_all_of_it() -> None:
    titles, row = lines(None)
    assert titles.split() == ["PROCESS", "ID", "ARGUMENTS", "SLOT", "HELD", "BLOCKS"]
    assert [*map(str.strip, filter(None, row.split("  ")))] == [*ROW[:3], "3", "1,234", "-"]


@pytest.mark.parametrize(
    ("room", "titles", "shown"),
    [
        (160, ["PROCESS", "ID", "ARGUMENTS", "SLOT", "HELD", "BLOCKS"], [ROW[0], ID]),
        (80, ["PROCESS", "ID", "ARGUMENTS", "SLOT", "HELD", "BLOCKS"], ["vm:11", ID[-8:]]),
        (52, ["PROCESS", "ID", "ARGUMENTS", "SLOT", "HELD"], ["vm:11", ID[-8:]]),
        (46, ["PROCESS", "ID", "ARGUMENTS", "HELD"], ["vm:11", ID[-8:]]),
        (40, ["PROCESS", "ID", "ARGUMENTS"], ["vm:11", ID[-8:]]),
    ],
)
def test_what_gives_way_on_a_narrow_terminal(
    room: int, titles: list[str], shown: list[str]
) -> None:
    header, row = lines(room)
    assert header.split() == titles
    assert row.split()[:2] == shown
    assert width(row) <= room
    assert "…" in row


@pytest.mark.parametrize("room", range(1, 40))
def test_a_row_is_one_line_however_narrow_it_is(room: int) -> None:
    assert all(width(line) <= room for line in lines(room))


def test_the_longest_column_is_cut_first() -> None:
    columns = [Column("A", itemgetter(0)), Column("B", itemgetter(1)), Column("C", itemgetter(2))]
    (_, row) = Table(columns, 30).lines([("a" * 20, "b" * 9, "c" * 20)])
    assert row == f"{'a' * 7}…  {'b' * 9}  {'c' * 8}…"


def test_letters_that_take_two_columns_or_none() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert width("☎\ufe0f") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    (_, row) = Table([Column("A", itemgetter(0)), Column("N", itemgetter(1))], 10).lines(
        [("日本語日本", 5)]
    )
    assert row == "日本語…  5"


def test_titles_that_are_longer_than_what_is_below() -> None:
    columns = [Column("A LONG TITLE", itemgetter(0)), Column("N", itemgetter(1), whole=True)]
    assert list(Table(columns, 10).lines([("a", "1234")])) == ["A L…  N", "a     1234"]


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (99, "web-6f7d8c9b5-x2x4z.3fa0:4712"),
        (20, "web-6f…x4z.3fa0:4712"),
        (9, "we…0:4712"),
        (3, "…12"),
        (2, "…2"),
        (1, "…"),
    ],
)
def test_what_is_cut_in_the_middle(room: int, shown: str) -> None:
    text = "web-6f7d8c9b5-x2x4z.3fa0:4712"
    kept = cut_middle(text, room)
    assert width(kept) <= room
    assert kept == shown
    (_, row) = Table([Column("P", itemgetter(0), keeps_end=True)], room).lines([(text,)])
    assert row == shown


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three four five six", ["one two three four", "  five six"]),
        ("a  b\nc", ["a b c"]),
        ("語語語 語語語 " + "語" * 13, ["語語語 語語語 語語語", "  " + "語" * 9, "  語"]),
        ("x" * 45, ["x" * 20, "  " + "x" * 18, "  " + "x" * 7]),
        ("ab " + "語" * 12, ["ab 語語語語語語語語", "  語語語語"]),
        ("b" * 19 + " " + "語" * 12, ["b" * 19, "  " + "語" * 9, "  語語語"]),
        ("b" * 20 + " " + "c" * 18, ["b" * 20, "  " + "c" * 18]),
    ],
)  # fmt: skip
def test_wrapped_by_columns(text: str, lines: list[str]) -> None:
    assert wrap(text, 20) == lines
    assert max(map(width, lines)) <= 20
