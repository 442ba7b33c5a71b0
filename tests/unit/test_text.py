"""What a text may be, and how it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.text import encodable, from_os, is_utf8, printable, shell, to_os


@given(st.text(st.characters()))
def test_what_is_printable_is_one_harmless_line(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert is_utf8(printable(text))


@given(st.text(st.characters()), st.sampled_from(["ascii", "latin-1", "utf-8", None]))
def test_any_stream_can_carry_it(text: str, encoding: str | None) -> None:
    encodable(text, encoding).encode(encoding or "utf-8")


def test_bytes_that_the_locale_cannot_read() -> None:
    raw = "ü☃".encode()
    assert from_os(raw.decode("ascii", "surrogateescape")) == "ü☃"
    assert from_os("\udcff") == "\udcff", "that is no UTF-8 either"
    assert from_os("\ud800") == "\ud800"
    assert from_os("ü") == "ü"


def test_paths_go_back_to_what_the_locale_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert to_os("ü") == "ü"
    monkeypatch.setattr("os.fsencode", lambda path: path.encode("ascii", "surrogateescape"))
    monkeypatch.setattr("os.fsdecode", lambda raw: raw.decode("ascii", "surrogateescape"))
    escaped = "ü".encode().decode("ascii", "surrogateescape")
    assert to_os("ü") == to_os(escaped) == escaped


def test_a_command_is_one_for_a_shell_whatever_its_words_are() -> None:
    assert shell("gresque", "failed", "show", "0a1b") == "gresque failed show 0a1b"
    assert shell("gresque", "failed", "show", "; rm -rf *\n") == (
        "gresque failed show '; rm -rf *\\n'"
    )
