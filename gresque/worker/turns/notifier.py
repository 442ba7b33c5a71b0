"""The bell: how a process that found its queues empty learns of the next push."""

from __future__ import annotations

import time
from enum import Enum

from gevent import sleep

from gresque.connection.scripts import script
from gresque.processes.identity import queues_of
from gresque.store.keys import Keys
from gresque.store.waiting import HAND_OVER_CALLS
from gresque.worker.turns.cycle import Cycle

LISTENING = 4
"""Of all idle processes with the same queues, so many are told of a push. One would do; it may be
held up by a job, or die."""

CALL_EVERY_SECONDS = 0.05
"""A busy process that leaves work behind calls for spares at most so often, and spends at most a
tenth of its time on it: where Redis is far away a call takes as long as a turn."""

CALL_AGAIN_SECONDS = 30.0
"""Then it may call again, however long the last call took: that may have met an outage."""

LONGEST_INTERVAL_SECONDS = 10.0
"""With rarer fallback polls there are no spares: should all armed ones be killed at once, a spare
finds out at its next poll."""


SECOND_SECONDS = 0.001
"""So long a process waits that was late the last time, before it looks for what was announced."""


class Role(Enum):
    BUSY = "busy"
    LISTENING = "armed"
    WAITING = "spare"


class Notifier:
    """Where this process stands among the idle ones with the same queues.

    1. It finds its queues empty, and is armed, or a spare when four others are armed already:
       of 200 idle processes, one job must not have all look for it.
    2. An armed one that finds work hands over: one spare comes and is armed in its place. One
       that finds more than it can take calls two, each of which may call two more.
    3. It stands down before it pauses or leaves.
    4. One that was told of a push and came too late for it is second from then on, and waits for a
       millisecond next time: the first one, the server and whoever enqueues need the cores just
       then. It is first again when it finds work all the same.

    Whatever goes wrong here, every process looks for work at every fallback poll.
    """

    def __init__(self, cycle: Cycle, keys: Keys, process_id: str, interval_seconds: float) -> None:
        queues = queues_of(process_id) or ""  # as who recovers this process will read it
        self.role = Role.BUSY
        self._cycle = cycle
        self._keys = (keys.listening(queues), keys.waiting(queues), keys.wake(process_id))
        self._limit = LISTENING if interval_seconds <= LONGEST_INTERVAL_SECONDS else 0
        self._renew_seconds = max(interval_seconds, 1.0)
        self._stay_seconds = int(2 * self._renew_seconds) + 1
        self._renewed = 0.0
        self._called = time.monotonic()
        self._call_seconds = 0.0
        self._told = False
        self.second = False

    @property
    def listening(self) -> bool:
        """The next turn has to arm the connection anew, should it find nothing."""
        return self.role is Role.LISTENING

    def told(self) -> None:
        """A push was announced; a turn will look."""
        self._told = True

    def found(self, *, more: bool) -> None:
        """A turn found work, and more than it could take or not."""
        self._told = self.second = False
        if not self._limit:
            return
        if self.role is not Role.BUSY or (more and self._may_call_again()):
            sleep(0)  # the job that was found starts first
            self._called = time.monotonic()
            self._cycle.ask(lambda: self._hand_over(more=more))
            self._call_seconds = time.monotonic() - self._called

    def _may_call_again(self) -> bool:
        rest = min(10 * self._call_seconds, CALL_AGAIN_SECONDS)
        return time.monotonic() - self._called >= max(CALL_EVERY_SECONDS, rest)

    def found_nothing(self) -> bool:
        """A turn found nothing; True when another one should look at once."""
        self.second = self.second or self._told
        self._told = False
        now = time.monotonic()
        if self.role is Role.LISTENING and now - self._renewed < self._renew_seconds:
            return False  # the turn itself has armed the connection again
        reply = self._cycle.ask(self._wait_in_line)
        self.role = Role.WAITING if reply < 0 else Role.LISTENING
        self._renewed = now
        return bool(reply > 0)

    def stand_down(self) -> None:
        """This process takes no more jobs for now: another one hears the bell in its place.

        Tries once. Raises redis-py's errors.
        """
        if self.role is not Role.BUSY and self._limit:
            self._hand_over(more=False)

    def _wait_in_line(self) -> int:
        connection = self._cycle.connection
        first, *others = self._cycle.lists.windows(self._cycle.takes)
        keys = (*self._keys, *first.keys)
        found: int = connection.run(
            script("listen"), len(keys), *keys, self._limit, self._stay_seconds
        )
        if found >= 0:  # this connection hears of pushes
            found += sum(connection.call(b"EXISTS", *window.keys) for window in others)
        return found

    def _hand_over(self, *, more: bool) -> None:
        self.role = Role.BUSY
        count, named = 2 if more else 1, list[bytes]()
        for _ in range(HAND_OVER_CALLS):
            keys = *self._keys, *named
            count, *named = self._cycle.connection.run(script("hand_over"), len(keys), *keys, count)
            if not named:
                return
