from __future__ import annotations

import pytest

from gresque.processes.waits import shared_waits


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"m.f": 1000, "Ruby::Job": 1}, {"m.f": 1000, "Ruby::Job": 1}),
        ({}, {}),
        ({str(n): n + 1 for n in range(100)}, {str(n): n + 1 for n in range(99, 84, -1)}),
        ({"x" * 1000: 1}, {"x" * 100: 1}),
        ({"\udcff": 1}, {"\udcff": 1}),
        ({"☃" * 100 + str(n): 1 for n in range(15)}, {"☃" * 100: 1}),
        ({"\x01" * 100 + str(n): 1 for n in range(15)}, {"\x01" * 100: 1}),
    ],
    ids=["two", "none", "many", "long", "odd", "wide", "escaped"],
)
def test_the_master_reads_what_a_process_wrote(
    written: dict[str, int], read: dict[str, int]
) -> None:
    first, second = shared_waits(2)
    second.write({"other": 1})
    first.write(written)
    assert first.read() == read
    assert second.read() == {"other": 1}
    first.clear()
    assert first.read() == {}


def test_too_long_a_text_is_left_out() -> None:
    (waits,) = shared_waits(1)
    waits.write({f"{n:02}" + "\x01" * 98: 1 for n in range(15)})
    assert waits.read() == {}


def test_halves_of_two_writes_leave_no_value_that_cannot_be_counted() -> None:
    """The master reads without a lock, and adds up what it reads."""
    (waits,) = shared_waits(1)
    waits.write({"m.first": 1})
    torn = b'{"m": "f", "n": 2}'
    waits._memory[8 : 8 + len(torn)] = torn
    waits._memory[:8] = len(torn).to_bytes(8, "little")
    assert waits.read() == {"n": 2}
