"""The jobs that run for long, published for the page of the Ruby fork; and its kills."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.logs import fields
from gresque.processes.identity import split_process_id
from gresque.store.keys import Keys
from gresque.store.refusals import name_refused, pairs
from gresque.text import decoded, printable
from gresque.worker.native.published_job import MOST_BYTES, SHORT_BYTES, published_job
from gresque.worker.threads.end_log import describe
from gresque.worker.threads.kills import Kill, KilledFromRuby
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.in_flight import ReservedJob

log = logging.getLogger("gresque.worker")

LONG_SECONDS = 2.0
MOST_JOBS = 50
EXPIRY_SECONDS = 60
RENEW_SECONDS = 40.0
JOBS_A_SECOND = 1.0
"""Beside the first 50 that come after a quiet time."""
BYTES_A_SECOND = 200.0
KILLED = "the page of the Ruby fork asked for it"
REFUSED = "the jobs of this process are not seen in the page of the Ruby fork"


class Published(NamedTuple):
    """A job, and the key under which it stands."""

    job: ReservedJob
    key: str


class PublishedThreads:
    """The keys of one process. The heartbeat's thread calls it.

    1. While jobs run for over 2 s, the oldest 50 of them stand there, each under a number of its
       own. A job is written once; while it runs on, its expiry is renewed every 40 s.
    2. As one of them ends it is removed, and the next one takes its place: one a second, so that a
       thousand jobs that end all the time do not fill the network. The bytes are limited, too:
       beyond that, payloads are cut.
    3. A kill of that page names a number. It means the job that was published under it, and no
       later one.
    4. What is left is removed when the process leaves, or by the process that recovers it.
    """

    def __init__(self, keys: Keys, process_id: str, pool: ThreadPool) -> None:
        worker, pid = split_process_id(process_id)
        self._process_id = process_id
        self._thread_pool = pool
        self._ledgers, self._set = keys.ledgers, keys.worker_threads(worker)
        self._kills = keys.worker_kills(worker, pid)
        self._name = f"{worker}:{pid}:"
        self._keys = keys
        self._jobs: dict[int, Published] = {}
        """By number."""
        self._ended: list[str] = []
        """Keys of jobs that have ended, until they are removed."""
        self._next = 0
        self._renew_at = 0.0
        self._places = float(MOST_JOBS)
        self._bytes = float(MOST_JOBS * MOST_BYTES)
        self._counted_at = time.monotonic()

    @property
    def was_used(self) -> bool:
        """Whether some job was ever published."""
        return self._next > 0

    def forget(self) -> None:
        """What stands in Redis is not known any more: it is another connection."""
        self._renew_at = 0.0

    def publish(self, connection: TrackedConnection, since: Mapping[str, float]) -> None:
        """Publish what has changed; `since`: slot -> start of the running jobs, on the monotonic
        clock. Raises RedisError."""
        now = time.monotonic()
        is_long = any(now - start >= LONG_SECONDS for start in since.values())
        if not (is_long or self._jobs or self._ended):
            return
        running = {id(job) for job in self._thread_pool.running_jobs()}
        for number, each in [*self._jobs.items()]:
            if id(each.job) not in running:
                self._ended.append(self._jobs.pop(number).key)
        going_on = [*self._jobs] if now >= self._renew_at else []
        new = self._take_new(now) if is_long else {}
        if not (self._ended or going_on or new):
            return
        self._send(connection, going_on, new)
        if going_on or not self._renew_at:
            self._renew_at = now + RENEW_SECONDS

    def take_kills(self, connection: TrackedConnection, changed: Collection[bytes | None]) -> None:
        """Kill what the page asks for, when the server has announced that; else look, while jobs
        are published. Raises RedisError."""
        is_announced = self._kills.encode("utf-8", "surrogateescape") in changed
        if not (is_announced or (self._jobs and not connection.tracking)):
            return
        taken = connection.run(script("take_commands"), 1, self._kills)
        if isinstance(taken, bytes):
            name_refused(self._keys, [(self._kills, taken.decode())], REFUSED)
            return
        for raw in taken:
            self._kill(decoded(raw))

    def remove(self, connection: TrackedConnection) -> None:
        """Remove all that stands there, or may. Called in the main greenlet, when the process is
        unregistered: from then on the script publishes nothing. Raises RedisError."""
        keys = [*self._ended, *(each.key for each in list(self._jobs.values()))]
        connection.run(
            script("publish_threads"), 3 + len(keys),
            self._ledgers, self._set, self._kills, *keys, *self._arguments(len(keys), 0),
        )  # fmt: skip

    def _take_new(self, now: float) -> dict[int, bytes]:
        """Number -> what is to be written of the oldest jobs that are not published yet, as far as
        there is room for them."""
        self._count_off(now)
        room = min(MOST_JOBS - len(self._jobs), int(self._places))
        if room <= 0:
            return {}
        known = {id(each.job) for each in self._jobs.values()}
        waiting = [
            (thread.since, number, job)
            for number, thread in enumerate([*self._thread_pool.threads])
            if (job := thread.job) is not None
            and id(job) not in known
            and now - thread.since >= LONG_SECONDS
        ]
        ahead, new = time.time() - now, {}
        for start, _, job in heapq.nsmallest(room, waiting):
            most = MOST_BYTES if self._bytes >= MOST_BYTES else SHORT_BYTES
            text = published_job(job[1], start + ahead, job[2], most)
            self._bytes -= len(text)
            self._places -= 1
            key = self._keys.worker_thread(f"{self._name}{self._next}")
            new[self._next] = text
            # Before it is sent: a process that leaves meanwhile has to remove it.
            self._jobs[self._next] = Published(job, key)
            self._next += 1
        return new

    def _count_off(self, now: float) -> None:
        seconds, self._counted_at = now - self._counted_at, now
        self._places = min(self._places + seconds * JOBS_A_SECOND, float(MOST_JOBS))
        most = float(MOST_JOBS * MOST_BYTES)
        self._bytes = min(self._bytes + seconds * BYTES_A_SECOND, most)

    def _send(
        self, connection: TrackedConnection, going_on: Sequence[int], new: Mapping[int, bytes]
    ) -> None:
        ended = [*self._ended]
        keys = [*ended, *(self._jobs[number].key for number in (*going_on, *new))]
        try:
            registered, gone, refused = connection.run(
                script("publish_threads"), 3 + len(keys),
                self._ledgers, self._set, self._kills, *keys,
                *self._arguments(len(ended), len(going_on)), *new.values(),
            )  # fmt: skip
        except BaseException:
            self._renew_at = 0.0  # it is not known what stands there
            raise
        name_refused(self._keys, pairs(refused), REFUSED)
        del self._ended[: len(ended)]
        if not registered:
            self._jobs.clear()
        for index in gone:  # Redis has lost it: it is published again, under another number
            del self._jobs[going_on[index - 1]]

    def _arguments(self, ended: int, going_on: int) -> tuple[str | int, ...]:
        prefix = self._keys.worker_thread("").encode("utf-8", "surrogateescape")
        return self._process_id, len(prefix), EXPIRY_SECONDS, ended, going_on

    def _kill(self, number: str) -> None:
        published = self._jobs.get(int(number)) if number.isdecimal() else None
        threads = [*self._thread_pool.threads]
        thread = next((t for t in threads if published and t.job is published.job), None)
        if published is None or thread is None:
            log.info(
                "the Ruby fork's page wants to kill job %s of this process, which has ended",
                printable(number),
                extra=fields("kill_too_late", number=number),
            )
            return
        job = published.job
        log.info(
            "asked by the Ruby fork's page to kill %s",
            describe(job),
            extra=fields("kill_received", queue=job[1], by="the Ruby fork's page"),
        )
        kill = Kill(job, KILLED, False, time.monotonic(), KilledFromRuby)
        self._thread_pool.kill_from_outside(thread, kill)
