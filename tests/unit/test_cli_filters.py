"""Flags that select jobs: an empty one, as from a shell variable that is not set, selects none."""

from __future__ import annotations

import pytest

from tests.support.cli import Call

COMMANDS = [
    ("failed", "list"),
    ("failed", "remove"),
    ("delayed", "list"),
    ("delayed", "cancel"),
    ("retries", "list"),
    ("retries", "cancel"),
    ("running", "list"),
    ("kill",),
]


@pytest.mark.parametrize("flag", ["--class", "--queue"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_empty_one_is_refused(call: Call, command: tuple[str, ...], flag: str) -> None:
    code, out, err = call(*command, flag, "")
    assert (code, out) == (2, "")
    assert f"{flag} is empty; give a value, or leave it out" in err
