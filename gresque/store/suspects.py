"""Suspects: jobs under which a worker process has died, in lists of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from gresque.queue_list import QueueList
from gresque.store.server import Server
from gresque.text import decoded

MOVED_AT_ONCE = 1000


class Suspects:
    """Each queue has two lists of them: of jobs that saw one death, and of those that saw more.
    The SET `suspects` names the queues that have any."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def queues(self) -> set[str]:
        """The queues that have suspects, or had some until a moment ago."""
        names = self._server.read((), "SMEMBERS", self._keys.suspects)
        return {decoded(name) for name in names}

    def forget(self, queue: str) -> bool:
        """Take a queue out of the set when it has no suspects; True when it has none."""
        keys = self._keys
        found = [keys.suspects, *keys.places(queue)[:2], keys.queues]
        return not self._server.run_script("forget_suspects", found, [queue])

    def return_to_queue(self, queue: str) -> int:
        """Put all suspects of a queue back to its head; returns how many. For a queue that no
        process of gresque serves: any other program finds its jobs in the queue only."""
        keys, total = self._keys, 0
        while True:
            moved = int(
                self._server.run_script(
                    "return_suspects",
                    [keys.suspects, keys.queues, *keys.places(queue)],
                    [queue, MOVED_AT_ONCE],
                )
            )
            total += moved
            if moved < MOVED_AT_ONCE:
                return total

    def return_unserved(self, left: Iterable[QueueList], served: Iterable[QueueList]) -> int:
        """Put the suspects of the queues in the lists `left` back to their heads, but for queues
        that processes with one of the lists `served` serve still. Returns how many were put back.

        The lists are those of process ids, in which a colon is `~`.
        """
        names = defaultdict[str, list[str]](list)
        for name in sorted(self.queues()):
            names[name.replace(":", "~")].append(name)
        listed = sorted(names)
        unserved = {name for queues in left for name in queues.resolve(listed)}
        unserved -= {name for queues in served for name in queues.resolve(listed)}
        found = [name for each in sorted(unserved & names.keys()) for name in names[each]]
        return sum(map(self.return_to_queue, found))
