"""Ledger entries and totals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.store.ledger import LedgerEntry, Totals, parse_entry, parse_state

# value, queue key, payload
ENTRIES = [
    (b"14:resque:queue:a{}", b"resque:queue:a", b"{}"),
    (b"1:ab", b"a", b"b"),
    (b"0:x", b"", b"x"),
    (b"0:", b"", b""),
    (b"3:a:b:c", b"a:b", b":c"),
    (b"2:1:2:3", b"1:", b"2:3"),
    (b"3:\xff\0\n\xfe", b"\xff\0\n", b"\xfe"),
    (b"10:0123456789", b"0123456789", b""),
]


@pytest.mark.parametrize(("value", "queue_key", "raw"), ENTRIES, ids=[str(e[0]) for e in ENTRIES])
def test_parse_entry(value: bytes, queue_key: bytes, raw: bytes) -> None:
    assert parse_entry(value) == LedgerEntry(queue_key, raw)


@given(st.binary(), st.binary())
def test_any_queue_key_and_any_payload(queue_key: bytes, raw: bytes) -> None:
    assert parse_entry(b"%d:%s%s" % (len(queue_key), queue_key, raw)) == (queue_key, raw)


@pytest.mark.parametrize(
    ("state", "totals"),
    [
        (b"0 0 0 0 0", Totals()),
        (b"12 5 3 1 1", Totals(reserved=5, done=3, failed=1, requeued=1)),
        (b"fenced 12 5 3 1 1", Totals(5, 3, 1, 1)),
        (b"1 99999999999 99999999998 1 0", Totals(99999999999, 99999999998, 1, 0)),
    ],
)
def test_parse_state(state: bytes, totals: Totals) -> None:
    assert parse_state(state) == totals


def test_totals_add_up_and_read_as_a_sentence() -> None:
    total = Totals(2, 1, 1, 0) + Totals(1000, 998, 1, 1)
    assert total == Totals(1002, 999, 2, 1)
    assert str(total) == "reserved 1,002 = 999 done + 2 failed + 1 requeued"
    assert total.reserved == total.done + total.failed + total.requeued
    assert Totals() + total == total
