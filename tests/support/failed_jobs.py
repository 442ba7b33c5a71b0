"""Failed jobs as tests put them into Redis, and the backends that read them."""

from __future__ import annotations

import json
from pathlib import Path

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
