"""A job in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from gresque.jobs.label import job_label


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ({"class": "A"}, "A()"),
        ({"class": "A", "args": [1, "é", None]}, 'A(1, "é", null)'),
        ({"class": "A", "args": [1], "kwargs": {"b": [2]}}, "A(1, b=[2])"),
        ({"class": "A", "args": 3, "kwargs": 4}, "A()"),
        ({"raw": "rubbish"}, "rubbish"),
        ({}, "an item that is no job"),
        ({"class": "A", "args": ["x" * 10_000_000]}, 'A("' + "x" * 56 + "…"),
    ],
    ids=range(7),
)
def test_label(item: dict[str, Any], label: str) -> None:
    assert job_label(item) == label
