"""What other programs of the Resque family do with what stands in Redis, in a few lines each, by
the commands that they were seen to send (tests/wire)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import redis

Item = dict[str, Any]
FAILED = "resque:failed"


def dumps(value: Any) -> bytes:
    """As Ruby's and JavaScript's encoders write it: UTF-8, without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _push(item: Item) -> Item:
    """`Resque::Job.create(queue, class, *args)`."""
    return {"class": item["class"], "args": [*(item.get("args") or [])]}


def _node(item: Item) -> Item:
    """`queue.enqueue(queue, class, args)`."""
    return {"class": item["class"], "queue": "py", "args": item.get("args") or []}


def _fork(item: Item) -> Item:
    """The Ruby fork keeps the id and counts generations."""
    again = item.get("generation", 0) + 1
    return _push(item) | {"id": item.get("id") or "f" * 32, "generation": again}


def _moved_by_node(item: Item) -> Item:
    return {"class": item["class"], "queue": item.get("queue") or "py", "args": item["args"]}


MOVES: dict[str, Callable[[Item], Item]] = {
    "stock requeues": _push,
    "the fork requeues": _fork,
    "the fork requeues all": lambda item: item,
    "node retries": _node,
    "resque-scheduler delays": lambda item: _push(item) | {"queue": "py"},
    "resque-scheduler moves": _push,
    "node delays": _node,
    "node's scheduler moves": _moved_by_node,
    "resque-retry retries": _push,
    "resque-retry delays": lambda item: _push(item) | {"queue": "py"},
    "PHP sorts keys": lambda item: json.loads(json.dumps(_push(item), sort_keys=True)),
}
"""The payload that each of them pushes, for the one that it takes."""


class Stock:
    """resque 3: its Failed page, and what its buttons do."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def failed_page(self) -> list[Item]:
        """Each entry as the page shows it; raises what would be a 500 there."""
        return [failed_row(raw) for raw in self._client.lrange(FAILED, 0, -1)]

    def requeue(self, index: int) -> None:
        entry = json.loads(self._client.lindex(FAILED, index))
        entry["retried_at"] = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime())
        self._client.lset(FAILED, index, dumps(entry))
        self._client.sadd("resque:queues", entry["queue"])
        self._client.rpush(f"resque:queue:{entry['queue']}", dumps(_push(entry["payload"])))

    def requeue_all(self) -> None:
        for index in range(self._client.llen(FAILED)):
            self.requeue(index)

    def remove(self, index: int) -> None:
        self._client.lset(FAILED, index, "")
        self._client.lrem(FAILED, 1, "")

    def dequeue(self, queue: str, name: str, *args: Any) -> int:
        """`Resque.dequeue`: with arguments by the bytes of the item."""
        key = f"resque:queue:{queue}"
        if args:
            return int(self._client.lrem(key, 0, dumps({"class": name, "args": [*args]})))
        found = [raw for raw in self._client.lrange(key, 0, -1) if json.loads(raw)["class"] == name]
        return sum(int(self._client.lrem(key, 0, raw)) for raw in found)

    def queue_page(self, queue: str) -> list[tuple[str, str]]:
        """Class and arguments of each job."""
        items = map(json.loads, self._client.lrange(f"resque:queue:{queue}", 0, -1))
        return [(item["class"], " ".join(map(str, item["args"] or []))) for item in items]

    def workers_page(self) -> list[Item]:
        rows = []
        for worker in sorted(raw.decode() for raw in self._client.smembers("resque:workers")):
            host, pid, *queues = worker.split(":")
            started = self._client.get(f"resque:worker:{worker}:started")
            beat = self._client.hget("resque:workers:heartbeat", worker)
            counts = [
                self._client.get(f"resque:stat:{n}:{worker}") for n in ("processed", "failed")
            ]
            rows.append({
                "host": host, "pid": int(pid), "queues": queues[0].split(","),
                "started": time.strptime(started.decode(), "%Y-%m-%d %H:%M:%S %z"),
                "beat": beat and time.strptime(beat.decode(), "%Y-%m-%dT%H:%M:%S%z"),
                "counts": [int(each or 0) for each in counts],
                "job": self._client.get(f"resque:worker:{worker}"),
            })  # fmt: skip
        return rows

    def info(self) -> Item:
        names = [name.decode() for name in self._client.smembers("resque:queues")]
        return {
            "pending": sum(self._client.llen(f"resque:queue:{name}") for name in names),
            "processed": int(self._client.get("resque:stat:processed") or 0),
            "failed": int(self._client.get("resque:stat:failed") or 0),
            "workers": self._client.scard("resque:workers"),
            "queues": len(names),
        }


def failed_row(raw: bytes) -> Item:
    """An entry as the pages of stock and fork read it; raises where they would."""
    entry = json.loads(raw)
    host, pid, *queues = entry["worker"].split(":")
    payload = entry["payload"]
    time.strptime(entry["failed_at"], "%Y/%m/%d %H:%M:%S UTC")
    if "retried_at" in entry:
        time.strptime(entry["retried_at"], "%Y/%m/%d %H:%M:%S")
    return {
        "class": payload["class"] + "",
        "args": [str(each) for each in payload.get("args") or []],
        "exception": entry["exception"] + "", "error": entry["error"] + "",
        "backtrace": "\n".join(entry["backtrace"]), "queue": entry["queue"] + "",
        "where": (host, int(pid), tuple(queues)),
    }  # fmt: skip


class Node:
    """node-resque 9: it finds a failed job by the bytes that it would write itself."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def retry_and_remove(self, raw: bytes) -> bool:
        """False: "This job is not in failed queue"."""
        entry = json.loads(raw)
        if not self._client.lrem(FAILED, 1, dumps(entry)):
            return False
        again = {**_node(entry["payload"]), "queue": entry["queue"]}
        self._client.sadd("resque:queues", entry["queue"])
        self._client.rpush(f"resque:queue:{entry['queue']}", dumps(again))
        return True
