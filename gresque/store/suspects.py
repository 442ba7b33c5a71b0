"""Suspects: jobs under which a worker process has died, in lists of their own."""

from __future__ import annotations

from collections.abc import Iterable

from gresque.queues import QueueList
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
        lists = keys.places(queue)[:2]
        return not self._server.run_script("forget_suspects", [keys.suspects, *lists], [queue])

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

    def return_unserved(self, queues: QueueList, served: Iterable[QueueList]) -> int:
        """Called when the last process of a master has left: put the suspects of its queues back
        to their heads, but for queues that processes with one of the lists `served` serve still.
        Returns how many were put back."""
        names = self.queues()
        left = set(queues.resolve(sorted(names))) & names
        for other in served:
            left -= set(other.resolve(sorted(names)))
        return sum(self.return_to_queue(queue) for queue in sorted(left))
