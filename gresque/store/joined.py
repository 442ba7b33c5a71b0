"""Pushes of one process that waited at the same time, as one call. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gresque.store.keys import Keys

MOST_JOINED = 500
"""The most pushes of one call, each of one job: they fit into 3,900 KEYS and ARGV also where each
goes to a queue of its own."""

JOINED_BYTES = 8192
"""A job that is larger goes alone: no push waits for many megabytes of others."""


def may_join(raws: Sequence[bytes]) -> bool:
    """Whether a push may be joined to others: one of one small job, which is not tracked."""
    return type(raws) is list and len(raws) == 1 and len(raws[0]) <= JOINED_BYTES


class Joined(list[bytes]):
    """The jobs of a call of several pushes, by their queues."""

    def __init__(self, pushes: Iterator[tuple[str, bytes]]) -> None:
        """`pushes`: the queue and the job of each, in their order."""
        self.in_doubt = False
        """It was sent, and may have been done."""
        self._queues: dict[str, list[bytes]] = {}
        for queue, raw in pushes:
            self._queues.setdefault(queue, []).append(raw)

    @property
    def size(self) -> int:
        """How many queues there are."""
        return len(self._queues)

    def keys(self, keys: Keys) -> tuple[str, ...]:
        """The keys that it changes."""
        return (keys.queues, *map(keys.queue, self._queues))

    def arguments(self) -> Iterator[str | bytes | int]:
        """What enqueue_joined.lua is given of them."""
        for queue, raws in self._queues.items():
            yield queue
            yield len(raws)
            yield from raws

    def refused(self, reply: object) -> frozenset[str]:
        """The queues whose jobs were not pushed, by the script's reply."""
        if not isinstance(reply, bytes):
            return frozenset()
        names = [*self._queues]
        return frozenset(names[int(position) - 1] for position in reply.split())
