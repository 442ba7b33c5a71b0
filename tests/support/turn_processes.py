"""Worker processes without threads: tests say what their jobs do."""

from __future__ import annotations

import json
from typing import Any

import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.queue_list import QueueList
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight, ReservedJob

WORKER = "vm:1:a,b:1:1:1"
QUEUES = ("a", "b")
SLOTS = 6
CAPPED, OWN_CAP = "a", 3
"""Processes with an odd number serve this queue with a cap of their worker."""


class Died(BaseException):
    """The process is killed while it waits for an answer."""


class LossyConnection(TrackedConnection):
    """A connection on which the next turn goes wrong as the test says."""

    loss = ""
    skip = 0
    """How many calls of the turn go well first."""
    sent: tuple[Any, ...] | None = None
    answered: Any = None

    def run(self, found: Any, keys: int, *arguments: Any) -> Any:
        if self.skip and self.loss:
            self.skip -= 1
            loss = ""
        else:
            loss, self.loss = self.loss, ""
        if loss == "death before":
            raise Died
        if loss == "request":
            raise redis.ConnectionError("cut before it arrived")
        if found is script("cycle"):
            self.sent = (keys, *arguments)
        reply = super().run(found, keys, *arguments)
        if found is not script("forget_suspects"):
            self.answered = reply
        if loss == "reply":
            raise redis.ConnectionError("cut before the answer came")
        if loss == "death after":
            raise Died
        return reply


class Process:
    """A worker process without threads: what its jobs do is for the test to say."""

    def __init__(self, url: str, store: Store, number: int) -> None:
        self.number = number
        self.name = f"{WORKER}:{number}:1764000000000"
        self.in_flight = InFlight(Totals(), store.keys)
        served = ",".join(QUEUES)
        if number % 2:
            served = served.replace(CAPPED, f"{CAPPED}:{OWN_CAP}", 1)
        self.queues = QueueList.parse(served)
        self.cycle = Cycle(
            url,
            store.keys,
            self.in_flight,
            WORKER,
            self.name,
            self.queues,
            SLOTS,
            pause=lambda _: True,
            revive=self.revive,
            running=lambda: self.running,
        )
        self.line = self.cycle._session.connection = LossyConnection(url, store.keys.namespace)
        self.line.connect()
        self.running: list[ReservedJob] = []
        self.done: list[str] = []
        """Ended well, and not settled yet."""
        self.kept: set[str] = set()
        """Those of them that have results."""

    def revive(self, held: list[ReservedJob], number: int, totals: Totals) -> bool:
        return False


class LastingProcess(Process):
    """Registers again when the server has forgotten this process."""

    def revive(self, held: list[ReservedJob], number: int, totals: Totals) -> bool:
        keys = self.cycle._keys
        jobs = [part for pair in self.in_flight.entries(held) for part in pair]
        done = self.line.run(
            script("revive"), 9,
            keys.workers, keys.worker_started(WORKER), keys.ledgers, keys.ledger(self.name),
            keys.heartbeats, keys.fenced, keys.processes,
            keys.inflight, keys.inflight_of(WORKER),
            WORKER, "now", self.name, "now", 1000, "0 0 0 0 0", "machine 1",
            number, " ".join(map(str, totals)), *jobs,
        )  # fmt: skip
        return bool(done)


def id_of(raw: bytes) -> str:
    return str(json.loads(raw)["id"]) if raw.startswith(b"{") else raw.decode()
