"""What a process answers to those who ask something of it."""

from __future__ import annotations

from typing import Any

import msgspec

from gresque.store.connection import DirectConnection
from gresque.store.keys import Keys
from gresque.store.speech import ORDER_EXPIRY_SECONDS


def give_answer(connection: DirectConnection, keys: Keys, token: str, answer: Any) -> None:
    """Raises RedisError."""
    key = keys.answer(token).encode("utf-8", "surrogateescape")
    connection.call(b"RPUSH", key, msgspec.json.encode(answer))
    connection.call(b"EXPIRE", key, ORDER_EXPIRY_SECONDS)
