"""Names in addresses, values in pages, charts, and the files that go with the pages."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

import gresque.web
from gresque.store.store import Store
from gresque.web import charts, static_files
from gresque.web.names import from_path, to_path
from gresque.web.values import stressed, value

WEB = Path(gresque.web.__file__).parent
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))


@given(st.binary())
def test_a_name_is_one_segment_of_a_path(raw: bytes) -> None:
    name = raw.decode("utf-8", "surrogateescape")
    segment = unquote(to_path(name))
    assert segment
    assert "/" not in segment
    assert segment not in (".", "..")
    assert from_path(segment) == name


def test_values_are_cut_and_harmless() -> None:
    assert value("a\u202eb\x00\n") == "a\\u202eb\\x00\\n"
    assert value("x" * 8_000_000) == "x" * 199 + "…"
    assert value(None) == "None"
    assert value("\udcff") == "\\xff"


def test_charts_escape_their_texts() -> None:
    hostile = "\"'><script>"
    drawn = (
        charts.spark([1, 2], hostile)
        + charts.cells([(0.5, "")], hostile)
        + charts.lines([([1, 2], ""), ([0, 3], "f")], hostile, ticks=[charts.Tick(0, hostile)])
        + charts.throughput([1, 2], [0, 1], hostile, marks=[charts.Mark(0.5, hostile)])
    )
    assert "<script" not in drawn
    assert drawn.count("&lt;script&gt;") == 7


@pytest.mark.parametrize(("most", "top"), [(0, 1), (1, 1), (7, 8), (850, 1000), (0.3, 0.3)])
def test_the_top_of_a_scale(most: float, top: float) -> None:
    assert charts.top_of([most]) == pytest.approx(top)


@pytest.mark.parametrize(
    ("most", "marks"),
    [
        (38, ["10", "20", "30", "40"]),
        (700, ["200", "400", "600", "800"]),
        (1.1, ["0.4", "0.8", "1.2"]),
    ],
)
def test_the_lines_of_a_scale_stand_at_round_numbers(most: float, marks: list[str]) -> None:
    drawn = charts.throughput([0, most], [0, 0], "")
    assert re.findall(r'text-anchor="end">([^<]+)<', drawn)[: len(marks)] == marks


@pytest.mark.parametrize(
    ("most", "marks"),
    [(0.3, ["0.15 s", "0.3 s"]), (90, ["60 s", "2 min"]), (5_000, ["60 min", "2 h"])],
)
def test_a_scale_of_times_has_texts_that_fit(most: float, marks: list[str]) -> None:
    drawn = charts.lines([([0, most], "")], "", seconds=True)
    assert re.findall(r'text-anchor="end">([^<]+)<', drawn) == marks


def test_a_sentence_has_its_subject_and_times_in_bold() -> None:
    shown = stressed(
        "<b>: the oldest of 9 has waited for 6 min 12 s; 38 a second more come.", "<b>"
    )
    assert shown == (
        "<b>&lt;b&gt;</b>: the oldest of 9 has waited for <b>6 min 12 s</b>; 38 a second more come."
    )


def test_the_script_is_small_and_ours() -> None:
    assert len((WEB / "static" / "gresque.js").read_bytes()) <= 15_000
    assert {path.name for path in (WEB / "static").iterdir()} == {"gresque.css", "gresque.js"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_no_inline_style_or_script(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe\b", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_the_script_asks_for_what_is_new(browser: FlaskClient, store: Store) -> None:
    store.enqueuer.push("mail\u202e<b>", [b"{}"])
    page = browser.get("/queues")
    assert "<html" in page.text
    assert "mail\\u202e&lt;b&gt;" in page.text
    for _ in range(50):  # there may be a new snapshot between the two
        number = re.findall(r'data-number="(\w+)"', browser.get("/queues").text)[0]
        if browser.get(f"/queues?live={number}").status_code == 204:
            break
    else:
        raise AssertionError("never the same")
    part = browser.get("/queues?live=-")
    assert "<html" not in part.text
    assert re.findall(r'data-part="(\w+)"', part.text) == ["tabs", "notices", "live"]


def test_compressed_where_the_browser_takes_it(browser: FlaskClient) -> None:
    plain = browser.get("/queues")
    small = browser.get("/queues", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.data) < len(plain.data)


def test_files_are_kept_by_browsers(browser: FlaskClient) -> None:
    page = browser.get("/queues").text
    (address,) = re.findall(r'href="(/static/gresque.css[^"]*)"', page)
    answer = browser.get(address)
    assert "immutable" in answer.headers["Cache-Control"]
    again = browser.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert browser.get("/static/../app.py").status_code == 404


def test_fonts_that_are_not_installed_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict.fromkeys(("plex-sans.ttf", "plex-mono-400.ttf"), ("gresque", "x"))
    monkeypatch.setattr(static_files, "FONTS", known | {"plex-mono-500.ttf": ("no_such_font", "x")})
    file = WEB / "static" / "gresque.js"
    monkeypatch.setattr(static_files, "_font", lambda name: file if name in known else None)
    monkeypatch.setitem(static_files.TYPES, ".js", "font/ttf")
    monkeypatch.setattr(static_files, "find", cache(static_files.find.__wrapped__))
    style = static_files.find("gresque.css")
    assert style is not None
    asked = re.findall(rb"url\((plex[^)]+)\)", style.content)
    assert asked == [b"plex-sans.ttf", b"plex-mono-400.ttf"]
