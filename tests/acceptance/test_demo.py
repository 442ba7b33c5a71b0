"""`gresque demo`, interrupted at its start and at its end."""

from __future__ import annotations

import signal

import pytest

from tests.process.test_demo import Sandbox, interrupt, sandbox

__all__ = ["sandbox"]


@pytest.mark.parametrize(
    ("number", "line"),
    [(signal.SIGINT, "  export REDIS_URL"), (signal.SIGHUP, "for comparison")],
    ids=["start", "comparison"],
)
def test_a_signal_leaves_nothing(
    sandbox: Sandbox,
    number: signal.Signals,
    line: str,
) -> None:
    interrupt(sandbox, number, line)
