"""What Redis's errors mean to a caller."""

from __future__ import annotations

import pytest
import redis
from redis._parsers import BaseParser

from gresque.connection.errors import is_reply, may_pass, means_not_here

NOT_HERE = (
    "READONLY You can't write against a read only replica.",
    "READONLY You can't write against a read only replica. script: 1a, on @user_script:3.",
    "ERR Error running script (call to f_1a): @user_script:3: -READONLY You can't write against a",
    "EXECABORT Transaction discarded because of: READONLY You can't write against a replica",
    "MOVED 2409 127.0.0.1:7001",
    "ASK 2409 127.0.0.1:7001",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN The cluster is down",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "LOADING Redis is loading the dataset in memory",
    "NOREPLICAS Not enough good replicas to write.",
)
UNBLOCKED = "UNBLOCKED force unblock from blocking operation, instance state changed"
HELD_UP = (
    "OOM command not allowed when used memory > 'maxmemory'.",
    "BUSY Redis is busy running a script.",
    "MISCONF Redis is configured to save RDB snapshots",
)
LASTING = (
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR unknown command 'EVALSHA'",
    "NOSCRIPT No matching script.",
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOAUTH Authentication required.",
)


def parsed(text: str) -> Exception:
    error: Exception = BaseParser.parse_error(text)
    return error


@pytest.mark.parametrize("text", [*NOT_HERE, UNBLOCKED])
def test_not_here(text: str) -> None:
    error = parsed(text)
    assert (means_not_here(error), may_pass(error), is_reply(error)) == (True, True, True)


@pytest.mark.parametrize("text", HELD_UP)
def test_held_up(text: str) -> None:
    error = parsed(text)
    assert (means_not_here(error), may_pass(error), is_reply(error)) == (False, True, True)


@pytest.mark.parametrize("text", LASTING)
def test_lasting(text: str) -> None:
    error = parsed(text)
    assert (means_not_here(error), may_pass(error), is_reply(error)) == (False, False, True)


def test_no_answer() -> None:
    for error in (redis.ConnectionError("cut"), redis.TimeoutError("late"), OSError(1, "x")):
        assert (means_not_here(error), may_pass(error), is_reply(error)) == (False, True, False)
