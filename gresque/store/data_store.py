"""The data store: what gresque asks of Redis outside the worker's cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import redis

from gresque.connection.pooled import open_client
from gresque.connection.scripts import script
from gresque.settings import DEFAULT_RETRY_SECONDS
from gresque.store.bulk import in_bulks
from gresque.store.commands import COMMAND_EXPIRY_SECONDS, Command, KillAnswer, Running
from gresque.store.enqueuer import Enqueuer
from gresque.store.keys import Keys
from gresque.store.ledger import HeldLedger, LedgerEntry, parse_ledger
from gresque.store.refusals import is_wrong_type, name_refused, pairs

RECOVERIES_KEPT = 1000
RECOVERIES_EXPIRY_SECONDS = 30 * 86_400
FENCED_EXPIRY_SECONDS = 30 * 86_400
"""The names of the dead are kept this long after the last death, 10,000 of them at most. It is much
longer than a step of the server's clock. A process that comes back later takes Redis to have lost
its ledger."""


class StillAlive(Exception):
    """A process that was judged dead has beaten since."""


class Move(NamedTuple):
    """A job on its way out of a dead process's ledger: `action` is "requeue", "fail" or "poison" (a
    failure that is told apart in the log), `list_key` where `item` is pushed; an empty one for a
    failure without an entry. For a failure `queue` is the list's name among the failed queues,
    empty for a list that does not stand there."""

    slot: bytes
    action: str
    list_key: bytes
    item: bytes
    queue: str


class Recovered(NamedTuple):
    """What a recovery moved, how many jobs it left, the slots of those that it failed, and the keys
    that Redis refused, each with its error: jobs that belong there stay in the ledger."""

    requeued: int
    failed: int
    left: int
    failed_slots: list[bytes]
    refused: list[tuple[str, str]]


class FailedMove(NamedTuple):
    """A failed job on its way back: the entry as it was read at `place` in the list, what stands
    there then, and the item to push into its queue."""

    place: int
    entry: bytes
    marked: bytes
    queue: str
    item: bytes


class FailedChange(NamedTuple):
    """What becomes of an entry: `kept` stands in its place, or nothing when that is empty; a job is
    pushed when there is a `queue`."""

    entry: bytes
    kept: bytes
    queue: str = ""
    item: bytes = b""


class DataStore:
    """Redis behind one namespace. Connects at the first call; greenlets and threads may share it.

    Its methods raise redis-py's errors, but where they say otherwise. Values are bytes where they
    come from a queue, str where they are names.
    """

    def __init__(
        self, redis_url: str, namespace: str, retry_seconds: float = DEFAULT_RETRY_SECONDS
    ) -> None:
        """`retry_seconds`: for how long a push is tried again when Redis fails."""
        self.redis_url = redis_url
        self.keys = Keys(namespace)
        self.redis: redis.Redis = open_client(redis_url)
        self._enqueuer = Enqueuer(redis_url, self.keys, retry_seconds)

    # Queues

    def push(self, queue: str, raw: bytes) -> None:
        """Make the queue known and push one job. Raises NotEnqueued, PerhapsEnqueued."""
        self._enqueuer.push(queue, (raw,))

    def push_many(self, queue: str, raws: Iterable[bytes]) -> Iterator[int]:
        """Push jobs, a round trip per 1,000 or 16 MB; yields how many each of them pushed."""
        for batch in in_bulks(raws, len):
            yield self.push_batch(queue, batch)

    def push_batch(self, queue: str, batch: list[bytes]) -> int:
        """Push jobs in one round trip, all of them or none; returns how many.

        Raises NotEnqueued, PerhapsEnqueued.
        """
        self._enqueuer.push(queue, batch)
        return len(batch)

    def queue_names(self) -> list[str]:
        return sorted(text(name) for name in self._read((), "SMEMBERS", self.keys.queues))

    def queue_size(self, queue: str) -> int:
        return int(self._call("LLEN", self.keys.queue(queue)))

    def queue_sizes(self) -> dict[str, int]:
        """Every queue with the number of jobs that wait in it, in two round trips."""
        names = self.queue_names()
        pipeline = self.redis.pipeline(transaction=False)
        for name in names:
            pipeline.llen(encoded(self.keys.queue(name)))
        sizes = pipeline.execute(raise_on_error=False)
        keys = [self.keys.queue(name) for name in names]
        return dict(zip(names, self._numbers(keys, sizes), strict=True))

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[bytes]:
        """`count` items from position `start`, the next job first."""
        if count <= 0:
            return []
        items: list[bytes] = self._call("LRANGE", self.keys.queue(queue), start, start + count - 1)
        return items

    def remove_items(self, queue: str, raws: Iterable[bytes]) -> int:
        """Remove every copy of these items from the queue; returns how many went."""
        pipeline = self.redis.pipeline(transaction=False)
        for raw in raws:
            pipeline.execute_command("LREM", self.keys.queue(queue), 0, raw)
        return sum(pipeline.execute())

    def remove_queue(self, queue: str) -> int:
        """Forget the queue and every job in it; returns how many those were."""
        name, key = encoded(queue), encoded(self.keys.queue(queue))
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.llen(key)
        pipeline.srem(self.keys.queues, name)
        pipeline.delete(key)
        pipeline.hdel(self.keys.suspects, key)
        return int(pipeline.execute()[0])

    # Counters

    def stats(self, names: Sequence[str]) -> list[int]:
        """The values of the counters with these keys."""
        return self._numbers(names, self._call("MGET", *names))

    def clear_stat(self, name: str) -> None:
        """Set the counter with this key back to 0."""
        self._call("DEL", name)

    # Failed jobs

    def failed_names(self) -> list[str]:
        """The names of the failed lists, where each queue has one."""
        names = self._read((), "SMEMBERS", self.keys.failed_queues)
        return sorted(text(name) for name in names)

    def failed_count(self, key: str) -> int:
        return int(self._read(0, "LLEN", key))

    def failed_counts(self, names: Sequence[str]) -> list[int]:
        """How many entries the failed lists with these names have."""
        pipeline = self.redis.pipeline(transaction=False)
        for name in names:
            pipeline.llen(encoded(self.keys.failed_list(name)))
        sizes = pipeline.execute(raise_on_error=False)
        return self._numbers([self.keys.failed_list(name) for name in names], sizes)

    def failed_page(self, key: str, start: int, count: int) -> list[bytes]:
        """`count` entries from index `start`, the oldest being 0."""
        entries: list[bytes] = self._read([], "LRANGE", key, start, start + count - 1)
        return entries

    def retry_failed(self, key: str, moves: Sequence[FailedMove]) -> list[bool]:
        """Push and mark failed jobs, each in one atomic step, all in one round trip; False where
        another entry stands by now."""
        found, keys = script("retry_failed"), self.keys
        pipeline = self.redis.pipeline(transaction=False)
        for position, (place, entry, marked, queue, item) in enumerate(moves):
            # The first one brings the script along, should the server not know it.
            run = ("EVALSHA", found.sha) if position else ("EVAL", found.text)
            pipeline.execute_command(
                *run, 3, key, keys.queues, keys.queue(queue), place, entry, marked, queue, item
            )
        return [bool(done) for done in pipeline.execute()]

    def begin_sweep(self, token: str, expiry_ms: int) -> bool:
        """Take the right to go round the failed jobs, which one has at a time; False when another
        has it."""
        key = self.keys.failed_sweep
        if self._call("SET", key, token, "NX", "PX", expiry_ms):
            return True
        if self._call("PTTL", key) > expiry_ms:  # the server's clock was set back
            self._call("PEXPIRE", key, expiry_ms)
        return False

    def end_sweep(self, token: str) -> None:
        self._script("end_sweep", [self.keys.failed_sweep], [token])

    def rewrite_failed(
        self,
        key: str,
        token: str,
        expiry_ms: int,
        count: int,
        last: bytes,
        changes: Sequence[tuple[int, FailedChange]],
    ) -> int:
        """Go through the `count` oldest entries in one atomic step: those at the places of
        `changes` (from 1) become what these say, all that are kept become the newest.

        Returns how many jobs could not be pushed, their entries being kept as they were. -1 when
        others are the oldest by now, the last of them not being `last`; -2 when the round has been
        taken over: nothing was done.
        """
        keys = self.keys
        queues = [keys.queue(change.queue) if change.queue else key for _, change in changes]
        arguments = [
            part
            for place, (entry, kept, queue, item) in changes
            for part in (place, entry, kept, "push" if queue else "", queue, item)
        ]
        return int(
            self._script(
                "rewrite_failed",
                [key, keys.queues, keys.failed_sweep, *queues],
                [token, expiry_ms, count, last, *arguments],
            )
        )

    def remove_failed(self, key: str, entries: Sequence[tuple[int, bytes]]) -> int:
        """Remove entries by index, in one atomic step, each only if it still is the one that was
        read; returns how many were."""
        if not entries:
            return 0
        return int(
            self._script("remove_failed", [key], [part for pair in entries for part in pair])
        )

    def trim_failed(self, key: str, count: int) -> int:
        """Remove the `count` oldest entries; returns how many there were."""
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.llen(key)
        pipeline.ltrim(key, count, -1)
        return min(count, int(pipeline.execute()[0]))

    # Workers

    def worker_ids(self) -> list[str]:
        return sorted(text(name) for name in self._read((), "SMEMBERS", self.keys.workers))

    def heartbeats(self) -> dict[str, str]:
        """Worker id -> its last heartbeat, ISO 8601."""
        beats = self._read({}, "HGETALL", self.keys.heartbeats)
        return {text(worker): text(beat) for worker, beat in beats.items()}

    def started(self, worker_ids: Sequence[str]) -> dict[str, str]:
        """Worker id -> when its master started."""
        if not worker_ids:
            return {}
        values = self._call("MGET", *(self.keys.worker_started(worker) for worker in worker_ids))
        return {
            worker: text(value or b"") for worker, value in zip(worker_ids, values, strict=True)
        }

    def process_ids(self) -> list[str]:
        """The worker processes that have a ledger, those that died unrecovered included."""
        return [text(name) for name in self._read((), "ZRANGE", self.keys.ledgers, 0, -1)]

    def process_beats(self) -> dict[str, float]:
        """Worker process -> its last sign of life, epoch seconds by the server's clock."""
        key = self.keys.ledgers
        beats: Any = self._asked((), key, lambda: self.redis.zrange(key, 0, -1, withscores=True))
        return {text(name): score / 1000 for name, score in beats}

    def held_counts(self, process_ids: Sequence[str]) -> list[int]:
        """How many jobs each of these worker processes holds."""
        pipeline = self.redis.pipeline(transaction=False)
        for process_id in process_ids:
            pipeline.hlen(encoded(self.keys.ledger(process_id)))
        sizes = pipeline.execute(raise_on_error=False)
        keys = [self.keys.ledger(process_id) for process_id in process_ids]
        # One field of a ledger is its state.
        return [max(size - 1, 0) for size in self._numbers(keys, sizes)]

    def ledger(self, process_id: str) -> HeldLedger:
        """What the worker process holds right now."""
        fields = self._read({}, "HGETALL", self.keys.ledger(process_id))
        return parse_ledger(fields, encoded(self.keys.queue_prefix))

    def running(self, process_id: str) -> Running:
        """What the process runs, as of its last heartbeat. Raises msgspec.MsgspecError when
        something else stands there."""
        published = self._read(None, "GET", self.keys.running(process_id))
        return Running() if published is None else Running.parse(published)

    def give_command(self, process_id: str, order: Command) -> None:
        """Ask something of a worker process; forgotten when nobody takes it up in time. An order
        that cannot be given is named in the log: others can be."""
        pipeline = self.redis.pipeline(transaction=True)
        self._add_command(pipeline, process_id, order)
        key = self.keys.commands(process_id)
        self._asked(None, key, pipeline.execute, "this process takes no orders")

    def ask_kill(self, process_id: str, token: str, job_id: str, wait_seconds: float) -> None:
        """Ask a process to kill a job, and wait for the answers for so long at most."""
        kills = encoded(self.keys.kills(process_id))
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.hset(kills, token, job_id.encode("utf-8", "surrogateescape"))
        pipeline.expire(kills, COMMAND_EXPIRY_SECONDS + int(wait_seconds))
        self._add_command(pipeline, process_id, Command("kill", token, job_id))
        pipeline.execute()

    def _add_command(self, pipeline: Any, process_id: str, order: Command) -> None:
        key = encoded(self.keys.commands(process_id))
        pipeline.rpush(key, order.encode())
        pipeline.expire(key, COMMAND_EXPIRY_SECONDS)

    def kills(self, process_id: str) -> dict[str, str]:
        """The kills that a process was asked for lately: token -> job id."""
        kills = self._read({}, "HGETALL", self.keys.kills(process_id))
        return {text(token): text(job_id) for token, job_id in kills.items()}

    def give_answer(self, token: str, answer: Any) -> None:
        """In place of the process that was asked."""
        pipeline = self.redis.pipeline(transaction=True)
        key = encoded(self.keys.answer(token))
        pipeline.rpush(key, msgspec.json.encode(answer))
        pipeline.expire(key, COMMAND_EXPIRY_SECONDS)
        pipeline.execute()

    def answer(self, token: str) -> Any:
        """The answer to an order with this token, None as long as there is none."""
        given = self._call("LINDEX", self.keys.answer(token), 0)
        return None if given is None else msgspec.json.decode(given)

    def kill_answer(self, token: str) -> KillAnswer | None:
        """What is known of a kill: the first answer that is final, or else the last one."""
        given = self._call("LRANGE", self.keys.answer(token), 0, -1)
        answers = [msgspec.json.decode(raw, type=KillAnswer) for raw in given]
        return next((each for each in answers if each.is_final), answers[-1] if answers else None)

    def has_ledger(self, process_id: str) -> bool:
        """Whether the process lives, or is to be recovered."""
        return self._read(None, "ZSCORE", self.keys.ledgers, process_id) is not None

    def is_fenced(self, process_id: str) -> bool:
        """Whether the process was declared dead lately."""
        return self._read(None, "ZSCORE", self.keys.fenced, process_id) is not None

    def is_in_head(self, entry: LedgerEntry, count: int) -> bool:
        """Whether this job is among the first `count` ones of its queue."""
        return entry.raw in self._call("LRANGE", entry.queue_key, 0, count - 1)

    def fence(self, process_id: str, beat: float | None = None) -> HeldLedger:
        """Take its ledger away from a dead process, and read it. Raises StillAlive when the
        process was judged by this heartbeat and has beaten since."""
        keys = [self.keys.ledger(process_id), self.keys.fenced, self.keys.ledgers]
        judged = [] if beat is None else [beat]
        reply = self._script("fence", keys, [process_id, FENCED_EXPIRY_SECONDS, *judged])
        if reply == [b"alive"]:
            raise StillAlive(process_id)
        flat, refused = reply
        name_refused(self.keys, pairs(refused), "there is nothing to recover from it")
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        held = parse_ledger(fields, encoded(self.keys.queue_prefix))
        return held._replace(is_fenced=bool(fields))

    def leave_line(self, queues: str, process_id: str) -> None:
        """A dead process hears no push any more: let a spare do so in its place."""
        keys = self.keys
        self._script(
            "hand_over", [keys.listening(queues), keys.waiting(queues), keys.wake(process_id)], [0]
        )

    def recover(self, process_id: str, moves: Sequence[Move], entry: bytes = b"{") -> Recovered:
        """Move jobs out of a fenced ledger; with the last one `entry`, a JSON object without its
        last brace, goes into the log of recoveries, which adds the numbers. A job that somebody
        else moved first is left alone."""
        keys = self.keys
        moved = self._script(
            "recover",
            [
                keys.ledger(process_id), keys.ledgers, keys.running(process_id), keys.queues,
                keys.processed, keys.failures, keys.failed_queues, keys.suspects, keys.processes,
                keys.recoveries,
            ],
            [
                process_id, entry, RECOVERIES_KEPT, RECOVERIES_EXPIRY_SECONDS,
                *(part for move in moves for part in move),
            ],
        )  # fmt: skip
        requeued, failed, left, failed_slots, refused = moved
        return Recovered(requeued, failed, left, failed_slots, pairs(refused))

    def recoveries(self, count: int) -> list[bytes]:
        """The last entries of the log of recoveries, the newest first."""
        entries: list[bytes] = self._read([], "LRANGE", self.keys.recoveries, -count, -1)
        return entries[::-1]

    def unregister_worker(self, worker_id: str) -> None:
        """Forget a worker, unless a process of it has a ledger still."""
        keys = self.keys
        self._script(
            "unregister_worker",
            [
                keys.ledgers, keys.masters, keys.workers, keys.heartbeats,
                keys.worker_started(worker_id), keys.worker_stat("processed", worker_id),
                keys.worker_stat("failed", worker_id),
            ],
            [worker_id],
        )  # fmt: skip

    # The server

    def now(self) -> float:
        """Epoch seconds by the server's clock, by which heartbeats are told."""
        seconds, microseconds = self._call("TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    def close(self) -> None:
        """Close the connections."""
        self._enqueuer.close()
        self.redis.close()

    # Helpers

    def _call(self, command: str, *arguments: Any) -> Any:
        return self.redis.execute_command(
            command, *(encoded(each) if isinstance(each, str) else each for each in arguments)
        )

    def _read(self, empty: Any, command: str, key: str, *arguments: Any) -> Any:
        return self._asked(empty, key, lambda: self._call(command, key, *arguments))

    def _asked(
        self, empty: Any, key: str, ask: Callable[[], Any], consequence: str = "it counts as empty"
    ) -> Any:
        """What stands under a key; `empty` when another program keeps something of another type
        there, which is named in the log and breaks no listing."""
        try:
            return ask()
        except redis.ResponseError as error:
            if not is_wrong_type(error):
                raise
            name_refused(self.keys, [(key, str(error))], consequence)
            return empty

    def _numbers(self, keys: Sequence[str], replies: Sequence[Any]) -> list[int]:
        """Counts or counters. What another program keeps under such a key counts as nothing, is
        named in the log and breaks no listing; any other error is raised."""
        return [self._number(key, reply) for key, reply in zip(keys, replies, strict=True)]

    def _number(self, key: str, reply: Any) -> int:
        if isinstance(reply, Exception) and not is_wrong_type(reply):
            raise reply
        try:
            return int(reply or 0)
        except (TypeError, ValueError):
            error = str(reply) if isinstance(reply, Exception) else "it is not a number"
            name_refused(self.keys, [(key, error)], "it counts as 0")
            return 0

    def _script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        found = script(name)
        try:
            return self._call("EVALSHA", found.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self._call("EVAL", found.text, len(keys), *keys, *arguments)


def text(name: bytes) -> str:
    """Names are UTF-8; a stray byte of another program must not break a listing."""
    return name.decode("utf-8", "surrogateescape")


def encoded(name: str) -> bytes:
    """The name as it came, stray bytes included; redis-py raises on them."""
    return name.encode("utf-8", "surrogateescape")
