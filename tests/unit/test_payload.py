"""Payloads: Resque's format, byte for byte, and nothing that JSON would change on its way."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.errors import (
    EnqueueError,
    InvalidPayload,
    PayloadTooLarge,
    UnserializableArgument,
)
from gresque.failure.kept_item import is_job
from gresque.jobs import payload
from gresque.jobs.payload import (
    MAX_DEPTH,
    MAX_PAYLOAD_BYTES,
    decode,
    encode,
    lone_surrogate,
    split,
)
from tests.support.payloads import FORK, ID, STOCK, nested

# Wire


@pytest.mark.parametrize("raw", [*FORK, *STOCK], ids=lambda raw: raw[:40].decode())
def test_captured_items_decode(raw: bytes) -> None:
    told = json.loads(raw)
    job = decode(raw)
    assert (job.name, job.args) == (told["class"], told["args"])
    assert (job.id, job.generation) == (told.get("id"), told.get("generation"))
    assert split(job.args)[1] == {}


@pytest.mark.parametrize("raw", FORK, ids=lambda raw: raw[:50].decode())
def test_the_forks_items_encode_to_the_same_bytes(raw: bytes) -> None:
    job = decode(raw)
    again = encode(job.name, job.args or [], None, job.id, job.generation)
    if b"1.0e+20" in raw:  # the one number that Ruby and msgspec write differently
        raw = raw.replace(b"1.0e+20", b"1e20")
    assert again == raw


def test_the_fields_stand_in_the_forks_order_with_keywords_last_in_args() -> None:
    assert encode("Noop", (1, "two", {"three": 3}), {"b": 1, "a": None}, ID, 3) == (
        b'{"class":"Noop","args":[1,"two",{"three":3},{"b":1,"a":null,"_kwargs":true}],"id":"'
        + ID.encode()
        + b'","generation":3}'
    )


@pytest.mark.parametrize("kwargs", [None, {}])
def test_kwargs_are_written_only_when_there_are_any(kwargs: Any) -> None:
    assert b"kwargs" not in encode("Noop", (), kwargs, ID)


# Round trip

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=10
)


SURROGATES = [
    (rb'{"class":"A","args":["\ud800"]}', r"\ud800"),
    (rb'{"class":"A","args":["\uDC00x"]}', r"\uDC00"),
    (rb'{"class":"A","args":["\ud83d\u0041"]}', r"\ud83d"),
    (rb'{"class":"A","args":["\ud83dx\ude00"]}', r"\ud83d"),
    (rb'{"class":"A","args":["\ud83d\ud83d\ude00"]}', r"\ud83d"),
    (rb'{"\udfff":1,"class":"A"}', r"\udfff"),
    (rb'{"class":"A","args":["\\ud800","\ud83d\ude00","\\\ud801"]}', r"\ud801"),
]


@pytest.mark.parametrize(("raw", "told"), SURROGATES, ids=[told for _, told in SURROGATES])
def test_a_lone_surrogate_is_named(raw: bytes, told: str) -> None:
    with pytest.raises(InvalidPayload, match="it has a lone surrogate") as caught:
        decode(raw)
    assert f" {told}," in str(caught.value)


@pytest.mark.parametrize("raw", [rb'["\\ud800"', rb'["\ud83d\ude00"', rb'["\n\u0041"', b"", b"\\"])
def test_no_lone_surrogate(raw: bytes) -> None:
    assert lone_surrogate(raw) == ""


@given(st.lists(values), st.dictionaries(keys, values))
def test_what_is_encoded_decodes_to_the_same(args: list[Any], kwargs: dict[str, Any]) -> None:
    raw = encode("Noop", args, kwargs, ID)
    job = decode(raw)
    assert (job.name, job.id, job.generation) == ("Noop", ID, 1)
    positional, keywords = split(job.args)
    assert keywords == kwargs
    assert list(keywords) == list(kwargs), "in call order"
    assert repr(list(positional)) == repr(args), "True stays True, 1.0 stays 1.0, -0.0 stays -0.0"
    told = json.loads(raw)
    sent = [*args, {**kwargs, "_kwargs": True}] if kwargs else args
    assert repr(told["args"]) == repr(sent), "another JSON parser reads the same"
    assert is_job(raw)
    assert payload.loads(raw)["args"] == args
    assert payload.loads(raw).get("kwargs", {}) == kwargs


# args of a payload, positional, keywords
SPLITS: list[tuple[Any, list[Any], dict[str, Any]]] = [
    (None, [], {}),
    ([], [], {}),
    ([1], [1], {}),
    ([{"a": 1}], [{"a": 1}], {}),
    ([1, {"a": 1, "_kwargs": True}], [1], {"a": 1}),
    ([{"_kwargs": True, "a": 1}], [], {"a": 1}),
    ([{"_kwargs": True}], [], {}),
    ([{"a": 1, "_kwargs": 1}], [{"a": 1, "_kwargs": 1}], {}),
    ([{"a": 1, "_kwargs": "true"}], [{"a": 1, "_kwargs": "true"}], {}),
    ([{"a": 1, "_kwargs": False}], [{"a": 1, "_kwargs": False}], {}),
    ([{"a": 1, "_kwargs": True}, 2], [{"a": 1, "_kwargs": True}, 2], {}),
    ([[{"a": 1, "_kwargs": True}]], [[{"a": 1, "_kwargs": True}]], {}),
]


@pytest.mark.parametrize(("args", "positional", "keywords"), SPLITS, ids=range(len(SPLITS)))
def test_split(args: Any, positional: list[Any], keywords: dict[str, Any]) -> None:
    before = json.dumps(args)
    found = split(args)
    assert (list(found[0]), found[1]) == (positional, keywords)
    assert json.dumps(args) == before
    item = payload.loads(json.dumps({"args": args, "class": "A"}).encode())
    assert (item["args"] or [], item.get("kwargs", {})) == (positional, keywords)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, {"a": 1, "_kwargs": True}), {}),
        (({"_kwargs": None},), {}),
        (({"_kwargs": True},), {"a": 1}),
        ((), {"_kwargs": True}),
        ((1,), {"a": 1, "_kwargs": 5}),
    ],
)
def test_the_mark_of_keywords_is_no_name_of_an_argument(args: Any, kwargs: Any) -> None:
    with pytest.raises(UnserializableArgument, match=r"'_kwargs'.* marks? keyword|_kwargs.*marks"):
        encode("Noop", args, kwargs, ID)


@pytest.mark.parametrize("args", [({"_kwargs": True}, 1), ([{"_kwargs": True}],)])
def test_it_may_stand_anywhere_else(args: Any) -> None:
    assert split(decode(encode("Noop", args, None, ID)).args) == (list(args), {})


@pytest.mark.parametrize("kwargs", ["{}", '{"a":1}', "[]", "1", '"x"', "true"])
def test_keywords_beside_args_are_no_job_of_this_format(kwargs: str) -> None:
    raw = f'{{"class":"A","args":[1],"kwargs":{kwargs}}}'.encode()
    with pytest.raises(InvalidPayload, match=r'has a field kwargs; .*"_kwargs": true'):
        decode(raw)
    assert is_job(raw), "its entry shows class and arguments, and a retry is the same item"


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ((1, 2), [1, 2]),
        ([(1, (2,)), ()], [[1, [2]], []]),
        (2**63, 2**63),
        (-(2**63) - 1, -(2**63) - 1),
        (10**400, 10**400),
        (5e-324, 5e-324),
        (1.7976931348623157e308, 1.7976931348623157e308),
        ("\0\x1f\x7f\u2028\uffff\U0010ffff", "\0\x1f\x7f\u2028\uffff\U0010ffff"),
        ({"": {"\0": []}}, {"": {"\0": []}}),
    ],
    ids=repr,
)
def test_values_at_the_edge_arrive(sent: Any, arrives: Any) -> None:
    job = decode(encode("Noop", (sent,), {"k": sent}, ID))
    assert split(job.args) == ([arrives], {"k": arrives})


# What JSON cannot carry


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Colour(enum.Enum):
    RED = "red"


class TextColour(enum.StrEnum):
    RED = "red"


class NumberColour(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int


Pair = namedtuple("Pair", "a b")

UNSENDABLE: list[Any] = [
    b"bytes", bytearray(b"b"), memoryview(b"m"), {1}, frozenset(), float("nan"), float("inf"),
    float("-inf"), 1j, object(), object, len, ..., range(3), iter([]), (x for x in ()),
    datetime.datetime(2026, 1, 1), datetime.date(2026, 1, 1), datetime.timedelta(1),
    decimal.Decimal("1.5"), uuid.UUID(int=1), Path("/"), Point(1), Pair(1, 2), OrderedDict(a=1),
    Text("t"), Number(1), Real(1.5), Colour.RED, TextColour.RED, NumberColour.RED,
    {1: 2}, {None: 1}, {True: 1}, {1.5: 1}, {(1, 2): 1}, {b"k": 1}, {Text("k"): 1},
    {TextColour.RED: 1}, {Colour.RED: 1},
]  # fmt: skip


def test_an_argument_that_json_cannot_carry_is_named() -> None:
    for value in UNSENDABLE:
        with pytest.raises(UnserializableArgument, match=r"^Noop: argument 2 ") as caught:
            encode("Noop", (1, value), None, ID)
        assert isinstance(caught.value, EnqueueError)
        assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("wrap", "where"),
    [
        (lambda v: [v], r"argument 1\[0\] "),
        (lambda v: (0, v), r"argument 1\[1\] "),
        (lambda v: {"a": v}, r"argument 1\['a'\] "),
        (lambda v: {"a": [1, {"b": v}]}, r"argument 1\['a'\]\[1\]\['b'\] "),
        (lambda v: [[[[[[[[v]]]]]]]], r"argument 1(\[0\])+ "),
    ],
    ids=["list", "tuple", "dict", "mixed", "deep"],
)
def test_a_nested_one_is_named_with_its_place(wrap: Any, where: str) -> None:
    for value in UNSENDABLE:
        with pytest.raises(UnserializableArgument, match=f"^Noop: {where}"):
            encode("Noop", (wrap(value),), None, ID)


def test_a_keyword_argument_is_named() -> None:
    for value in UNSENDABLE:
        with pytest.raises(UnserializableArgument, match=r"^Noop: argument 'template' "):
            encode("Noop", (), {"ok": 1, "template": value}, ID)
        with pytest.raises(UnserializableArgument, match=r"^Noop: argument 'template'\[0\] "):
            encode("Noop", (), {"template": [value]}, ID)


@pytest.mark.parametrize("lone", ["\ud800", "a\udfffb", "\udcff", "\ud83d\ud83d"], ids=ascii)
@pytest.mark.parametrize(
    ("place", "told"),
    [
        (lambda s: ((1, s), {}), "argument 2"),
        (lambda s: (([{"k": s}],), {}), "argument 1"),
        (lambda s: (({s: 1},), {}), "argument 1"),
        (lambda s: ((), {"key": s}), "argument 'key'"),
        (lambda s: ((), {"key": [{s: 1}]}), "argument 'key'"),
        (lambda s: ((), {s: 1}), "argument "),
    ],
    ids=["arg", "nested", "key", "kwarg", "kwarg-nested", "kwarg-name"],
)
def test_lone_surrogates_are_refused(lone: str, place: Any, told: str) -> None:
    args, kwargs = place(lone)
    with pytest.raises(UnserializableArgument, match=rf"^Noop: {told}.*lone surrogate"):
        encode("Noop", args, kwargs, ID)


def test_a_number_that_python_does_not_write_is_refused() -> None:
    for args, kwargs, named in (((1, 10**5000), None, "2"), ((), {"n": [10**5000]}, "'n'")):
        with pytest.raises(UnserializableArgument, match=f"^Noop: argument {named} has an int"):
            encode("Noop", args, kwargs, ID)


def test_a_list_in_itself_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    with pytest.raises(UnserializableArgument, match="nested over 90 deep"):
        encode("Noop", (loop,), None, ID)
    rings: dict[str, Any] = {}
    rings["a"] = [rings, rings]
    with pytest.raises(UnserializableArgument, match="nested over 90 deep"):
        encode("Noop", (), {"r": rings}, ID)


# Limits


@pytest.mark.parametrize("kind", [list, dict])
def test_depth(kind: type) -> None:
    raw = encode("Noop", (nested(MAX_DEPTH, kind),), {"k": nested(MAX_DEPTH, kind)}, ID)
    deepest = nested(MAX_DEPTH, kind)
    assert split(decode(raw).args) == ([deepest], {"k": deepest})
    assert json.loads(raw)
    for args, kwargs in (((nested(MAX_DEPTH + 1, kind),), {}), ((), {"k": nested(501, kind)})):
        with pytest.raises(UnserializableArgument, match="nested over 90 deep") as caught:
            encode("Noop", args, kwargs, ID)
        assert len(str(caught.value)) < 200


def test_size() -> None:
    frame = len(encode("Noop", ("",), None, ID))
    largest = encode("Noop", ("x" * (MAX_PAYLOAD_BYTES - frame),), None, ID)
    assert len(largest) == MAX_PAYLOAD_BYTES
    assert decode(largest).name == "Noop"
    with pytest.raises(PayloadTooLarge, match=r"Noop: the payload has 8,388,609 bytes"):
        encode("Noop", ("x" * (MAX_PAYLOAD_BYTES - frame + 1),), None, ID)
    with pytest.raises(PayloadTooLarge, match=r"8,388,609 bytes"):
        decode(largest + b" ")


def test_size_counts_bytes_not_characters() -> None:
    with pytest.raises(PayloadTooLarge):
        encode("Noop", ("é" * (MAX_PAYLOAD_BYTES // 2),), None, ID)


def test_the_envelope_stands_behind_the_generation_when_there_is_one() -> None:
    raw = encode("Noop", (1,), None, ID, envelope={"dirty_exit": "fail"}, expires_at=1.5)
    assert raw == (
        b'{"class":"Noop","args":[1],"id":"' + ID.encode() + b'","generation":1,'
        b'"gresque":{"dirty_exit":"fail"},"expires_at":1.5}'
    )
    assert bytes(decode(raw).gresque) == b'{"dirty_exit":"fail"}'  # type: ignore[arg-type]
    assert decode(encode("Noop", (1,), None, ID, envelope={})).gresque is msgspec.UNSET
