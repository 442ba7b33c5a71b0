"""The answers of a process to commands."""

from __future__ import annotations

from typing import Any

import msgspec

from gresque.connection.tracked import TrackedConnection
from gresque.store.commands import COMMAND_EXPIRY_SECONDS
from gresque.store.keys import Keys


def give_answer(connection: TrackedConnection, keys: Keys, token: str, answer: Any) -> None:
    """Raises RedisError."""
    key = keys.answer(token).encode("utf-8", "surrogateescape")
    connection.call(b"RPUSH", key, msgspec.json.encode(answer))
    connection.call(b"EXPIRE", key, COMMAND_EXPIRY_SECONDS)
