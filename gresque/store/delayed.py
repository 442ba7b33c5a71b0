"""Jobs that other programs delay by resque-scheduler's keys: a LIST for each second of the epoch.

Ruby, Node and PHP programs write them; gresque moves the jobs out of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gresque.store.keys import Keys
from gresque.store.refusals import pairs
from gresque.store.server import Server
from gresque.text import decoded

LOCK_MS = 10_000
"""For how long a scheduler's lock is held after the last list was looked at."""
LOCK_MARK = "gresque "
"""A lock whose value begins with this is held by a maintenance process."""
MOVED_ITEMS = 300
"""Of one call: each takes five arguments at most."""


class DelayedList(NamedTuple):
    """The jobs of one second."""

    timestamp: str
    """As it stands in the name of the list."""
    due: float
    """Epoch seconds."""
    size: int


class Destination(NamedTuple):
    """Where a job goes: a list, and the SET in which the name of that stands, if it does."""

    key: str
    known: str
    """`queues`, `failed` or nothing."""
    name: str


class Move(NamedTuple):
    """A job that is due: its item as it stands in the list, and what is pushed where."""

    item: bytes
    raw: bytes
    to: Destination


class Moved(NamedTuple):
    """What became of a call: the jobs moved, the keys that refused; or the scheduler that holds a
    lock, and then nothing was done."""

    jobs: int
    refused: list[tuple[str, str]]
    lock: str = ""
    holder: str = ""


def to_queue(keys: Keys, queue: str) -> Destination:
    return Destination(keys.queue(queue), "queues", queue)


class Delayed:
    """The lists of resque-scheduler."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def due(self, now: float, skip: Iterable[str] = ()) -> str | None:
        """The earliest list that is due, but for those in `skip`."""
        skipped = set(skip)
        found = self._server.read(
            (), "ZRANGE", self._keys.delayed_schedule, "-inf", int(now), "BYSCORE",
            "LIMIT", 0, len(skipped) + 1,
        )  # fmt: skip
        return next((t for t in map(decoded, found) if t not in skipped), None)

    def items(self, timestamp: str, start: int = 0, count: int = MOVED_ITEMS) -> list[bytes]:
        """Of one list, in their order."""
        if count <= 0:
            return []
        key = self._keys.delayed(timestamp)
        found: list[bytes] = self._server.read([], "LRANGE", key, start, start + count - 1)
        return found

    def lists(self) -> list[DelayedList]:
        """All lists with their sizes, the earliest first. Several lists may be read at a time, so
        a size may be that of a moment later."""
        key = self._keys.delayed_schedule
        flat = self._server.read((), "ZRANGE", key, 0, -1, "WITHSCORES")
        scores = [(decoded(t), float(s)) for t, s in zip(flat[::2], flat[1::2], strict=True)]
        pipeline = self._server.redis.pipeline(transaction=False)
        for timestamp, _ in scores:
            pipeline.llen(self._keys.delayed(timestamp))
        keys = [self._keys.delayed(timestamp) for timestamp, _ in scores]
        sizes = self._server.numbers(keys, pipeline.execute(raise_on_error=False) if scores else [])
        return [
            DelayedList(timestamp, due, size)
            for (timestamp, due), size in zip(scores, sizes, strict=True)
        ]

    def move(self, timestamp: str, moves: Sequence[Move], mark: str) -> Moved:
        """Move the head of a list, as far as it is as it was read; with no moves an empty list is
        forgotten. `mark` says in the schedulers' locks who does it."""
        keys = self._keys
        numbers: dict[Destination, int] = {}
        items: list[Any] = []
        for each in moves:
            items += each.item, each.raw, numbers.setdefault(each.to, len(numbers) + 1)
        names = [part for to in numbers for part in (to.known, to.name)]
        reply = self._server.run_script(
            "promote_delayed",
            [
                keys.delayed_schedule, keys.delayed(timestamp), *keys.scheduler_locks,
                keys.queues, keys.failed_queues, *(to.key for to in numbers),
                *(keys.timestamps(each.item) for each in moves),
            ],
            [timestamp, LOCK_MARK + mark, LOCK_MS, len(numbers), *names, *items],
        )  # fmt: skip
        first, second = reply
        if isinstance(first, bytes):
            return Moved(0, [], decoded(first), decoded(second))
        return Moved(int(first), pairs(second))

    def release_locks(self, mark: str) -> None:
        """Let a scheduler of another program take over."""
        for lock in self._keys.scheduler_locks:
            self._server.run_script("release", [lock], [LOCK_MARK + mark])

    def lock_holders(self) -> list[tuple[str, str]]:
        """The locks that schedulers of other programs hold, with their holders."""
        holders = [
            (lock, decoded(self._server.read(b"", "GET", lock) or b""))
            for lock in self._keys.scheduler_locks
        ]
        return [(lock, by) for lock, by in holders if by and not by.startswith(LOCK_MARK)]

    # One job

    def cancel(self, timestamp: str, item: bytes) -> bool:
        """Remove one item; False when it is not there any more."""
        return self._take(timestamp, item, ["drop", "", "", 0], "", "")

    def run_now(self, timestamp: str, item: bytes, queue: str, raw: bytes) -> bool:
        """Move one item to the end of its queue, as this payload."""
        return self._take(timestamp, item, ["run", raw, "", 0], self._keys.queue(queue), queue)

    def put_off(
        self,
        timestamp: str,
        item: bytes,
        member: str,
        entry: bytes,
        milliseconds: int,
        *,
        is_delay: bool,
    ) -> bool:
        """Move one item to `later`, with another time."""
        how = "in" if is_delay else "at"
        return self._take(timestamp, item, [how, entry, member, milliseconds], "", "")

    def _take(
        self, timestamp: str, item: bytes, how: list[Any], queue_key: str, queue: str
    ) -> bool:
        keys = self._keys
        return bool(
            self._server.run_script(
                "take_delayed",
                [
                    keys.delayed_schedule, keys.delayed(timestamp), keys.timestamps(item),
                    keys.later, keys.later_jobs, keys.queues, queue_key or keys.queues,
                ],
                [timestamp, item, queue, *how],
            )
        )  # fmt: skip
