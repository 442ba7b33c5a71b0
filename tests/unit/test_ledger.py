"""Ledger entries and totals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.store.ledger import (
    COUNTED,
    COUNTED_BOTH,
    COUNTED_OWN,
    UNCOUNTED,
    LedgerEntry,
    Totals,
    parse_entry,
    parse_ledger,
    parse_state,
    write_entry,
)

# value, queue key, payload
ENTRIES = [
    (b"14:resque:queue:a{}", b"resque:queue:a", b"{}"),
    (b"1:ab", b"a", b"b"),
    (b"3:a:b:c", b"a:b", b":c"),
    (b"2:1:2:3", b"1:", b"2:3"),
    (b"3:\xff\0\n\xfe", b"\xff\0\n", b"\xfe"),
    (b"10:0123456789", b"0123456789", b""),
]


@pytest.mark.parametrize(("value", "queue_key", "raw"), ENTRIES, ids=[str(e[0]) for e in ENTRIES])
def test_parse_entry(value: bytes, queue_key: bytes, raw: bytes) -> None:
    assert parse_entry(value) == LedgerEntry(queue_key, raw)


@pytest.mark.parametrize("flag", [UNCOUNTED, COUNTED, COUNTED_OWN, COUNTED_BOTH])
@pytest.mark.parametrize(("value", "queue_key", "raw"), ENTRIES, ids=[str(e[0]) for e in ENTRIES])
def test_the_flag_says_where_a_job_was_counted(
    value: bytes, queue_key: bytes, raw: bytes, flag: bytes
) -> None:
    value = value.replace(b":", flag, 1)
    assert parse_entry(value) == LedgerEntry(queue_key, raw, flag)
    assert write_entry(queue_key, raw, flag) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "does not begin with the length"),
        (b"xyz", "does not begin with the length"),
        (b":ab", "does not begin with the length"),
        (b"-1:ab", "does not begin with the length"),
        (b"+1:ab", "does not begin with the length"),
        (b" 1:ab", "does not begin with the length"),
        (b"1*ab", "does not begin with the length"),
        (b"+ab", "does not begin with the length"),
        (b"1_0:0123456789", "does not begin with the length"),
        (b"9" * 5000 + b":ab", "does not begin with the length"),
        ("²:ab".encode(), "does not begin with the length"),
        (b'{"class":"A","args":[1]}', "does not begin with the length"),
        (b"3:ab", "goes beyond its end"),
        (b"999999999:ab", "goes beyond its end"),
        (b"0:x", "not one of a queue: b''"),
        (b"0:", "not one of a queue: b''"),
    ],
)
def test_what_is_no_entry(value: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_entry(value)


@pytest.mark.parametrize("value", [b"3:abcx", b"2:q:x", b"14:resque:queue:x", b"3:Q:ax"])
def test_a_key_that_is_none_of_a_queue(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"not one of a queue|beyond its end"):
        parse_entry(value, b"q:")
    assert parse_entry(b"3:q:ax", b"q:") == (b"q:a", b"x", b":")


@given(st.binary(min_size=1), st.binary())
def test_any_queue_key_and_any_payload(queue_key: bytes, raw: bytes) -> None:
    assert parse_entry(b"%d:%s%s" % (len(queue_key), queue_key, raw)) == (
        queue_key,
        raw,
        UNCOUNTED,
    )


@pytest.mark.parametrize(
    ("state", "totals"),
    [
        (b"7!0,12 5 1 2 0 0", Totals(5, 1, 2, 0)),
        (b"7~1800 5 1 2 0 0", Totals(5, 1, 2, 0)),
        (b"fenced 7~0!1 5 1 2 0 0", Totals(5, 1, 2, 0)),
        (b"0 0 0 0 0 0", Totals()),
        (b"12 5 3 1 1 0", Totals(reserved=5, done=3, failed=1, requeued=1)),
        (b"fenced 12 5 3 1 1 0", Totals(5, 3, 1, 1)),
        (b"1 99999999999 99999999998 1 0 3", Totals(99999999999, 99999999998, 1, 0, 3)),
    ],
)
def test_parse_state(state: bytes, totals: Totals) -> None:
    assert parse_state(state) == totals


@pytest.mark.parametrize(
    "state",
    [
        b"", b"hello", b"1", b"1 2 3 4", b"1 2 3 4 5", b"1 2 3 4 5 6 7", b"0 1 2 3 4 x",
        b"-1 0 0 0 0 0",
        b"1  2 3 4 5 6",
        b"1 2 3 4 5 6 ", b"0 1 2 3 4 5.0", b"0 1 2 3 4 1e5", b"fenced", b"fenced ",
        b"fenced1 2 3 4 5 6",
        b"fenced hello", b"fenced:1:2 1 2 3 4 5 6", b"fenced: 1 2 3 4 5 6", b"Fenced 1 2 3 4 5 6",
        b"fenced fenced 1 2 3 4 5 6", b"0 1 2 3 4 " + b"9" * 14, b"9" * 5000 + b" 2 3 4 5 6",
        b"fenced:1:2:0:" + b"9" * 30 + b" 1 2 3 4 5 6", b"\xff 2 3 4 5 6", b"1 2 3 4 5 6\n",
    ],
)  # fmt: skip
def test_what_is_no_state(state: bytes) -> None:
    with pytest.raises(ValueError, match="not a sequence number and five totals"):
        parse_state(state)


def test_a_ledger_is_read_field_by_field() -> None:
    ledger = parse_ledger({b"state": b"?", b"0": b"3:q:ax", b"1": b"odd"}, b"q:")
    assert ledger.entries == {b"0": LedgerEntry(b"q:a", b"x")}
    assert ledger.unreadable[b"1"].raw == b"odd"
    assert (ledger.held, ledger.totals, ledger.broken_state) == (2, Totals(), b"?")
    assert parse_ledger({b"0": b"3:q:ax"}, b"q:").broken_state == b""
    assert parse_ledger({}, b"q:") == ({}, Totals(), False, {}, None)
    fenced = parse_ledger({b"state": b"fenced:1:2:3:0 9 5 3 1 1 0"}, b"q:")
    assert (fenced.totals, fenced.is_fenced) == (Totals(5, 3, 1, 1), True)


def test_totals_add_up_and_read_as_a_sentence() -> None:
    total = Totals(2, 1, 1, 0) + Totals(1003, 998, 1, 1, 3)
    assert total == Totals(1005, 999, 2, 1, 3)
    assert str(total) == "reserved 1,005 = 999 done + 2 failed + 3 retried + 1 requeued"
    assert str(Totals(2, 1, 1)) == "reserved 2 = 1 done + 1 failed + 0 requeued"
    assert total.held == 0
    assert Totals() + total == total
