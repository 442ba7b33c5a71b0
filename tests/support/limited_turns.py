"""Turns of a worker process under policies."""

from __future__ import annotations

from typing import Any

import redis

from tests.support.worker_scripts import (
    POLICIES,
    cycle,
    parts,
    q,
    slots,
)

Redis = redis.Redis
HOUR = 3_600_000


def push(db: Redis, **counts: int) -> None:
    for queue, count in counts.items():
        db.rpush(q(queue), *(f"{queue}{number}" for number in range(count)))


def policies(db: Redis, **texts: str) -> None:
    db.delete(POLICIES)
    if texts:
        db.hset(POLICIES, mapping=texts)


class Turns:
    """Turns of one process, which numbers them and knows its slots."""

    def __init__(self, db: Redis, queues: str) -> None:
        self.db, self.queues = db, list(queues)
        self.number = 0
        self.slots: dict[str, str] = {}  # -> payload

    def take(self, want: int, *, ended: Any = (), caps: str = "", **options: Any) -> Any:
        """One turn; returns payloads with their flags, what is paused, what is full or dry."""
        self.number += 1
        free = [slot for slot in slots(100) if slot not in self.slots][:want]
        reply = cycle(
            self.db, self.number, want, self.queues, ended=ended, free=free, own_caps=caps,
            counted=(len(ended), 0), freed=self.queues if ended else (), **options,
        )  # fmt: skip
        paused: list[int] = []
        limited: list[int] = []
        self.wait = 0
        if reply and reply[0] == b"refused":
            assert reply[1] == []
            self.notes = parts(reply)[1]
            reply, self.wait, paused, limited = reply[3:]
        for slot in ended:
            del self.slots[slot]
        found = []
        filled = iter([*ended, *free])
        for index, raws in zip(reply[::2], reply[1::2], strict=True):
            for raw in raws:
                self.slots[next(filled)] = raw.decode()
                found.append(":+@#"[index // 1000] + raw.decode())
        return found, paused, limited

    def slot(self, payload: str) -> str:
        return next(slot for slot, raw in self.slots.items() if raw == payload)
