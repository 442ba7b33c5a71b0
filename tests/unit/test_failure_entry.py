"""Failure entries: what Ruby reads, with the queue item to the letter."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.failure.entry import MAX_ERROR_CHARS, decode_entry, encode_entry
from gresque.failure.failed_list import read_entry
from gresque.failure.kept_item import in_entry, out_of_entry
from gresque.failure.retry import prepare_retry
from gresque.failure.well_formed import well_formed
from gresque.jobs.payload import MAX_PAYLOAD_BYTES
from tests.support.failed_jobs import odd_entries

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
    b'{"class":"A","args":null,"id":5}',
    b'{"class":"A","args":[1],"kwargs":{"a":1}}',
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
    b'{"class":"A","args":{"a":1}}',
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
        (b'{"class":"A","args":["%b\xff"]}' % LARGE, False),
        (b'{"class":"A","args":["%b"' % LARGE, False),
    ],
    ids=range(6),
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
    "raw",
    [
        b"", b"{}", b"[]", b"null", b"x", b'{"payload":{}}', b"\xff", b"5",
        b'{"payload":"x","exception":"E","queue":"q"}', b'{"exception":"E","queue":"q"}',
    ],
)  # fmt: skip
def test_what_is_no_entry(raw: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode_entry(raw)


def test_unknown_fields_and_no_backtrace_are_read() -> None:
    told = dict.fromkeys(FIELDS, "x") | {"backtrace": None, "more": [1], "payload": {"class": "A"}}
    entry = decode_entry(json.dumps(told).encode())
    assert (entry.backtrace, entry.payload) == (None, {"class": "A"})


ODD_ENTRIES = odd_entries()


@pytest.mark.parametrize("raw", ODD_ENTRIES, ids=range(len(ODD_ENTRIES)))
def test_entries_of_other_languages_are_entries(raw: bytes) -> None:
    """They lack fields, or have null or a number where Ruby writes a text. Retrying one leaves its
    other fields as they are."""
    job = read_entry(0, raw)
    assert job.entry is not None
    assert (job.item["class"], job.entry.queue) == ("Odd", "py")
    if b"failed_at" in raw:
        assert job.shown_time == "2026/11/23 15:33:14 UTC"
    assert all(isinstance(line, str) for line in job.entry.backtrace or [])
    assert job.entry.error in ("no", "", '{"code":5}', "cut \ufffd")
    retry = prepare_retry(raw, "2026/11/24 00:00:00")
    readable = json.loads(well_formed(raw))
    assert (retry.queue, json.loads(retry.item)) == ("py", readable["payload"])
    marked = json.loads(retry.marked)
    assert marked == readable | {"retried_at": "2026/11/24 00:00:00"}
    assert read_entry(0, retry.marked).retried
