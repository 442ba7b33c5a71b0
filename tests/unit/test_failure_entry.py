"""Failure entries: what Ruby reads, with the queue item to the letter."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.errors import DirtyExit, GresqueError, JobKilled
from gresque.failure import entry as failure
from gresque.failure.entry import (
    MAX_ERROR_CHARS,
    MAX_FRAMES,
    backtrace,
    decode_entry,
    encode_entry,
    error_text,
    exception_name,
)
from gresque.jobs.payload import MAX_PAYLOAD_BYTES, in_entry, out_of_entry

WIRE = Path(__file__).parents[1] / "wire"
FIELDS = ["failed_at", "payload", "exception", "error", "backtrace", "worker", "queue"]
CAPTURED = [
    line
    for path in sorted(WIRE.glob("*failed_entr*"))
    for line in path.read_bytes().splitlines()
    if line
]


def encode(raw: bytes, error: str = "boom", trace: list[str] | None = None) -> bytes:
    return encode_entry(raw, "ValueError", error, trace or [], "vm:1:q:1:1:1", "q")


# The entry


@pytest.mark.parametrize("raw", CAPTURED, ids=range(len(CAPTURED)))
def test_captured_entries_decode(raw: bytes) -> None:
    told = json.loads(raw)
    entry = decode_entry(raw)
    for name in [*FIELDS, "retried_at"]:
        assert getattr(entry, name) == told.get(name)
    assert json.loads(entry.item()) == told["payload"]


def test_an_entry_has_resques_fields_in_resques_order() -> None:
    captured = json.loads((WIRE / "fork_failed_entry.json").read_bytes())
    written = json.loads(encode(b'{"class":"Boom"}', "x", ["a.py:1:in `f'"]))
    assert list(written) == list(captured) == FIELDS
    assert {name: type(value) for name, value in written.items()} == {
        name: type(value) for name, value in captured.items()
    }
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d UTC", written["failed_at"])


JOBS = [
    b'{"class":"A","args":[]}',
    b' {  "args" : [ 1.0e+20 , 1.50 ] ,\n "class":"A" } ',
    b'{"class":"A","args":[12345678901234567890123]}',
    b'{"class":"A","class":"B"}',
    b'{"class":"A","args":["\\u00e9\\/\\ud83d\\ude00"]}',
    '{"class":"é😀"}'.encode(),
    b'{"class":"A","args":null,"kwargs":null,"id":5}',
]


@pytest.mark.parametrize("raw", JOBS, ids=range(len(JOBS)))
def test_jobs_are_kept_to_the_letter(raw: bytes) -> None:
    written = encode(raw)
    assert b'"payload":' + raw + b',"exception"' in written
    assert json.loads(written)["payload"] == json.loads(raw)
    assert json.loads(decode_entry(written).item()) == json.loads(raw)


OTHERS = [
    b"", b" ", b"null", b"[]", b"[1,2]", b"5", b'"text"', b"true", b"{", b"not json", b"{}{}",
    b'{"class":"A"}\0', b"\0", b'"quoted" \\ back\n', "é😀".encode(), b"[" * 100_000,
    b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"class":"\\ud800"}', b'{"args":[NaN]}',
    b"{}", b'{"args":[1]}', b'{"class":5}', b'{"class":null,"args":[]}', b'{"class":"A","args":5}',
    b'{"class":"A","args":{"a":1}}', b'{"class":"A","kwargs":[1]}',
]  # fmt: skip
BYTES = [b"\xff", b"\x80\x04\x95pickle", b'{"class":"\xff"}', b'{"\xff":1}', b"\xed\xa0\x80"]


@pytest.mark.parametrize("raw", OTHERS, ids=range(len(OTHERS)))
def test_text_that_is_no_job_stands_under_a_class_of_its_own(raw: bytes) -> None:
    written = json.loads(encode(raw))
    assert written["payload"] == {"class": "gresque.InvalidPayload", "args": [raw.decode()]}
    assert list(written) == FIELDS
    assert decode_entry(encode(raw)).item() == raw


@pytest.mark.parametrize("raw", BYTES, ids=range(len(BYTES)))
def test_other_bytes_stand_there_in_base64(raw: bytes) -> None:
    written = json.loads(encode(raw))
    assert written["payload"] == {
        "class": "gresque.InvalidPayload",
        "args": [base64.b64encode(raw).decode(), "base64"],
    }
    assert decode_entry(encode(raw)).item() == raw


LARGE = b"x" * MAX_PAYLOAD_BYTES


@pytest.mark.parametrize(
    ("raw", "is_job"),
    [
        (b'{"class":"A","args":["%b"]}' % LARGE, True),
        (b'{"class":"A","args":null,"x":"%b"}' % LARGE, True),
        (b'{"class":5,"x":"%b"}' % LARGE, False),
        (b'{"class":"A","args":{"x":"%b"}}' % LARGE, False),
        (b'{"class":"A","kwargs":["%b"]}' % LARGE, False),
        (b'{"class":"A","args":["%b\xff"]}' % LARGE, False),
        (b'{"class":"A","args":["%b"' % LARGE, False),
    ],
    ids=range(7),
)
def test_large_items_are_told_apart_like_small_ones(raw: bytes, is_job: bool) -> None:
    assert (in_entry(raw) == raw) is is_job
    assert out_of_entry(in_entry(raw)) == (None if is_job else raw)


@pytest.mark.parametrize("unit", [b"x", b"\xff", '"é'.encode()])
def test_ten_megabytes(unit: bytes) -> None:
    raw = unit * (10_000_000 // len(unit))
    assert decode_entry(encode(raw)).item() == raw
    item = b'{"class":"A","args":["' + b"x" * 10_000_000 + b'"]}'
    assert b'"payload":' + item in encode(item)


@given(st.binary())
def test_no_item_is_lost(raw: bytes) -> None:
    entry = decode_entry(encode(raw))
    assert json.loads(encode(raw))["queue"] == "q"
    assert entry.item() == raw


@given(st.text(st.characters()), st.lists(st.text(st.characters()), max_size=3))
def test_any_text_can_be_written(text: str, trace: list[str]) -> None:
    raw = encode_entry(b"{}", "E", text, trace, text, text)
    entry = decode_entry(raw)
    assert len(entry.backtrace or []) == len(trace)
    if text.isascii():
        assert (entry.error, entry.worker, entry.queue) == (text, text, text)


def test_lone_surrogates_become_escapes() -> None:
    entry = decode_entry(encode(b"{}", "a\ud800b", ["f\udcff.py:1:in `g'"]))
    assert entry.error == "a\\ud800b"
    assert entry.backtrace == ["f\\udcff.py:1:in `g'"]


def test_long_messages_are_cut() -> None:
    assert decode_entry(encode(b"{}", "é" * 1_000_000)).error == "é" * MAX_ERROR_CHARS


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"null", b"x", b'{"payload":{}}', b"\xff", b"5"]
)
def test_what_is_no_entry(raw: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode_entry(raw)


def test_unknown_fields_and_no_backtrace_are_read() -> None:
    told = dict.fromkeys(FIELDS, "x") | {"backtrace": None, "more": [1], "payload": {"class": "A"}}
    entry = decode_entry(json.dumps(told).encode())
    assert (entry.backtrace, entry.payload) == (None, {"class": "A"})


# Exceptions


class OwnError(Exception):
    class Inner(Exception): ...


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError(), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (DirtyExit(), "DirtyExit"),
        (GresqueError(), "GresqueError"),
        (JobKilled(), "JobKilled"),
        (OwnError(), f"{__name__}.OwnError"),
        (OwnError.Inner(), f"{__name__}.OwnError.Inner"),
        (json.JSONDecodeError("m", "d", 0), "json.decoder.JSONDecodeError"),
    ],
    ids=repr,
)
def test_exception_names(error: BaseException, name: str) -> None:
    assert exception_name(error) == name


def broken(kind: type[BaseException]) -> Exception:
    def __str__(self: Any) -> str:
        raise kind("no")

    return type("Broken", (Exception,), {"__str__": __str__})()


class NotText(Exception):
    def __str__(self) -> Any:
        return 5


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("boom"), "boom"),
        (ValueError(), ""),
        (ValueError("a", 1), "('a', 1)"),
        (KeyError("k"), "'k'"),
        (broken(RuntimeError), "<no message: RuntimeError in __str__>"),
        (broken(RecursionError), "<no message: RecursionError in __str__>"),
        (NotText(), "<no message: TypeError in __str__>"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_texts(error: Exception, text: str | None) -> None:
    assert error_text(error) == (str(error) if text is None else text)


# Backtraces


def caught(function: Any) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def inner() -> None:
    raise ValueError("inner")


def outer() -> None:
    inner()


def chained() -> None:
    try:
        inner()
    except ValueError as error:
        raise RuntimeError("outer") from error


def in_passing() -> None:
    try:
        inner()
    except ValueError:
        raise RuntimeError("outer")  # noqa: B904


def from_none() -> None:
    try:
        inner()
    except ValueError:
        raise RuntimeError("outer") from None


def names(lines: list[str]) -> list[str]:
    return [line.rpartition("in `")[2].removesuffix("'") for line in lines]


def test_the_innermost_frame_comes_first() -> None:
    lines = backtrace(caught(outer))
    assert names(lines) == ["inner", "outer", "caught"]
    line = inner.__code__.co_firstlineno + 1
    assert lines[0] == f"{__file__}:{line}:in `inner'"
    assert all(re.fullmatch(r".+:\d+:in `[^']+'", text) for text in lines), "Ruby's form"


@pytest.mark.parametrize("function", [chained, in_passing])
def test_causes_follow_with_their_frames(function: Any) -> None:
    lines = backtrace(caught(function))
    assert names(lines)[:2] == [function.__name__, "caught"]
    assert lines[2] == "caused by ValueError: inner"
    assert names(lines)[3:] == ["inner", function.__name__]


def test_from_none_hides_the_cause() -> None:
    assert names(backtrace(caught(from_none))) == ["from_none", "caught"]


def test_three_causes() -> None:
    def top() -> None:
        try:
            chained()
        except RuntimeError as error:
            raise LookupError("top") from error

    lines = [line for line in backtrace(caught(top)) if line.startswith("caused by")]
    assert lines == ["caused by RuntimeError: outer", "caused by ValueError: inner"]


def test_a_ring_of_causes_ends() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert backtrace(first) == ["caused by ValueError: 2"]


def test_an_error_never_raised_has_no_frames() -> None:
    assert backtrace(ValueError()) == []


def test_a_cause_without_a_message_and_a_long_one() -> None:
    error = ValueError()
    error.__cause__ = broken(RuntimeError)
    assert backtrace(error)[0].endswith("<no message: RuntimeError in __str__>")
    error.__cause__ = ValueError("x" * 1_000_000)
    assert len(backtrace(error)[0]) < 1100


def test_a_recursion_is_cut_and_keeps_what_is_innermost() -> None:
    def down(depth: int) -> None:
        if depth == 0:
            inner()
        down(depth - 1)

    lines = backtrace(caught(lambda: down(sys.getrecursionlimit() // 2)))
    assert len(lines) == MAX_FRAMES
    assert names(lines)[:2] == ["inner", "down"]
    assert len(backtrace(caught(lambda: down(10**9)))) == MAX_FRAMES


def test_a_long_chain_is_cut() -> None:
    error = last = ValueError("0")
    for number in range(1000):
        last.__cause__ = ValueError(str(number))
        last = last.__cause__
    assert len(backtrace(error)) == MAX_FRAMES


def test_frames_that_carry_the_job_are_left_out() -> None:
    frames = {"__name__": "gresque.worker.thread"}
    exec("def carry(function):\n    function()", frames)
    lines = backtrace(caught(lambda: frames["carry"](inner)))  # type: ignore[operator]
    assert "carry" not in names(lines)
    assert names(lines)[0] == "inner"


def test_code_without_a_module() -> None:
    namespace: dict[str, Any] = {}
    exec("def bare():\n    raise ValueError", namespace)
    del namespace["__builtins__"]
    assert names(backtrace(caught(namespace["bare"])))[0] == "bare"


def test_timestamps_are_utc() -> None:
    assert failure.timestamp(0) == "1970/01/01 00:00:00"
    assert failure.timestamp(1764000000.99) == "2025/11/24 16:00:00"
