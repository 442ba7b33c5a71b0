"""When a job failed, as programs in several languages write it."""

from __future__ import annotations

import pytest

from gresque.failure.failed_time import as_resque, failed_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026/11/23 15:33:14 UTC", 1795447994),
        ("1795447994", 1795447994),
        ("1795447994000", 1795447994),
        ("Mon Nov 23 2026 15:33:14 GMT+0000 (Coordinated Universal Time)", 1795447994),
        ("Mon Nov 23 2026 16:33:14 GMT+0100 (Central European Standard Time)", 1795447994),
        ("Mon, 23 Nov 2026 10:33:14 -0500", 1795447994),
        ("2026-11-23T15:33:14+00:00", 1795447994),
        ("2026-11-23T15:33:14.250Z", 1795447994.25),
        ("2026-11-23 15:33:14 UTC", 1795447994),
        ("", None),
        ("yesterday", None),
        ("inf", None),
        ("9" * 400, None),
    ],
)
def test_failed_seconds(text: str, seconds: float | None) -> None:
    assert failed_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026/11/23 15:33:14 UTC", "2026/11/23 15:33:14 UTC"),
        ("1795447994", "2026/11/23 15:33:14 UTC"),
        ("Mon Nov 23 2026 16:33:14 GMT+0100 (CET)", "2026/11/23 15:33:14 UTC"),
        ("2026-11-23T15:33:14+00:00", "2026/11/23 15:33:14 UTC"),
        ("yesterday", "yesterday"),
        ("-1e300", "-1e300"),
        ("", ""),
    ],
)
def test_any_form_of_a_time_is_shown_as_resque_has_it(text: str, shown: str) -> None:
    assert as_resque(text) == shown
