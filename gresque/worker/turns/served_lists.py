"""The lists from which a worker process reserves: its queues, their suspects, or both."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from gresque.connection.tracked import TrackedConnection
from gresque.logs import fields
from gresque.queue_list import QueueList, Weights
from gresque.store.keys import Keys
from gresque.store.refusals import is_wrong_type, name_refused
from gresque.text import counted

log = logging.getLogger("gresque.worker")

MOST_LISTS = 1000
"""Lists that one turn names. Where there are more, the next ones follow in another turn when these
were empty."""


class Takes(Enum):
    """From which lists of its queues a process reserves."""

    QUEUES = (0,)
    PLACES = (2, 1, 0)
    """Where each job is alone: the suspects of a queue, then the queue."""
    SUSPECTS = (2, 1)
    ONE_DEATH = (1,)
    SEVERAL_DEATHS = (2,)


class Window(NamedTuple):
    """Lists to name in one turn: their keys, the queue of each, the deaths that its jobs saw."""

    keys: tuple[bytes, ...]
    queues: tuple[str, ...]
    deaths: tuple[int, ...]
    own_caps: str = ""
    """The caps of the worker's own queue list: `<index of the list>=<cap>`, separated by blanks."""


class ServedLists:
    """Knows the queues that the process serves now. With globs in its queue list these change: they
    are looked up after a push of an unknown queue, and after each fallback poll."""

    def __init__(
        self, keys: Keys, queues: QueueList, threads: int = 1, weights: Weights | None = None
    ) -> None:
        """`threads` is the number of threads in all processes of the worker: a cap may be a share
        of it."""
        self._keys = keys
        self._list = queues
        self._threads = threads
        self._weights = weights
        self._weight_of: dict[str, int] = {}
        self._caps: dict[str, int | None] = {}
        self._draws = random.Random() if weights is not None else None
        """Each process has its own, independent of its parent and of the seeds that jobs set."""
        self.dynamic = queues.dynamic
        self.is_stale = queues.dynamic
        self.tells_of_names = False
        """Whether it is for this process to log which queues cannot be served."""
        self._last_takes: Takes | None = None
        self._last_windows: list[Window] = []
        """Of the last question: nearly every turn asks the same one."""
        self._names: Sequence[str] = queues.named

    @property
    def are_capped(self) -> bool:
        """Whether the worker has a cap of its own for some of the queues."""
        return bool(self._list.caps)

    def __bool__(self) -> bool:
        return bool(self._names)

    def set_names(self, names: Sequence[str]) -> None:
        self._names = names
        self._last_takes = None

    def windows(self, takes: Takes) -> list[Window]:
        """All lists in the order in which they are taken; at least one window. With weights each
        call draws a new order of the queues."""
        if self._weights is not None and len(self._names) > 1:
            self._names = sorted(self._names, key=self._draw)
            self._last_takes = None
        if takes is not self._last_takes:
            self._last_takes = takes
            self._last_windows = list(self._cut(takes)) or [Window((), (), ())]
        return self._last_windows

    def _cut(self, takes: Takes) -> Iterator[Window]:
        # A process that takes nothing but suspects goes by their deaths first.
        if takes is Takes.SUSPECTS:
            order = [(name, deaths) for deaths in takes.value for name in self._names]
        else:
            order = [(name, deaths) for name in self._names for deaths in takes.value]
        for first in range(0, len(order), MOST_LISTS):
            names, deaths = zip(*order[first : first + MOST_LISTS], strict=True)
            keys = tuple(map(self._key, names, deaths))
            yield Window(keys, names, deaths, self._own_caps(names))

    def _own_caps(self, names: Sequence[str]) -> str:
        if not self._list.caps:
            return ""
        caps = ((index, self._cap_of(name)) for index, name in enumerate(names))
        return " ".join(f"{index}={cap}" for index, cap in caps if cap is not None)

    def _cap_of(self, name: str) -> int | None:
        if name not in self._caps:
            self._caps[name] = self._list.cap_of(name, self._threads)
        return self._caps[name]

    def _draw(self, name: str) -> float:
        """Draw an order: of two queues one with a weight of 5 comes first 5 times as often as one
        with a weight of 1."""
        assert self._weights is not None and self._draws is not None
        if name not in self._weight_of:
            self._weight_of[name] = self._weights.of(name)
        return self._draws.expovariate(self._weight_of[name])

    def _key(self, name: str, deaths: int) -> bytes:
        key = self._keys.suspects_of(name, deaths) if deaths else self._keys.queue(name)
        return key.encode()

    def forget(self) -> None:
        """Look up what globs stand for before the next turn."""
        self.is_stale = self.dynamic

    def look(self, connection: TrackedConnection, ask: Callable[[Callable[[], Any]], Any]) -> None:
        """Ask which queues exist now, when the queue list has globs. `ask(send)` sends until there
        is an answer."""
        self.is_stale = False
        if not self.dynamic:
            return
        names = ask(lambda: self._ask_for_names(connection))
        if names is None:
            return  # those that were found before stay
        readable = list(_readable(names))
        if self.tells_of_names and len(readable) < len(names):
            self.tells_of_names = False
            count = len(names) - len(readable)
            log.warning(
                "not served: %s with a name that is not UTF-8; see gresque queues",
                counted(count, "queue"),
                extra=fields("queues_not_served", count=count),
            )
        self.set_names(self._list.resolve(readable))

    def _ask_for_names(self, connection: TrackedConnection) -> list[bytes] | None:
        """None when another program keeps something else in the place of the set."""
        queues = self._keys.queues
        try:
            names: list[bytes] = connection.call(b"SMEMBERS", queues)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            name_refused(self._keys, [(queues, str(error))], "globs find no new queues")
            return None
        return names


def _readable(names: list[bytes]) -> Iterator[str]:
    """Queue names that are UTF-8; others cannot be named in QUEUES either."""
    for name in names:
        try:
            yield name.decode()
        except UnicodeDecodeError:
            continue
