"""Payloads that other programs wrote: decoded, or named as invalid."""

from __future__ import annotations

import contextlib
import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.errors import (
    GresqueError,
    InvalidPayload,
)
from gresque.failure.kept_item import in_entry, is_job, out_of_entry
from gresque.jobs import payload
from gresque.jobs.payload import (
    decode,
)
from tests.support.payloads import FORK, STOCK, as_json

# raw, what the message says
INVALID: list[tuple[bytes, str]] = [
    (b"", "not a job"), (b" ", "not a job"), (b"null", "not a job"), (b"1", "not a job"),
    (b"[]", "not a job"), (b'"x"', "not a job"), (b"true", "not a job"), (b"{}", "class"),
    (b"{", "not a job"), (b'{"class"', "not a job"), (b"not json", "not a job"),
    (b'{"args":[]}', "class"), (b'{"class":null}', "class"), (b'{"class":5}', "class"),
    (b'{"class":["a"]}', "class"), (b'{"class":{}}', "class"), (b'{"class":true}', "class"),
    (b'{"class":"A","args":5}', "args"), (b'{"class":"A","args":"x"}', "args"),
    (b'{"class":"A","args":{}}', "args"), (b'{"class":"A","args":true}', "args"),
    (b'{"class":"A","kwargs":[]}', "kwargs"), (b'{"class":"A","kwargs":1}', "kwargs"),
    (b'{"class":"A","args":[NaN]}', "not a job"), (b'{"class":"A","args":[1,]}', "not a job"),
    (b"{'class':'A'}", "not a job"), (b'{"class":"A"}{}', "not a job"),
    (b'{"class":"A"}\0', "not a job"), (b'\xef\xbb\xbf{"class":"A"}', "not a job"),
    (b'{"class":"\\ud800"}', "not a job"), (b'{"class":"A","args":["\\udc00"]}', "not a job"),
    (b'{"class":"\xff"}', "UTF-8"), (b'{"class":"A","args":["\xc3\x28"]}', "UTF-8"),
    (b'{"class":"A","args":["\xed\xa0\x80"]}', "UTF-8"),
    (b'{"class":"A","args":[{"\xff":1}]}', "UTF-8"),
    (b'{"class":"A","args":' + as_json(100_000) + b"}", "nested too deep"),
    (b'{"class":"A","x":' + as_json(100_000) + b"}", "nested too deep"),
    (b"\x80\x04pickle", "not a job"), (b"\x1f\x8b\x08gzip", "not a job"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), INVALID, ids=[repr(raw[:30]) for raw, _ in INVALID])
def test_what_is_no_job_is_invalid(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidPayload, match=f"the payload is .*{reason}"):
        decode(raw)


# raw, name, args
READABLE: list[tuple[bytes, str, Any]] = [
    (b'{"class":"A"}', "A", None),
    (b'{"class":"A","args":null,"kwargs":null}', "A", None),
    (b' \r\n\t{ "class" : "A" } \n', "A", None),
    (b'{"args":[1],"class":"A"}', "A", [1]),
    (b'{"class":"A","args":[],"more":{"x":[1]},"queue":"q"}', "A", []),
    (b'{"class":"A","class":"B"}', "B", None),
    (b'{"class":""}', "", None),
    (b'{"class":"M::A\\/b"}', "M::A/b", None),
    (b'{"class":"\\ud83d\\ude00"}', "😀", None),
    (b'{"class":"A","args":[1e2,1.0,1E+2]}', "A", [100.0, 1.0, 100.0]),
    (b'{"class":"A","args":[12345678901234567890123]}', "A", [12345678901234567890123]),
    (b'{"class":"A","id":[1],"generation":"x"}', "A", None),
]


@pytest.mark.parametrize(("raw", "name", "args"), READABLE, ids=[r[0] for r in READABLE])
def test_what_other_clients_write_decodes(raw: bytes, name: str, args: Any) -> None:
    job = decode(raw)
    assert (job.name, job.args) == (name, args)


def test_a_worker_reads_the_same_into_what_the_collector_need_not_know() -> None:
    for raw in [raw for raw, *_ in READABLE] + [*FORK, *STOCK]:
        call, job = payload.read_call(raw), decode(raw)
        assert [getattr(call, name) for name in payload.Call.__struct_fields__] == [
            getattr(job, name) for name in payload.Call.__struct_fields__
        ]
        assert not gc.is_tracked(call)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["class", "args", "id", "kwargs", "x"]), inner)
    ),
    max_leaves=8,
)


@given(st.binary() | json_like.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_decode_or_are_invalid(raw: bytes) -> None:
    try:
        job = decode(raw)
    except GresqueError as error:
        assert type(error) is InvalidPayload
        assert "\n" not in str(error)
    else:
        assert type(job.name) is str
        assert job.args is None or type(job.args) is list
    item = payload.loads(raw)
    assert type(item) is dict
    assert type(payload.class_of(raw)) is str or not is_job(raw)
    if is_job(raw):
        assert payload.class_of(raw) == item["class"]
    else:
        assert out_of_entry(in_entry(raw)) == raw


@given(st.sampled_from(FORK), st.integers(0, 200), st.binary(min_size=1, max_size=1))
def test_one_broken_byte_breaks_nothing_else(raw: bytes, position: int, byte: bytes) -> None:
    position %= len(raw)
    with contextlib.suppress(InvalidPayload):
        decode(raw[:position] + byte + raw[position + 1 :])


@pytest.mark.parametrize(
    ("raw", "item"),
    [
        (b'{"class":"A","args":[1]}', {"class": "A", "args": [1]}),
        (b"{}", {}),
        (b"[1]", {"raw": "[1]"}),
        (b"", {"raw": ""}),
        (b"\xff", {"raw": "\\xff"}),
        (b'{"class":"\xff"}', {"raw": '{"class":"\\xff"}'}),
    ],
)
def test_loads_is_for_looking(raw: bytes, item: dict[str, Any]) -> None:
    assert payload.loads(raw) == item


def test_loads_reads_what_nests_too_deep_as_text() -> None:
    raw = b'{"class":' + as_json(100_000) + b"}"
    assert payload.loads(raw) == {"raw": raw.decode()}
    assert not is_job(raw)
