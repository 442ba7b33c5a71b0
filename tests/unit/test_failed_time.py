"""When a job failed, as programs in several languages write it."""

from __future__ import annotations

import pytest

from gresque.failure.failed_time import failed_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026/11/23 15:33:14 UTC", 1795447994),
        ("1795447994", 1795447994),
        ("1795447994000", 1795447994),
        ("Mon Nov 23 2026 15:33:14 GMT+0000 (Coordinated Universal Time)", 1795447994),
        ("", None),
        ("yesterday", None),
        ("inf", None),
    ],
)
def test_failed_seconds(text: str, seconds: float | None) -> None:
    assert failed_seconds(text) == seconds
