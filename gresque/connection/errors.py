"""What Redis's errors mean: an answer or none, one that passes, one from the wrong server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from gresque.connection.topology import place
from gresque.errors import RedisUnavailable

_NOT_HERE = re.compile(
    r"\b(READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|LOADING|NOREPLICAS|UNBLOCKED)\b"
)
"""Codes of a server that is not, or not now, the one to ask: a replica, a node that a slot has
left, a primary without its replicas. The address may lead to another server the next time."""

_HELD_UP = re.compile(r"\b(OOM|BUSY|MISCONF)\b")
"""Codes of errors of the right server that end by themselves: it is full, is held up by a script,
or cannot save."""


def is_reply(error: Exception) -> bool:
    """Whether the server answered; what it answers with an error it has not done."""
    refused = ResponseError | AuthenticationError | AuthorizationError
    return isinstance(error, refused) or bool(getattr(error, "status_code", None))


def means_not_here(error: Exception) -> bool:
    """Whether the connection stands at a server that is not to be asked any more."""
    return _has_code(error, _NOT_HERE)


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return False
    if isinstance(error, ResponseError):
        return _has_code(error, _NOT_HERE) or _has_code(error, _HELD_UP)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)


def without_arguments(error: RedisError) -> RedisError:
    """An unknown command is quoted with its arguments; that of a login has the password in it."""
    told, quoted, _ = str(error).partition(", with args beginning with")
    if quoted:
        error.args = (told,)
    return error


def _has_code(error: Exception, codes: re.Pattern[str]) -> bool:
    # An error within a script may come wrapped, its code in the middle.
    return bool(codes.search(f"{getattr(error, 'status_code', None) or ''} {error}"))


_WITHIN_SCRIPT = re.compile(r",? script: .*on @\S+$")


@contextmanager
def plain_errors(url: str) -> Iterator[None]:
    """Redis-py's errors become RedisUnavailable, with where the server is."""
    try:
        yield
    except RedisError as error:
        raise RedisUnavailable(explain(url, error)) from error


def explain(url: str, error: Exception) -> str:
    """One line that says what is wrong with Redis, and where."""
    if isinstance(error, RedisUnavailable):
        return str(error)
    if is_reply(error):
        code = getattr(error, "status_code", None)
        text = str(error)
        told = text if not code or code == "ERR" or text.startswith(code) else f"{code} {text}"
        told = _WITHIN_SCRIPT.sub("", told)
        remedy = _remedy(error)
        return f"Redis at {place(url)} refuses: {told.rstrip('.') if remedy else told}{remedy}"
    return f"no answer from Redis at {place(url)} ({error or type(error).__name__})"


def _remedy(error: Exception) -> str:
    """What to do when the URL names a server that is not the one to ask."""
    if isinstance(error, AskError):  # MOVED is one, too
        return (
            f"; this is a node of a Cluster, and slot {error.slot_id} is at {error.host}:"
            f"{error.port}: give the URL of that node, and a namespace in braces ({{resque}})"
        )
    if isinstance(error, ReadOnlyError | MasterDownError):
        return "; this is a replica: give the URL of the primary"
    return ""
