"""Queues with limits and unique jobs beside the jobs of chaos.py: an observer counts the entries of
all ledgers every 10 ms, and each trigger of a unique job must be seen by a run."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import chaos_jobs
import redis
from chaos_notes import Note
from chaos_ticks import insist
from observer import Look, Observer, Watch

import gresque
from gresque.errors import RedisUnavailable

CAP, OWN_CAP = 20, 5
CAPPED, RATED, PAUSED, OWN = QUEUES = ("bench-capped", "bench-rated", "bench-paused", "bench-own")
WORKED = f"{CAPPED},{RATED},{PAUSED},{OWN}:{OWN_CAP},bench"
RUNNING = "ChaosRunning"
TRIGGERED = {"ChaosQueued": chaos_jobs.chaos_queued, "ChaosAgain": chaos_jobs.chaos_again}
KINDS = (*QUEUES, RUNNING, *TRIGGERED)
LOCKS = 20
"""Of each kind of unique job."""
MOST_WAITING = 300
TRIGGER = "sync-"
"""Begins the key of a run that was triggered: not each trigger has a run of its own."""


class Flow:
    """The part of a run of chaos that has limits and locks."""

    def __init__(self, client: gresque.Client, url: str, directory: Path, *, is_on: bool) -> None:
        self._client = client
        self._is_on = is_on
        self._redis = redis.Redis.from_url(url)
        self._directory = directory
        self._counts: Counter[str] = Counter()
        """Key -> triggers of a unique job."""
        self._lock_of: dict[str, str] = {}
        """Key of a job -> its lock, where no two may run at once."""
        self._is_paused = False
        self._numbers = count()
        self._watch = Watch(Observer(self._redis), self._see, patient=True)
        self._most: Counter[str] = Counter()
        self._pauses = 0

    def begin(self) -> None:
        if not self._is_on:
            return
        self._client.limit(CAPPED, concurrent=CAP)
        self._client.limit(RATED, rate="300/s", burst=30)
        self._watch.start()

    def close(self) -> None:
        self._watch.stop()
        self._redis.close()

    def _see(self, look: Look) -> None:
        found = {CAPPED: look.held[CAPPED]}
        found[OWN] = max((n for (_, queue), n in look.held_of.items() if queue == OWN), default=0)
        for queue, held in found.items():
            self._most[queue] = max(self._most[queue], held)

    # While it rages

    def kind(self) -> str:
        """That of the next job."""
        return KINDS[next(self._numbers) % len(KINDS)]

    def enqueue(self, kind: str, calls: Sequence[tuple[str, float]]) -> list[str]:
        """Returns the keys of the jobs that must run, each by itself."""
        if kind in TRIGGERED:
            names = [f"{TRIGGER}{kind}-{random.randrange(LOCKS)}" for _ in calls]
            self._trigger(kind, names, calls[0][1])
            return []
        if kind == RUNNING:
            lock_of = {key: f"lock-{random.randrange(LOCKS)}" for key, _ in calls}
            self._lock_of |= lock_of
            pushed = [(key, seconds, lock_of[key]) for key, seconds in calls]
            self._client.enqueue_many(chaos_jobs.chaos_running, pushed)
        elif self._size(kind) < MOST_WAITING:
            self._client.enqueue_many("Chaos", calls, queue=kind)
        else:
            return []
        return [key for key, _ in calls]

    def _size(self, queue: str) -> int:
        with suppress(RedisUnavailable):
            return self._client.size(queue)
        return MOST_WAITING

    def _trigger(self, kind: str, keys: Sequence[str], seconds: float) -> None:
        for key in keys:
            self._counts[key] += 1
            chaos_jobs.trigger(self._directory, key, self._counts[key])
        self._client.enqueue_many(TRIGGERED[kind], [(key, seconds) for key in keys])

    def pause_or_unpause(self) -> None:
        with suppress(RedisUnavailable, redis.RedisError):
            if self._is_paused:
                self._client.unpause(PAUSED)
            else:
                self._client.pause(PAUSED)
            self._is_paused = not self._is_paused
            self._pauses += self._is_paused

    def end(self, *, has_forgotten: bool) -> None:
        """All must come to an end now. A server that has forgotten enqueues has forgotten triggers
        too: one more of each follows."""
        if self._is_on:
            insist(lambda: self._client.unpause(PAUSED))
        if has_forgotten:
            for kind in TRIGGERED:
                self._trigger(kind, [key for key in self._counts if kind in key], 0.01)

    # Counting

    def count(
        self, lines: Sequence[Note], killed_at: Mapping[int, float], *, has_forgotten: bool
    ) -> dict[str, Any]:
        """A server that forgets lets more jobs run at once than it knows of."""
        over = (self._most[CAPPED] > CAP) + (self._most[OWN] > OWN_CAP)
        left = [*self._redis.scan_iter("resque:inflight*"), *self._redis.scan_iter("resque:freed*")]
        return {
            "triggers": self._counts.total(),
            "triggers_lost": self._triggers_lost(lines),
            "pauses": self._pauses,
            "most_at_once": self._most[CAPPED],
            "above_a_cap": 0 if has_forgotten else over,
            "two_at_once": 0 if has_forgotten else overlaps(lines, self._lock_of, killed_at),
            "locks_left": sum(1 for _ in self._redis.scan_iter("resque:unique:*")),
            "counts_left": len(left),
        }

    def _triggers_lost(self, lines: Sequence[Note]) -> int:
        """Of the last one of each key, those after which no run began that came to its end."""
        seen: Counter[str] = Counter()
        for line in lines:
            if line.event == "end" and line.key.startswith(TRIGGER):
                key, _, number = line.key.partition("@")
                seen[key] = max(seen[key], int(number))
        return sum(seen[key] < number for key, number in self._counts.items())


def overlaps(
    lines: Sequence[Note], lock_of: Mapping[str, str], killed_at: Mapping[int, float]
) -> int:
    """How many jobs began while another one with the same lock was running. One that was killed
    runs no more; `killed_at`: pid of a worker process -> when."""
    inside: dict[str, dict[str, Note]] = {}
    found = 0
    for line in sorted(lines, key=lambda line: line.at):
        lock = lock_of.get(line.key)
        if lock is None:
            continue
        running = inside.setdefault(lock, {})
        if line.event == "start":
            found += any(
                other.pid not in killed_at or killed_at[other.pid] > line.at
                for other in running.values()
            )
            running[line.key] = line
        else:
            running.pop(line.key, None)
    return found
