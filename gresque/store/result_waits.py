"""Waiting for the ends of tracked jobs, over one connection for all who wait.

A command reads the state of a job and has the server announce its next change: there is no moment
between the two in which an end could be missed. Nothing is polled, but where the server, or a
proxy, refuses to announce.

There is no thread for it. Of those who wait one reads the connection for all; when it has what it
waits for, the next one does.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from gresque.backoff import Backoff
from gresque.connection.errors import alone, explain, is_reply, may_pass
from gresque.connection.opening import FIRST_REPLY_SECONDS, Opener
from gresque.connection.raw import RawConnection
from gresque.connection.waits import BLOCKING, Event, Waits
from gresque.errors import RedisUnavailable
from gresque.store.keys import Keys
from gresque.store.track import ENDED
from gresque.store.tracks import TrackedState
from gresque.store.waiters import hubs
from gresque.text import decoded, encoded

ASKED_AT_ONCE = 500
TICK_SECONDS = 1.0
"""The reader looks at least this often whether another thread has found the connection broken."""
QUIET_SECONDS = 10.0
"""After this time without a word from the server it is asked for a sign of life."""
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.01, 0.5
"""Where the server announces nothing."""
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.02, 1.0

LONGEST_SECONDS = 10 * 365 * 86_400
"""The most that anybody waits: clocks take no greater numbers."""
GRACE_SECONDS = 1.0
"""Who waits for no time at all gets the answer that comes within this one."""
LOOK_SECONDS = 0.02

_PING = ""


class _Call:
    """One who waits for some jobs."""

    __slots__ = ("error", "event", "found", "ids", "since", "unseen", "until", "wanted")

    def __init__(self, ids: Sequence[str], wanted: int, until: float | None, event: Event) -> None:
        self.ids = ids
        self.wanted = wanted
        self.until = until
        self.since = 0
        """The number of the first question that counts for it: answers to earlier ones are old."""
        self.unseen = set(ids)
        """The jobs whose states have not come yet."""
        self.found: dict[str, TrackedState | None] = {}
        self.error: Exception | None = None
        self.event = event

    def note(self, job_id: str, state: TrackedState | None) -> None:
        self.found[job_id] = state
        self.unseen.discard(job_id)
        if state is None or len(self.found) >= self.wanted:
            self.wanted = 0
            self.event.set()

    @property
    def is_over(self) -> bool:
        return not self.wanted or self.error is not None

    @property
    def is_late(self) -> bool:
        """Its time is over. Each state is looked at once, also where there is no time at all."""
        if self.until is None:
            return False
        late = time.monotonic() - self.until
        return late >= (GRACE_SECONDS if self.unseen else 0)

    def seconds_left(self, most: float | None) -> float | None:
        """For how long it may wait at once."""
        if self.until is None:
            return most
        left = max(self.until - time.monotonic(), LOOK_SECONDS)
        return left if most is None else min(left, most)


class ResultWaits:
    """The waits of one client. Threads and greenlets may share it, and a fork may copy it.

    Under gevent's patches a socket belongs to the hub of one native thread: each that waits has a
    connection of its own then.
    """

    def __init__(self, url: str, keys: Keys, retry_seconds: float, waits: Waits = BLOCKING) -> None:
        self._url = url
        self._keys = keys
        self._retry_seconds = retry_seconds
        self._waits = waits
        self._pid = 0
        self._lines: dict[int, tuple[Any, _Line]] = {}

    def wait(
        self, ids: Sequence[str], seconds: float | None, wanted: int
    ) -> dict[str, TrackedState | None]:
        """Wait until `wanted` of these jobs have ended, or nothing is known of one of them; at most
        for `seconds`. Returns those that have ended, and None for the unknown. Raises
        RedisUnavailable."""
        if self._pid != os.getpid():
            self._pid, self._lines = os.getpid(), {}
            self._thread, self._hub, _ = hubs(self._waits.waiter)
        thread, hub = self._thread(), self._hub()
        known = self._lines.get(thread)
        if known is None or known[0] is not hub:
            line = _Line(self._url, self._keys, self._retry_seconds, self._waits)
            known = self._lines[thread] = hub, line
        return known[1].wait(ids, seconds, wanted)

    def close(self) -> None:
        """Close the connections; who waits opens another one."""
        if self._pid == os.getpid():
            for _, line in [*self._lines.values()]:
                line.close()


class _Line:
    """The waits over one connection."""

    def __init__(self, url: str, keys: Keys, retry_seconds: float, waits: Waits) -> None:
        self._url = url
        self._waits = waits
        self._prefix = len(encoded(keys.job("")))
        self._key = keys.job
        self._retry_seconds = retry_seconds
        self._opener = Opener(url, keys.namespace, waits)
        self._raw: RawConnection | None = None
        self._announces = False
        self._lock = waits.lock()
        self._reading = threading.Lock()  # nobody waits for it
        self._calls: dict[_Call, None] = {}
        self._waiting: dict[str, list[_Call]] = {}
        self._asked: deque[str] = deque()
        """The jobs whose states have been asked for on this connection, in this order."""
        self._answered = 0
        """How many questions are answered, or were lost with a connection."""
        self._changed: list[str] = []
        self._heard_at = 0.0
        self._poll_seconds = FIRST_POLL_SECONDS

    def wait(
        self, ids: Sequence[str], seconds: float | None, wanted: int
    ) -> dict[str, TrackedState | None]:
        until = None if seconds is None else time.monotonic() + min(seconds, LONGEST_SECONDS)
        call = _Call(ids, wanted, until, self._waits.event())
        try:
            self._register(call)
            while not (call.is_over or call.is_late):
                if self._reading.acquire(blocking=False):
                    try:
                        self._read(call)
                    finally:
                        self._reading.release()
                else:
                    call.event.wait(call.seconds_left(None))
                    if not call.is_over:
                        call.event.clear()
        finally:
            self._unregister(call)
        if call.error is not None:
            raise RedisUnavailable(explain(self._url, call.error)) from alone(call.error)
        return call.found

    def close(self) -> None:
        with self._lock:
            self._hang_up()

    # Who waits

    def _register(self, call: _Call) -> None:
        with self._lock:
            call.since = self._answered + len(self._asked)
            self._calls[call] = None
            for job_id in call.ids:
                self._waiting.setdefault(job_id, []).append(call)
            self._poll_seconds = FIRST_POLL_SECONDS
            if self._raw is not None:
                self._ask(call.ids)

    def _unregister(self, call: _Call) -> None:
        with self._lock:
            self._calls.pop(call, None)
            for job_id in call.ids:
                calls = self._waiting.get(job_id)
                if calls is not None and call in calls:
                    calls.remove(call)
                    if not calls:
                        del self._waiting[job_id]
            # Another one reads from now on. It may find that one does already.
            following = next(iter(self._calls), None)
        if following is not None and not self._reading.locked():
            following.event.set()

    def _note(self, job_id: str, reply: Any) -> None:
        """The state of a job has come."""
        state: TrackedState | None = None
        if isinstance(reply, list):
            name, job_class, queue, details = reply
            if name is not None:
                texts = [decoded(text or b"") for text in (name, job_class, queue)]
                state = TrackedState(texts[0], texts[1], texts[2], details or b"", None)
        number, has_ended = self._answered - 1, state is None or state.state in ENDED
        left = []
        for call in self._waiting.get(job_id, ()):
            if number < call.since:
                left.append(call)
            elif has_ended:
                call.note(job_id, state)
            else:
                call.unseen.discard(job_id)
                left.append(call)
        if left:
            self._waiting[job_id] = left
        else:
            self._waiting.pop(job_id, None)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            calls, self._calls = self._calls, {}
            self._waiting.clear()
        for call in calls:
            call.error = error
            call.event.set()

    # The connection

    def _ask(self, ids: Iterable[str]) -> None:
        """Ask for the states of these jobs. A connection that breaks is left to the reader. Called
        with the lock."""
        raw = self._raw
        some: list[str] = []
        for job_id in ids:
            some.append(job_id)
            if len(some) == ASKED_AT_ONCE:
                self._send(raw, some)
                some = []
        if some:
            self._send(raw, some)

    def _send(self, raw: RawConnection | None, ids: Sequence[str]) -> None:
        if raw is None or raw.closed:
            return
        commands = [
            (b"HMGET", encoded(self._key(job_id)), b"s", b"c", b"q", b"d") if job_id else (b"PING",)
            for job_id in ids
        ]
        self._asked.extend(ids)
        try:
            raw.send_all(commands)
        except (RedisError, OSError):
            raw.close()

    def _read(self, call: _Call) -> None:
        """Read for all until this call is over, or its time."""
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        gone_since: float | None = None
        while not (call.is_over or call.is_late):
            try:
                if self._raw is None or self._raw.closed:
                    self._connect()
                if self._take_in(call):
                    gone_since = None
                    backoff.reset()
            except (RedisError, OSError) as error:
                with self._lock:
                    self._hang_up()
                gone_since = gone_since or time.monotonic()
                if not may_pass(error) or time.monotonic() - gone_since > self._retry_seconds:
                    self._fail(error)
                    return
                self._waits.sleep(call.seconds_left(backoff.next_seconds()) or 0)

    def _connect(self) -> None:
        """Connect, and ask for all that is waited for."""
        try:
            raw, announces = self._opener.open_tracked(FIRST_REPLY_SECONDS, self._on_push)
        except ResponseError as error:
            if not is_reply(error) or may_pass(error):
                raise
            raw, announces = self._opener.open_ready(FIRST_REPLY_SECONDS), False
        self._opener.set_limit(raw, self._opener.reply_seconds)
        with self._lock:
            self._hang_up()
            self._raw, self._announces = raw, announces
            self._heard_at = time.monotonic()
            self._ask([*self._waiting])

    def _hang_up(self) -> None:
        """Called with the lock."""
        self._answered += len(self._asked)
        self._asked.clear()
        self._changed.clear()
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _on_push(self, parts: list[Any]) -> None:
        if parts[0] == b"invalidate":
            if parts[1] is None:
                self._changed.extend(self._waiting)
            else:
                self._changed.extend(decoded(key[self._prefix :]) for key in parts[1])

    def _take_in(self, call: _Call) -> bool:
        """Wait for what comes next, and take it in. Returns whether something came."""
        raw = self._raw
        if raw is None or raw.closed:
            raise redis.ConnectionError("the connection was closed")
        if not raw.something_arrived():
            self._wait(raw, call)
            if not raw.something_arrived():
                self._on_quiet()
                return False
        replies = raw.take_in()
        self._heard_at = time.monotonic()
        with self._lock:
            if raw is not self._raw:
                return False
            for reply in replies:
                job_id = self._asked.popleft()
                self._answered += 1
                # A server that still loads its data says so in place of a state.
                if isinstance(reply, RedisError) and not _is_wrong_type(reply):
                    raise reply
                if job_id:
                    self._note(job_id, reply)
            if self._changed:
                changed = [each for each in dict.fromkeys(self._changed) if each in self._waiting]
                self._changed.clear()
                self._ask(changed)
        return True

    def _wait(self, raw: RawConnection, call: _Call) -> None:
        seconds = TICK_SECONDS
        if not self._announces and not self._asked:
            seconds = self._poll_seconds
        self._waits.until_readable(raw, call.seconds_left(seconds) or 0)

    def _on_quiet(self) -> None:
        """Nothing came for a while."""
        now = time.monotonic()
        with self._lock:
            if self._asked:
                if now - self._heard_at > self._opener.reply_seconds:
                    raise redis.TimeoutError("the server is silent")
            elif not self._announces:
                self._poll_seconds = min(2 * self._poll_seconds, LONGEST_POLL_SECONDS)
                self._ask([*self._waiting])
            elif now - self._heard_at > QUIET_SECONDS:
                self._heard_at = now
                self._ask([_PING])


def _is_wrong_type(error: Exception) -> bool:
    return str(error).startswith("WRONGTYPE")
