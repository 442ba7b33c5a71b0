"""The check of keys that all scripts of the unit tests run under."""

from __future__ import annotations

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from gresque.connection.scripts import script
from tests.support.declared_keys import MOST_ARGUMENTS, checked


@pytest.mark.parametrize(
    "text",
    [
        "redis.call('SET', 'b', 1)",
        "redis.pcall('SET', 'b', 1)",
        "redis.call('set', ARGV[1], 1)",
        "redis.call('DEL', KEYS[1], 'b')",
        "local call = redis.call call('GET', 'b')",
    ],
)
def test_a_key_that_is_not_declared(redis_client: Redis, text: str) -> None:
    with pytest.raises(ResponseError, match=r"UNDECLARED \w+ b"):
        redis_client.eval(checked(text), 1, "a", "b")
    assert redis_client.keys() == []


def test_a_command_that_the_check_does_not_know(redis_client: Redis) -> None:
    with pytest.raises(ResponseError, match="UNDECLARED what keys SORT has"):
        redis_client.eval(checked("return redis.pcall('SORT', KEYS[1])"), 1, "a")


@pytest.mark.parametrize("arguments", [MOST_ARGUMENTS - 1, MOST_ARGUMENTS])
def test_too_many_arguments(redis_client: Redis, arguments: int) -> None:
    def run() -> object:
        return redis_client.eval(checked("return 1"), 1, "a", *range(arguments))

    if arguments < MOST_ARGUMENTS:
        assert run() == 1
    else:
        with pytest.raises(ResponseError, match=f"UNDECLARED {MOST_ARGUMENTS + 1} arguments"):
            run()


def test_what_is_declared_works_as_ever(redis_client: Redis) -> None:
    text = (
        "redis.call('SET', KEYS[1], ARGV[1]) redis.call('TIME')\n"
        "return {redis.call('GET', KEYS[1]), redis.pcall('LPUSH', KEYS[1], 1).err,"
        " redis.sha1hex('')}"
    )
    value, error, digest = redis_client.eval(checked(text), 1, "a", "1")
    assert (value, digest) == (b"1", b"da39a3ee5e6b4b0d3255bfef95601890afd80709")
    assert error.startswith(b"WRONGTYPE")


def test_unit_tests_run_under_it() -> None:
    assert script("enqueue").text.startswith(b"local redis = ")
    assert script("enqueue") is script("enqueue")
