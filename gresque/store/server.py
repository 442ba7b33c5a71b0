"""The server behind one namespace: how the parts of the store call it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis

from gresque.connection.pooled import open_client
from gresque.connection.scripts import script
from gresque.connection.waits import BLOCKING, Waits
from gresque.store.keys import Keys
from gresque.store.refusals import is_wrong_type, name_refused
from gresque.text import encoded


class Server:
    """Connects at the first call; greenlets and threads may share it. Its methods raise redis-py's
    errors."""

    def __init__(
        self,
        redis_url: str,
        namespace: str,
        waits: Waits = BLOCKING,
        reply_seconds: float | None = None,
    ) -> None:
        self.url = redis_url
        self.keys = Keys(namespace)
        self.redis: redis.Redis = open_client(redis_url, namespace, waits, reply_seconds)

    def call(self, command: str, *arguments: Any) -> Any:
        return self.redis.execute_command(
            command, *(encoded(each) if isinstance(each, str) else each for each in arguments)
        )

    def read(self, empty: Any, command: str, key: str, *arguments: Any) -> Any:
        """The value of a key, `empty` when that is of another type."""
        return self.ask(empty, key, lambda: self.call(command, key, *arguments))

    def ask(
        self, empty: Any, key: str, ask: Callable[[], Any], consequence: str = "it counts as empty"
    ) -> Any:
        """The result of `ask`; `empty` when another program keeps something of another type under
        the key. The log names that key; no listing fails because of it."""
        try:
            return ask()
        except redis.ResponseError as error:
            return self.reply(empty, key, error, consequence)

    def reply(self, empty: Any, key: str, raw: Any, consequence: str = "it counts as empty") -> Any:
        """A reply of a pipeline, in which errors stand among the replies: `empty` for a key of
        another type; any other error is raised."""
        if not isinstance(raw, Exception):
            return raw
        if not is_wrong_type(raw):
            raise raw
        name_refused(self.keys, [(key, str(raw))], consequence)
        return empty

    def numbers(self, keys: Sequence[str], replies: Sequence[Any]) -> list[int]:
        """Counts or counters. A key of another type counts as 0, and the log names it; any other
        error is raised."""
        return [self.number(key, reply) for key, reply in zip(keys, replies, strict=True)]

    def number(self, key: str, reply: Any) -> int:
        if isinstance(reply, Exception) and not is_wrong_type(reply):
            raise reply
        try:
            return int(reply or 0)
        except (TypeError, ValueError):
            error = str(reply) if isinstance(reply, Exception) else "it is not a number"
            name_refused(self.keys, [(key, error)], "it counts as 0")
            return 0

    def run_script(self, name: str, keys: Sequence[str | bytes], arguments: Sequence[Any]) -> Any:
        found = script(name)
        try:
            return self.call("EVALSHA", found.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self.call("EVAL", found.text, len(keys), *keys, *arguments)

    def read_by_script(
        self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        """Run a script that only reads, once for each of these KEYS and ARGV, in one round trip.
        A user without the right to write may, where the server has EVAL_RO (from Redis 7)."""
        if not calls:
            return []
        try:
            return self._pipeline_script("_RO", name, calls)
        except redis.ResponseError as error:
            if "unknown command" not in str(error).lower():
                raise
            return self._pipeline_script("", name, calls)

    def pipeline_script(
        self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        """Run a script once for each of these KEYS and ARGV, one after the other, in one round
        trip. An error that it replies stands among the replies."""
        return self._pipeline_script("", name, calls, raise_on_error=False) if calls else []

    def _pipeline_script(
        self,
        suffix: str,
        name: str,
        calls: Sequence[tuple[Sequence[str], Sequence[Any]]],
        raise_on_error: bool = True,
    ) -> list[Any]:
        found = script(name)
        pipeline = self.redis.pipeline(transaction=False)
        for position, (keys, arguments) in enumerate(calls):
            # The first call brings the script along, should the server not know it.
            run = ("EVALSHA", found.sha) if position else ("EVAL", found.text)
            pipeline.execute_command(
                run[0] + suffix, run[1], len(keys), *map(encoded, keys), *arguments
            )
        return list(pipeline.execute(raise_on_error))

    def now(self) -> float:
        """Epoch seconds by the server's clock, which all heartbeats are written by."""
        seconds, microseconds = self.call("TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
