"""Queues: looking at the jobs that wait, and removing them. `Enqueuer` pushes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gresque.store.ledger import LedgerEntry
from gresque.store.reads import Reads
from gresque.store.server import Server
from gresque.text import decoded, encoded

_PAGE, _OVERLAP = 1000, 200


class Cleared(NamedTuple):
    """How many jobs were removed, whether none are left, and the items of unique and tracked ones:
    their locks are to be released, and what became of them is to be written."""

    removed: int
    is_over: bool
    marked: list[bytes]


class Queues:
    """The LIST of each queue, and the SET of their names."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def names(self) -> list[str]:
        return sorted(decoded(n) for n in self._server.read((), "SMEMBERS", self._keys.queues))

    def size(self, queue: str) -> int:
        """How many jobs wait in all places of the queue."""
        return sum(self._counts(queue).values())

    def sizes(self) -> dict[str, int]:
        """Every queue with the number of jobs that wait in it, in two round trips."""
        reads = Reads(self._server)
        known = reads.names("SMEMBERS", self._keys.queues)
        suspects = reads.names("SMEMBERS", self._keys.suspects)
        reads.run()
        with_suspects = {*suspects.value}
        names = sorted({*known.value, *suspects.value})
        sizes = {
            name: [
                reads.number("LLEN", place)
                for place in self._keys.places(name)[0 if name in with_suspects else -1 :]
            ]
            for name in names
        }
        reads.run()
        return {name: sum(each.value for each in counts) for name, counts in sizes.items()}

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[bytes]:
        """`count` items from position `start`, the next job first. A negative `start` counts from
        the end of the queue."""
        if count <= 0:
            return []
        if start < 0:
            return self._range(self._keys.queue(queue), start, count)
        found: list[bytes] = []
        for place, size in self._counts(queue).items():
            if start < size and len(found) < count:
                found += self._range(place, start, count - len(found))
            start = max(start - size, 0)
        return found

    def _counts(self, queue: str) -> dict[str, int]:
        """How many jobs wait in each place of the queue, the next ones first; in one round trip."""
        reads = Reads(self._server)
        sizes = {place: reads.number("LLEN", place) for place in self._keys.places(queue)}
        reads.run()
        return {place: size.value for place, size in sizes.items()}

    def each(self, queue: str) -> Iterator[bytes]:
        """Every item that waits all the while, the last one first. What is reserved or pushed
        meanwhile moves none of them out of sight."""
        for place in self._keys.places(queue):
            end = int(self._server.read(0, "LLEN", place))
            while end > 0:
                start = max(end - _PAGE, 0)
                yield from reversed(self._range(place, start, end - start))
                # Jobs that are put back to the head move those that were not read yet.
                end = start + _OVERLAP if start else 0

    def _range(self, key: str, start: int, count: int) -> list[bytes]:
        items: list[bytes] = self._server.read([], "LRANGE", key, start, start + count - 1)
        return items

    def among_heads(self, entries: Sequence[LedgerEntry], count: int) -> list[bool]:
        """Whether each of these jobs is among the first `count` ones of its queue. In one round
        trip."""
        reads = Reads(self._server)
        empty: list[bytes] = []
        heads = {
            key: reads.ask(empty, "LRANGE", decoded(key), 0, count - 1)
            for key in dict.fromkeys(entry.queue_key for entry in entries)
        }
        reads.run()
        found = {key: set(head.value) for key, head in heads.items()}
        return [entry.raw in found[entry.queue_key] for entry in entries]

    def remove_items(self, queue: str, raws: Iterable[bytes]) -> int:
        """Remove every copy of these items from the queue; returns how many were removed. Unique
        jobs have a lock as well: see `Locks.take_out`."""
        pipeline = self._server.redis.pipeline(transaction=False)
        places = [encoded(place) for place in self._keys.places(queue)]
        for raw in raws:
            for place in places:
                pipeline.execute_command("LREM", place, 0, raw)
        return sum(pipeline.execute())

    def first(self, queue: str, count: int) -> list[bytes]:
        """The next `count` items of the queue itself, without its suspects."""
        return self._range(self._keys.queue(queue), 0, count)

    def remove_first(self, queue: str, raws: Iterable[bytes]) -> int:
        """Remove one copy of each of these items from the queue itself, the next one; returns how
        many were there."""
        pipeline = self._server.redis.pipeline(transaction=False)
        key = encoded(self._keys.queue(queue))
        for raw in raws:
            pipeline.execute_command("LREM", key, 1, raw)
        return sum(pipeline.execute())

    def move(self, queue: str, target: str, most: int) -> int:
        """Move up to `most` jobs to the end of another queue, suspects to its suspects; returns how
        many. Less than `most` when there are no more."""
        keys = self._keys
        found = [keys.queues, keys.suspects, *keys.places(queue), *keys.places(target)]
        names = [encoded(queue), encoded(target)]
        moved: int = self._server.run_script("move_jobs", _encoded(found), [*names, most])
        return moved

    def move_item(self, queue: str, target: str, raw: bytes, changed: bytes) -> bool:
        """Move one waiting item to the end of a queue, as `changed`, which differs from it when
        both queues are the same. False when it does not wait as it was any more."""
        keys = self._keys
        found = [keys.queues, keys.suspects, *keys.places(queue), keys.queue(target)]
        names = [encoded(queue), encoded(target)]
        return bool(self._server.run_script("move_item", _encoded(found), [*names, raw, changed]))

    def clear(self, queue: str, most: int) -> Cleared:
        """Remove up to `most` jobs, the next ones first; fewer, where they are large. A queue
        without any is forgotten."""
        found = [self._keys.queues, self._keys.suspects, *self._keys.places(queue)]
        removed, is_over, *marked = self._server.run_script(
            "clear_jobs", _encoded(found), [encoded(queue), most]
        )
        return Cleared(int(removed), bool(is_over), marked)


def _encoded(keys: Iterable[str]) -> list[bytes]:
    """Names of other programs may not be UTF-8."""
    return [encoded(key) for key in keys]
