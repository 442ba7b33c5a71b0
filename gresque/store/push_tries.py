"""One try to push: one trip to the server, or none that matters."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError

from gresque.connection.opening import FIRST_REPLY_SECONDS, Opener
from gresque.connection.raw import RawConnection
from gresque.connection.replicas import Replicas
from gresque.connection.scripts import script
from gresque.connection.waits import Waits
from gresque.store.joined import Joined
from gresque.store.keys import Keys
from gresque.store.producer_slots import ProducerSlot
from gresque.store.track import Track, track_of
from gresque.text import encoded

EXPIRY_SECONDS = 120
"""Added to `retry_seconds`: a slot outlives all that may still be on its way, which is the longest
wait for a reply, for a new connection, and for one more reply."""

RENEWAL_SECONDS = 10
"""So often a push renews the expiry of its slot, which lasts longer by as much: to renew it with
each push would cost the server a tenth of the push."""

STALE_SECONDS = 0.5
"""A connection that was not used for this time is checked before it is used: when the server has
closed it, nothing has been sent yet, and that is known."""


class PushTries:
    """Tries to push jobs into queues, and leaves it to its subclass to try again."""

    opening_seconds: float | None = None
    """For one of several servers, another of which may take what was not sent to this one: for so
    long it may be silent while a connection to it is opened. None: as long as for a push."""

    def __init__(
        self, url: str, keys: Keys, retry_seconds: float, waits: Waits, wait_replicas: int
    ) -> None:
        self._keys = keys
        self._opener = Opener(url, keys.namespace, waits)
        self._replicas = Replicas(url, wait_replicas) if wait_replicas else None
        self._script = script("enqueue")
        self._script_of_joined = script("enqueue_joined")
        self._expiry = RENEWAL_SECONDS + EXPIRY_SECONDS + math.ceil(retry_seconds)

    def _send(
        self,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
        reply_seconds: float,
        *,
        scripted: bool,
    ) -> Any:
        """One try. The slot gets its connection back only when that is in step: an interruption
        halfway, such as a kill of the job that enqueues, costs the connection."""
        connection, producer_slot.connection = producer_slot.connection, None
        producer_slot.sent = False
        try:
            if connection is None:
                connection = self._open(reply_seconds)
            elif (
                time.monotonic() - producer_slot.used > STALE_SECONDS
                and connection.something_arrived()
            ):
                raise redis.ConnectionError("the server hung up, or sent a reply to no command")
            push = self._push_once if scripted else self._push_plainly
            reply = push(connection, producer_slot, queue, raws)
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if reply_seconds != FIRST_REPLY_SECONDS:
            self._opener.set_limit(connection, FIRST_REPLY_SECONDS)
        producer_slot.used = time.monotonic()
        producer_slot.connection = connection
        return reply

    def _open(self, reply_seconds: float) -> RawConnection:
        connection = self._opener.open_ready(reply_seconds, self.opening_seconds)
        if self._replicas is not None:
            try:
                self._replicas.check(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _push_once(
        self,
        connection: RawConnection,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
    ) -> Any:
        now = time.monotonic()
        renews = now - producer_slot.renewed > RENEWAL_SECONDS
        used, changed = self._script, self._changed(queue, raws)
        what: str | int = queue
        jobs: Iterable[Any] = raws
        if type(raws) is not list:
            if isinstance(raws, Joined):
                used, changed = self._script_of_joined, raws.keys(self._keys)
                what, jobs = raws.size, raws.arguments()
            elif (track := track_of(raws)) is not None:
                changed = (*changed, *track.keys(self._keys))
                jobs = (*raws, *self._behind(track))
        arguments = (
            1 + len(changed), producer_slot.key, *changed,
            producer_slot.slot, producer_slot.number, what, self._expiry, int(renews), *jobs,
        )  # fmt: skip
        try:
            reply = self._push_command(connection, producer_slot, "EVALSHA", used.sha, *arguments)
        except NoScriptError:
            reply = self._push_command(connection, producer_slot, "EVAL", used.text, *arguments)
        if renews:
            producer_slot.renewed = now
        return reply

    def _behind(self, track: Track) -> tuple[Any, ...]:
        """What follows the arguments of tracked jobs."""
        return encoded(track.job_class), track.ttl_ms

    def _changed(self, queue: str, raws: Sequence[bytes]) -> tuple[str, ...]:
        """The keys that the script changes, beside the producer's."""
        return self._keys.queues, self._keys.queue(queue)

    def _push_plainly(
        self,
        connection: RawConnection,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
    ) -> Any:
        """Without scripts a push must not be repeated once it may have arrived. Making the queue
        known may be repeated, so that goes first and alone. The state of a tracked job is written
        when it starts."""
        connection.send(b"SADD", self._keys.queues, queue)
        connection.read()
        return self._push_command(
            connection, producer_slot, "RPUSH", self._keys.queue(queue), *raws
        )

    def _push_command(
        self, connection: RawConnection, producer_slot: ProducerSlot, *command: Any
    ) -> Any:
        producer_slot.sent = False
        if self._replicas is not None:
            return self._push_confirmed(self._replicas, connection, producer_slot, command)
        connection.send(*command)
        producer_slot.sent = True
        return connection.read()

    def _push_confirmed(
        self,
        replicas: Replicas,
        connection: RawConnection,
        producer_slot: ProducerSlot,
        command: Sequence[Any],
    ) -> Any:
        """Have replicas confirm it, without a further round trip."""
        behind = replicas.wait(connection, producer_slot.until - time.monotonic())
        try:
            connection.send(*command, behind=behind)
        except BaseException:
            producer_slot.sent = connection.unsent <= len(behind)
            raise
        producer_slot.sent = True
        try:
            reply = connection.read()
        except NoScriptError:  # the next command is sent over this connection
            connection.read()
            raise
        replicas.confirm(connection)
        return reply
