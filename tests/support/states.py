"""Bringing a row of the scoreboard to a state, by the steps that a process would take."""

from __future__ import annotations

from collections import deque

from gresque.processes.scoreboard import Row
from gresque.processes.state import TRANSITIONS, ProcessState


def path_to(state: ProcessState, start: ProcessState = ProcessState.BOOTING) -> list[ProcessState]:
    """A shortest way through the state machine, without `start`."""
    paths = deque([[start]])
    while paths:
        path = paths.popleft()
        if path[-1] is state:
            return path[1:]
        paths.extend([*path, after] for after in sorted(TRANSITIONS[path[-1]]) if after not in path)
    raise ValueError(f"no way from {start.name} to {state.name}")


def bring_to(row: Row, state: ProcessState) -> None:
    for step in path_to(state, row.state):
        assert row.enter(step)
