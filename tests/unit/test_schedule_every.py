from __future__ import annotations

from datetime import timedelta
from itertools import islice

import pytest

from gresque.errors import ScheduleError
from gresque.schedule.every import Every

SECONDS = {
    "15m": 900, "30s": 30, "1h30m": 5400, "2d": 172_800, "1w": 604_800, "1.5h": 5400,
    "10 m": 600, "1H": 3600,
}  # fmt: skip


@pytest.mark.parametrize("text", SECONDS)
def test_texts(text: str) -> None:
    assert Every(text).seconds == SECONDS[text]


def test_numbers_and_timedeltas() -> None:
    assert Every(900).seconds == Every(900.0).seconds == Every(timedelta(minutes=15)).seconds


def test_anchored_at_the_epoch() -> None:
    quarter = Every(900)
    assert quarter.next_after(1_795_694_400_000 + 1) == 1_795_694_400_000 + 900_000
    assert quarter.next_after(1_795_694_400_000) == 1_795_694_400_000 + 900_000
    assert list(islice(Every(1.5).after(0), 3)) == [1500, 3000, 4500]


def test_text() -> None:
    assert [Every(each).text for each in (900, "1h30m", 86_400, 1.5)] == [
        "every 15m", "every 1h30m", "every 1d", "every 1.5s",
    ]  # fmt: skip


WRONG = {
    "text": "soon", "none": None, "bool": True, "zero": 0, "negative": -5, "fast": 0.5,
    "long": "600w", "infinite": float("inf"), "nan": float("nan"), "negative delta": -timedelta(1),
    "over a float": 10**400,
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong(what: str) -> None:
    with pytest.raises(ScheduleError, match="is no interval; write"):
        Every(WRONG[what])
