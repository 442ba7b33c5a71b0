"""Numbers and times as they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gresque import formats

CASES: list[tuple[Callable[..., str], tuple[Any, ...], str]] = [
    *((formats.span, (seconds,), text) for seconds, text in [
        (None, "–"), (0, "0.0 s"), (0.0001, "0 ms"), (0.004, "4 ms"), (0.3, "0.3 s"),
        (14.2, "14.2 s"), (59.9, "59.9 s"), (59.96, "1 min 00 s"), (372, "6 min 12 s"),
        (11_040, "3 h 04 min"), (442_800, "5 d 03 h"), (-3, "0.0 s")]),
    *((formats.rough, (seconds,), text) for seconds, text in [
        (None, "–"), (12.4, "12 s"), (119, "119 s"), (372, "6 min"), (7200, "2 h"),
        (172_800, "2 d")]),
    (formats.ago, (0.2,), "now"), (formats.ago, (12,), "12 s ago"), (formats.ago, (None,), "–"),
    *((formats.number, (value,), text) for value, text in [
        (None, "–"), (0, "0"), (18_412, "18,412"), (57_900_000, "57.9 M")]),
    *((formats.short, (value,), text) for value, text in [
        (None, "–"), (0, "0"), (400, "400"), (1200, "1.2 k"), (90_000, "90 k"), (0.5, "0.5")]),
    *((formats.rate, (value,), text) for value, text in [
        (None, "–"), (0, "0"), (671.4, "671"), (8.62, "8.6"), (0.25, "0.25"), (0.0041, "0.004"),
        (1200, "1,200"), (320_000, "320 k")]),
    *((formats.share, pair, text) for pair, text in [
        ((1, 0), "–"), ((0, 5), "0 %"), ((13, 1000), "1.3 %"), ((1, 10_000), "0.01 %"),
        ((1, 2), "50 %"), ((None, 5), "–")]),
    *((formats.size, (count,), text) for count, text in [
        (None, "–"), (812, "812 B"), (60_000, "60 kB"), (624_000_000, "624 MB"),
        (1_900_000_000, "1.9 GB")]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "text"), CASES)
def test_formats(function: Callable[..., str], arguments: tuple[Any, ...], text: str) -> None:
    assert function(*arguments) == text
