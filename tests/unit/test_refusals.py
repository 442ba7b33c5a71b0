"""Keys that the server refuses: the message says what to do."""

from __future__ import annotations

import pytest

from gresque.store.keys import Keys
from gresque.store.refusals import explain_refused

KEYS = Keys("resque")


@pytest.mark.parametrize(
    "error",
    [
        "NOPERM this user has no permissions to run the 'hsetnx' command",
        "ERR ACL failure in script: User u has no permissions to run the 'hsetnx' command",
        "ERR The user executing the script can't run this command or subcommand",
    ],
)
def test_a_missing_right_is_to_be_granted(error: str) -> None:
    told = explain_refused(KEYS, KEYS.masters, error)
    assert told == (
        f"resque:masters is refused ({error}): grant this user the right, see docs/acl.md"
    )


def test_a_key_of_another_type_is_to_go() -> None:
    told = explain_refused(KEYS, KEYS.workers, "WRONGTYPE Operation against a key")
    assert told.endswith(": rename or delete that key")
