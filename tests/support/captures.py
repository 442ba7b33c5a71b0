"""Keys as other programs left them in Redis: the captures in `tests/wire`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

WIRE = Path(__file__).parents[1] / "wire"


def captured(name: str) -> dict[str, Any]:
    """Key -> its type, time to live and value."""
    found: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text("utf-8"))
    return found


def put(client: redis.Redis, name: str) -> None:
    """Write the keys of a capture, without their expiry."""
    ways: dict[str, Callable[[str, Any], Any]] = {
        "string": client.set,
        "set": lambda key, value: client.sadd(key, *value),
        "list": lambda key, value: client.rpush(key, *value),
        "hash": lambda key, value: client.hset(key, mapping=value),
    }
    for key, found in captured(name).items():
        ways[found["type"]](key, found["value"])
