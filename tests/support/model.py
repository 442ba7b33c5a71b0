"""Models of hypothesis that run against a server."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

LOSSES = ["", "", "", "request", "reply", "death before", "death after"]
"""What may be lost of a call: its request, its reply, or its process before or after it. In three
of seven nothing is."""


def run_model(machine: type[RuleBasedStateMachine], caplog: pytest.LogCaptureFixture) -> None:
    """In 50 steps, whose losses and deaths are not logged."""
    caplog.set_level(logging.CRITICAL, "gresque")
    run_state_machine_as_test(
        machine,
        settings=settings(stateful_step_count=50, suppress_health_check=list(HealthCheck)),
    )
