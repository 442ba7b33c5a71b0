"""The first lines of a worker's log."""

from __future__ import annotations

import pytest

from gresque.master.announcement import announce
from gresque.settings import Settings


@pytest.mark.parametrize(
    ("queues", "weights", "line"),
    [
        ("mail", None, "queue mail; each process"),
        ("mail:5,low", None, "queues mail:5,low; each process"),
        ("mail,low", "mail=3", "queues mail,low by weight mail=3; each process"),
    ],
)
def test_queues_with_their_caps_and_weights(
    queues: str, weights: str | None, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gresque.master")
    flags = {"queues": queues, "weights": weights, "preload": False}
    announce("vm:1:q:1:1:1", Settings.load(flags, {}))
    assert f" 1 job per fork, {line} loads the jobs" in caplog.text
