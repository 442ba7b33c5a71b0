"""Attributes of a job class that look like an option and are none."""

from __future__ import annotations

import pytest

import gresque
from gresque.errors import JobDeclarationError
from gresque.jobs.registry import registry


@pytest.mark.parametrize(
    ("attribute", "meant"),
    [
        ("retires", "retries"), ("timeout_second", "timeout_seconds"),
        ("retry_delay", "retry_delays"), ("ignored", "ignore"),
        ("timeout", "timeout_seconds"), ("max_retries", "retries"),
    ],
)  # fmt: skip
def test_a_misspelt_option_of_a_class_is_refused(attribute: str, meant: str) -> None:
    body = {attribute: 3, "perform": lambda: None}
    with pytest.raises(JobDeclarationError) as caught:
        type("Slow", (gresque.Job,), body)
    assert str(caught.value) == (
        f"job class Slow: {attribute} is not an option; did you mean {meant}? An attribute of your "
        f"own needs another name, such as my_{attribute}"
    )
    assert registry.find(f"{__name__}.Slow") is None


def test_attributes_of_its_own_are_for_the_class() -> None:
    class Own(gresque.Job):
        name = "Own"
        names = ("a", "b")
        queues = ("a", "b")
        RETRIES = 3
        _retires = 3
        my_timeout = 3
        url = "http://127.0.0.1"

        def perform() -> None: ...  # type: ignore[misc]
        def retried() -> None: ...  # type: ignore[misc]

    assert Own.definition.retry is None
    with pytest.raises(JobDeclarationError, match="write queue, retries in the body of the class"):
        type("Line", (gresque.Job,), {"perform": lambda: None}, queue="web", retries=3)
