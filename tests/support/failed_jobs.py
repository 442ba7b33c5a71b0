"""Failed jobs as tests put them into Redis, and the backends that read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from gresque.failure.entry import encode_entry
from gresque.failure.progress import Progress
from gresque.failure.retry import prepare_retry

FAILED = "resque:failed"
NOW = "2026/11/23 15:33:36"
WIRE = Path(__file__).parents[1] / "wire"
RUBY = json.loads((WIRE / "fork_17_backend_redis_multi_queue.keys.json").read_text())
Redis = redis.Redis


def entry(
    number: int,
    *,
    name: str = "Noop",
    queue: str = "q",
    exception: str = "ValueError",
    error: str = "no",
    failed_at: str = "",
    retried: bool = False,
) -> bytes:
    item = {"class": name, "args": [number], "id": f"id{number}", "generation": 1}
    raw = encode_entry(json.dumps(item).encode(), exception, error, [], "host:1:q:1:1:1", queue)
    if failed_at:
        fields = json.loads(raw)
        raw = json.dumps(fields | {"failed_at": failed_at}).encode()
    return prepare_retry(raw, NOW).marked if retried else raw


FOREIGN: list[dict[str, Any]] = [
    {"error": None},
    {"failed_at": 1795447994},
    {"failed_at": 1795447994000},
    {"failed_at": "Mon Nov 23 2026 15:33:14 GMT+0000 (Coordinated Universal Time)"},
    {"failed_at": "2026-11-23T15:33:14+00:00"},
    {"backtrace": "a.js:1\nb.js:2"},
    {"backtrace": [1, None, "x"]},
    {"error": {"code": 5}, "exception": 7},
    {"worker": None},
    {"error": "cut \ud83d"},
    {"payload": {"class": "Odd", "args": ["\udc00"]}},
]
LACKING = [["backtrace"], ["worker"], ["backtrace", "worker", "error"], ["failed_at"]]


def odd_entries() -> list[bytes]:
    """Entries of jobs `Odd(1)` of queue py as programs in other languages may write them: without
    some fields, or with null or a number where Ruby writes a text."""
    return [
        *(_foreign(each) for each in FOREIGN),
        *(_foreign({}, names) for names in LACKING),
    ]


def _foreign(more: dict[str, Any], lacking: Sequence[str] = ()) -> bytes:
    usual = {
        "worker": "vm:1", "queue": "py", "payload": {"class": "Odd", "args": [1]},
        "exception": "TypeError", "error": "no", "backtrace": ["a.js:1"],
        "failed_at": "2026/11/23 15:33:14 UTC",
    }  # fmt: skip
    whole = usual | more
    return json.dumps({name: whole[name] for name in whole if name not in lacking}).encode()


def numbers(raws: list[bytes]) -> list[int]:
    """Which jobs these entries or queue items are, by their argument."""
    found = [json.loads(raw) for raw in raws]
    return [item.get("payload", item)["args"][0] for item in found]


def keep(client: Redis, queue: str, *raws: bytes) -> None:
    """As the Ruby fork's backend of this name does."""
    client.sadd("resque:failed_queues", f"{queue}_failed")
    client.rpush(f"resque:{queue}_failed", *raws)


class Stopper(Progress):
    """Stops after the given number of pages; does not wait for others."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.seen: list[tuple[int, int]] = []

    def advanced(self, done: int, total: int) -> bool:
        self.seen.append((done, total))
        return len(self.seen) < self.pages

    def waiting(self) -> bool:
        return False
