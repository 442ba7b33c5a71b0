"""Times as text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gresque import clock

AT = 1764000000.99


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (clock.iso_8601, "2025-11-24T16:00:00+00:00"),
        (clock.started, "2025-11-24 16:00:00 +0000"),
        (clock.failed_at, "2025/11/24 16:00:00 UTC"),
        (clock.retried_at, "2025/11/24 16:00:00"),
    ],
)
def test_formats_of_resque(written: Callable[[float], str], text: str) -> None:
    assert written(AT) == text


def test_the_time_of_a_record() -> None:
    assert clock.log_time(AT, 990.7) == "2025-11-24T16:00:00.990Z"
    assert clock.log_time(AT + 1, 1.0) == "2025-11-24T16:00:01.001Z"


@pytest.mark.parametrize(
    ("text", "epoch_seconds"),
    [
        ("2025-11-24T16:00:00+00:00", 1764000000),
        ("2025-11-24T17:00:00+01:00", 1764000000),
        ("2025-11-24T16:00:00Z", 1764000000),
        ("2025-11-24T16:00:00", 1764000000),
        ("yesterday", None),
        ("", None),
    ],
)
def test_reading(text: str, epoch_seconds: int | None) -> None:
    assert clock.parse_iso_8601(text) == epoch_seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (42.0, "42 s"),
        (119.0, "119 s"),
        (420.0, "7 min"),
        (7_199.0, "120 min"),
        (11_520.0, "3.2 h"),
        (440_640.0, "5.1 d"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert clock.duration(seconds) == shown
