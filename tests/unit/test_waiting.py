"""Since when a job waits in its queue."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from gresque.clock import iso_8601
from gresque.jobs.crash_history import add_death
from gresque.jobs.ids import new_id
from gresque.jobs.waiting import waits_since

NOW = time.time()
HOUR_AGO = f"{int((NOW - 3600) * 1000):012x}7" + new_id()[13:]


def raw(**fields: Any) -> bytes:
    return msgspec.json.encode({"class": "A", "args": [], **fields})


def test_the_time_in_its_id() -> None:
    assert waits_since(raw(id=HOUR_AGO)) == pytest.approx(NOW - 3600, abs=0.01)


@pytest.mark.parametrize("seconds", [-7200, -60])
def test_a_delayed_one_waits_from_when_it_was_due(seconds: float) -> None:
    since = waits_since(raw(id=HOUR_AGO, gresque={"run_at": NOW + seconds}))
    assert since == pytest.approx(NOW + max(seconds, -3600), abs=0.01)


def test_one_that_was_recovered_waits_from_the_death() -> None:
    item = add_death(raw(id=HOUR_AGO), f"vm:1:q:1:1:1:2:3 at {iso_8601(NOW - 900)}")
    item = add_death(item, f"vm:1:q:1:1:1:2:3 at {iso_8601(NOW - 100)}")
    assert waits_since(item) == pytest.approx(NOW - 100, abs=1)


@pytest.mark.parametrize(
    "item",
    [
        b"", b"rubbish", b"[]", b"\xff", b'{"class":"A"}', raw(id=7), raw(id="x"), raw(gresque=[]),
        raw(gresque={"run_at": "x", "deaths": "x"}), raw(gresque={"run_at": True, "deaths": [1]}),
        raw(gresque={"run_at": 1e300, "deaths": ["at never"]}), b'{"id":' + b"[" * 100_000,
    ],
    ids=range(12),
)  # fmt: skip
def test_one_that_does_not_say(item: bytes) -> None:
    assert waits_since(item) is None
