"""Having replicas confirm what was written, by WAIT."""

from __future__ import annotations

from typing import Any

import hiredis
import redis
from redis.exceptions import NoPermissionError, ResponseError

from gresque.connection.errors import alone, explain
from gresque.connection.raw import RawConnection
from gresque.connection.urls import endpoint
from gresque.errors import RedisUnavailable

SETTING = "ENQUEUE_WAIT_REPLICAS"

LEAST_SECONDS = 0.1
"""Replicas always get this time, as a WAIT of 0 blocks for ever."""

SHARE_OF_REPLY = 0.8
"""WAIT takes at most this share of the time that a reply may take: its answer has to come, too."""


class Unconfirmed(redis.ConnectionError, RedisUnavailable):
    """The server has done it, and too few replicas have it as well."""


class ConfirmationRefused(redis.RedisError, RedisUnavailable):
    """The server does not allow WAIT."""


class Replicas:
    """The replicas that are to have what a connection writes."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._count = count

    def check(self, connection: RawConnection) -> None:
        """Raises ConfirmationRefused before anything is written."""
        connection.send(b"WAIT", 0, 1)
        try:
            connection.read()
        except ResponseError as error:  # others, such as that of a replica, are those of a write
            if _refuses(error):
                raise self._refused(error) from alone(error)

    def wait(self, connection: RawConnection, seconds: float) -> bytes:
        """The command to send behind a write, in the same packet: WAIT covers only what its own
        connection wrote, so also a call that was done before has to write something."""
        most = SHARE_OF_REPLY * (connection.reply_seconds or seconds)
        milliseconds = max(1, int(1000 * min(max(seconds, LEAST_SECONDS), most)))
        command: tuple[Any, ...] = ("WAIT", self._count, milliseconds)
        packed: bytes = hiredis.pack_command(command)
        return packed

    def confirm(self, connection: RawConnection) -> None:
        """Read the reply to that command. Raises Unconfirmed and ConfirmationRefused."""
        try:
            found = connection.read()
        except ResponseError as error:
            if _refuses(error):
                raise self._refused(error) from alone(error)
            raise self._unconfirmed(str(error)) from alone(error)
        if found < self._count:
            raise self._unconfirmed(f"{found} of {self._count} did")

    def _unconfirmed(self, why: str) -> Unconfirmed:
        place = endpoint(self._url).place
        return Unconfirmed(f"the replicas of Redis at {place} did not confirm: {why}")

    def _refused(self, error: Exception) -> ConfirmationRefused:
        return ConfirmationRefused(
            f"{explain(self._url, error)}; {SETTING} needs WAIT: allow it, or set that to 0"
        )


def _refuses(error: Exception) -> bool:
    """Whether WAIT is not allowed, or not known."""
    return isinstance(error, NoPermissionError) or "unknown command" in str(error).lower()
