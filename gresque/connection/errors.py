"""Errors of Redis and of connections: how they are made, what they mean, how they are explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis._parsers import BaseParser
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from gresque.connection.urls import Endpoint, endpoint, shown
from gresque.errors import RedisUnavailable

_NOT_HERE = re.compile(
    r"\b(READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|LOADING|NOREPLICAS|UNBLOCKED)\b"
)
"""Codes of a server that cannot serve the call, or not now: a replica, a node that a slot has left,
a primary without its replicas. The address may lead to another server the next time."""

_HELD_UP = re.compile(r"\b(OOM|BUSY|MISCONF)\b")
"""Codes of errors of the right server that end by themselves: it is full, a script keeps it busy,
or it cannot save."""


def of_reply(text: str) -> RedisError:
    """The error that a reply stands for."""
    try:
        error: RedisError = BaseParser.parse_error(text)
    except ValueError:  # a MOVED with more parts than redis-py expects
        error = ResponseError(text)
    return without_arguments(error)


def of_socket(error: OSError, doing: str) -> RedisError:
    """The error of redis-py for a socket that failed while "reading from" or "writing to" it."""
    if isinstance(error, TimeoutError):
        return redis.TimeoutError(f"timed out {doing} the socket")
    return redis.ConnectionError(f"error while {doing} the socket: {error}")


def password_refused(error: AuthenticationError) -> RedisUnavailable:
    """The error of a connection whose password is wrong."""
    return RedisUnavailable(f"Redis refused the password: {error}")


def is_reply(error: Exception) -> bool:
    """Whether the server answered. A command that it answers with an error has had no effect."""
    refused = ResponseError | AuthenticationError | AuthorizationError
    return isinstance(error, refused) or bool(getattr(error, "status_code", None))


def means_not_here(error: Exception) -> bool:
    """Whether the connection leads to a server that must not be asked any more."""
    return _has_code(error, _NOT_HERE)


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return False
    if isinstance(error, ResponseError):
        return _has_code(error, _NOT_HERE) or _has_code(error, _HELD_UP)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)


def without_arguments(error: RedisError) -> RedisError:
    """The error without the arguments of the command that it quotes: those of a login are a user
    and a password."""
    message, quoted, _ = str(error).partition(", with args beginning with")
    if quoted:
        error.args = (message,)
    return error


def _has_code(error: Exception, codes: re.Pattern[str]) -> bool:
    # The code of an error within a script may stand in the middle of the message.
    return bool(codes.search(f"{getattr(error, 'status_code', None) or ''} {error}"))


_WITHIN_SCRIPT = re.compile(r",? script: .*on @\S+$")


@contextmanager
def plain_errors(url: str) -> Iterator[None]:
    """Turn redis-py's errors into RedisUnavailable, which says where the server is."""
    try:
        yield
    except RedisError as error:
        raise RedisUnavailable(explain(url, error)) from alone(error)


def alone(error: Exception) -> Exception:
    """The error as a cause: a program's traceback shows it as one line, without the errors that led
    to it and the frames of redis-py, which tell a user nothing that its message does not."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def explain(url: str, error: Exception) -> str:
    """One line that says what is wrong with Redis, and where."""
    where = endpoint(url).place
    if isinstance(error, RedisUnavailable):
        return str(error)
    if is_reply(error):
        code = getattr(error, "status_code", None)
        text = str(error)
        if code and code != "ERR" and not text.startswith(code):
            text = f"{code} {text}"
        text = _WITHIN_SCRIPT.sub("", text)
        remedy = _remedy(endpoint(url), error)
        return f"Redis at {where} refuses: {text.rstrip('.') if remedy else text}{remedy}"
    return f"no answer from Redis at {where} ({error or type(error).__name__})"


def _remedy(at: Endpoint, error: Exception) -> str:
    """The remedy when the URL names the wrong server."""
    if at.fails_over:
        return ""  # the next connection is opened to another one
    if isinstance(error, AskError | ClusterCrossSlotError):  # MOVED is an AskError, too
        named = (error.host, error.port) if isinstance(error, AskError) else ("HOST", 6379)
        host = at.hosts[0] if at.hosts else named
        url = f"redis{'s' if at.tls else ''}+cluster://{shown(host)}"
        return f"; this is a Cluster: write {url} and RESQUE_NAMESPACE={{resque}}"
    if isinstance(error, ReadOnlyError | MasterDownError):
        return "; this is a replica: give the URL of the primary"
    return ""
