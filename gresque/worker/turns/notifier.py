"""How a process that found its queues empty learns of the next push."""

from __future__ import annotations

import random
import time
from enum import Enum
from functools import cached_property, partial
from typing import Any

from gevent import sleep

from gresque.connection.scripts import script
from gresque.processes.identity import queues_of, worker_of
from gresque.store.keys import Keys
from gresque.store.waiting import HAND_OVER_CALLS
from gresque.worker.turns.blocked import Blocked
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.served_lists import Window

LISTENING = 4
"""How many of all idle processes with the same queues are notified of a push. One would do, but it
may be held up by a job, or die."""

CALL_EVERY_SECONDS = 0.05
"""A busy process that leaves work behind calls waiting ones at most this often, and spends at most
a tenth of its time on it: where Redis is far away a call takes as long as a turn."""

CALL_AGAIN_SECONDS = 30.0
"""After this time it may call again, however long the last call took: it may have met an outage."""

LONGEST_INTERVAL_SECONDS = 10.0
"""With rarer polls none waits and all listen: if all that listen are killed at once, a waiting one
finds out at its next poll."""

RARELY_SECONDS = 30.0
"""Of the processes that wait, four look for jobs at every interval, the others this often. They are
the ones that find jobs when all that listen have died at once; the others are to be woken."""

SECOND_SECONDS = 0.001
"""A process that woke up too late waits this much longer next time."""


LATEST_SECONDS = 0.1
"""The latest time after a rate allows a job at which a process looks for it."""


class Role(Enum):
    BUSY = "busy"
    LISTENING = "listening"
    WAITING = "waiting"


class Notifier:
    """Where this process stands among the idle ones with the same queues.

    1. It finds its queues empty, and listens for pushes; or it waits, when four others listen
       already: of 200 idle processes, a few are to look for one job.
    2. A listening one that finds work hands over: one that waits listens in its place. One that
       finds more than it can take calls two, each of which may call two more.
    3. It stands down before it pauses or leaves.
    4. One that was notified of a push and woke up too late for it is second: it waits for 1 ms next
       time, as the first one, the server and the producer need the cores then. It is first again
       when it finds work all the same.

    If anything goes wrong here, every process still looks for work at its next poll.
    """

    def __init__(self, cycle: Cycle, keys: Keys, process_id: str, interval_seconds: float) -> None:
        self.role = Role.BUSY
        self.poll_seconds = interval_seconds
        """After this time without an announcement it looks for jobs."""
        self._interval_seconds = interval_seconds
        self._rests = False
        """It looks rarely."""
        self._cycle = cycle
        self._all_keys, self._process_id = keys, process_id
        self._limit = LISTENING if interval_seconds <= LONGEST_INTERVAL_SECONDS else 0
        self._renew_seconds = max(interval_seconds, 1.0)
        self._stay_seconds = int(2 * self._renew_seconds) + 1
        self._renewed = 0.0
        self._waiting: list[bytes] = []
        """Wake keys of processes that waited when this one last took its place, or handed over."""
        self._called: float | None = None
        self._call_seconds = 0.0
        self._was_notified = False
        self.is_second = False
        self.look_at: float | None = None
        """When to look for a job that a rate allows, on the monotonic clock; None for not at
        all."""
        self.is_to_listen = False
        """This process is to listen, as a turn has reserved all that policies allow."""
        self._missed = 0
        """How often it has looked at that time in vain, as others were quicker, since it last found
        a job."""

    @cached_property
    def _keys(self) -> tuple[str, str, str, str]:
        """Made at the first use, as a process that lives for one job needs none. A process that
        recovers this one works out the same keys (see `Recoveries.hand_over`)."""
        keys, process_id = self._all_keys, self._process_id
        if self._cycle.lists.are_capped:  # a queue that is full for one worker is not for another
            line = worker_of(process_id)
        else:
            line = queues_of(process_id) or ""
        return keys.listening(line), keys.waiting(line), keys.wake(process_id), keys.polls(line)

    @property
    def listening(self) -> bool:
        """The next turn has to have the next push announced, if it finds nothing."""
        return self.role is Role.LISTENING

    def on_announcement(self) -> bool:
        """A push was announced, or another process has called this one; True when a turn is to
        follow."""
        if self.role is not Role.WAITING:
            self._was_notified = True
            return True
        # It is called to listen, mostly, and listening tells whether there are jobs. If others were
        # quicker and took the places, there may be more work than they can do.
        self._cycle.take_in_announcements()
        return self._take_place() != 0

    def on_rate(self) -> None:
        """A rate allows a job by now; a turn follows."""
        self._missed += 1

    def on_jobs(self, *, more: bool) -> None:
        """A turn reserved jobs; `more`: perhaps it left some."""
        self._was_notified = self.is_second = False
        self.look_at, self._missed, self.is_to_listen = None, 0, False
        if not self._limit:
            return
        if self.role is not Role.BUSY or (more and self._may_call_again()):
            sleep(0)  # the job that was found starts first
            self._called = time.monotonic()
            self._cycle.ask(lambda: self._hand_over(more=more))
            self._call_seconds = time.monotonic() - self._called

    def _may_call_again(self) -> bool:
        now = time.monotonic()
        if self._called is None:
            # Its first jobs: a process that lives for one, and may have stood by, never calls.
            self._called = now
        rest = min(10 * self._call_seconds, CALL_AGAIN_SECONDS)
        return now - self._called >= max(CALL_EVERY_SECONDS, rest)

    def on_last_jobs(self) -> None:
        """A turn reserved all that policies allow. This process keeps its place and listens once it
        has nothing else to do: another one in its place would find no job."""
        self._was_notified = self.is_second = False
        self.look_at, self._missed, self.is_to_listen = None, 0, True

    def on_no_room(self) -> None:
        """There may be jobs, and this process has no thread for one. It listened while it held jobs
        (see `on_last_jobs`), so the processes that wait have not heard of these jobs."""
        if self.role is not Role.BUSY and self._limit:
            self._cycle.ask(partial(self._hand_over, more=False))

    def on_dry(self) -> bool:
        """A turn found nothing; True when another one is to follow at once."""
        self.is_second = self.is_second or self._was_notified
        self._was_notified = False
        self.look_at, self.is_to_listen = None, False
        now = time.monotonic()
        blocked = self._cycle.blocked
        is_renewed = self.role is Role.LISTENING and now - self._renewed < self._renew_seconds
        if is_renewed and blocked is None:
            return False  # the turn itself has read the queues: the next push is announced
        return self._take_place() > 0

    def _take_place(self) -> int:
        """Listen or wait; returns how many of the lists have jobs, -1 for one that waits."""
        found, rarely, *names = self._cycle.ask(self._wait_in_line)
        self.role = Role.WAITING if found < 0 else Role.LISTENING
        self._renewed = time.monotonic()
        if names:
            self._waiting = names
        blocked = self._cycle.blocked
        self.look_at = self._when_to_look(blocked) if blocked is not None else None
        self._plan_poll(rests=bool(rarely) and self._cycle.connection.tracking)
        return int(found)

    def _plan_poll(self, *, rests: bool) -> None:
        """Processes that begin to rest at the same moment look at different ones."""
        if not rests:
            self.poll_seconds = self._interval_seconds
        elif self._rests:
            self.poll_seconds = RARELY_SECONDS
        else:
            self.poll_seconds = random.uniform(self._interval_seconds, RARELY_SECONDS)
        self._rests = rests

    def _when_to_look(self, blocked: Blocked) -> float | None:
        """Only processes that listen look for such a job. The one that was the quickest last time
        looks first."""
        if blocked.until is None or self.role is Role.WAITING:
            return None
        late: float = SECOND_SECONDS * (2 ** min(self._missed, 10) - 1)
        return blocked.until + min(late, LATEST_SECONDS)

    def stand_down(self) -> None:
        """This process takes no more jobs for now: another one listens in its place.

        Tries once. Raises redis-py's errors.
        """
        if self.role is not Role.BUSY and self._limit:
            self._hand_over(more=False)

    def _wait_in_line(self) -> Any:
        connection, blocked = self._cycle.connection, self._cycle.blocked
        first, *others = self._cycle.lists.windows(self._cycle.takes)
        if blocked is not None:
            found, *place = self._listen_limited(first, self._limit, blocked)
            if found >= 0:
                found += sum(self._listen_limited(window, 0, blocked)[0] for window in others)
            return [found, *place]
        keys = (*self._keys, *first.keys)
        found, *place = connection.run(
            script("listen"), len(keys), *keys, *self._terms(self._limit)
        )
        if found >= 0:  # pushes are announced on this connection
            found += sum(connection.call(b"EXISTS", *window.keys) for window in others)
        return [found, *place]

    def _terms(self, limit: int) -> tuple[int, int, int]:
        return limit, self._stay_seconds, int(1000 * self._renew_seconds)

    def _listen_limited(self, window: Window, limit: int, blocked: Blocked) -> Any:
        queues = dict.fromkeys(window.queues)
        keys = (
            *self._keys, *self._cycle.policy_keys, *window.keys, *map(self._all_keys.freed, queues)
        )  # fmt: skip
        wait_ms, *reply = self._cycle.connection.run(
            script("listen_limited"), len(keys), *keys,
            *self._terms(limit), window.own_caps, len(window.keys),
        )  # fmt: skip
        blocked.note_wait(wait_ms)
        return reply

    def _hand_over(self, *, more: bool) -> None:
        self.role = Role.BUSY
        run, count = self._cycle.connection.run, 2 if more else 1
        for _ in range(HAND_OVER_CALLS):
            keys = *self._keys[:3], *self._waiting
            count, *self._waiting = run(script("hand_over"), len(keys), *keys, count)
            if not count or not self._waiting:
                return
