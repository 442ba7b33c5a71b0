"""JSON of JavaScript programs, whose texts may be cut within a character."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.failure.well_formed import well_formed

PAIR = rb"\ud83d\ude00"


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"a\uDC00b"', "a\ufffdb"),
        (b'"%b"' % PAIR, "😀"),
        (rb'"\ud83d\ud83d\ude00\ude00"', "\ufffd😀\ufffd"),
        (rb'"\\ud800"', "\\ud800"),  # a backslash, and no escape
        (rb'"\\\ud800"', "\\\ufffd"),
        (rb'"\n\u0041\ud7ff\ue000"', "\nA\ud7ff\ue000"),
    ],
    ids=range(7),
)
def test_half_a_character_is_replaced(raw: bytes, read: str) -> None:
    assert json.loads(well_formed(raw)) == read


@given(st.text(st.characters(codec="utf-8")))
def test_whole_texts_stay(text: str) -> None:
    raw = json.dumps(text).encode()
    assert well_formed(raw) == raw


@given(st.text(st.characters()))
def test_any_text_of_javascript_can_be_read(text: str) -> None:
    read = json.loads(well_formed(json.dumps(text).encode()))
    assert read == text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
