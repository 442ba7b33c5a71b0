"""Pushing jobs through outages of Redis: once, or not at all."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from gresque.backoff import Backoff
from gresque.connection.errors import alone, explain, is_reply, may_pass
from gresque.connection.opening import FIRST_REPLY_SECONDS, Opener
from gresque.connection.raw import RawConnection
from gresque.connection.scripts import script
from gresque.connection.waits import BLOCKING, Waits
from gresque.errors import NotEnqueued, PerhapsEnqueued
from gresque.store.keys import Keys
from gresque.store.producer_slots import Pool, ProducerSlot, ProducerSlots
from gresque.store.track import Track, track_of
from gresque.text import encoded

FIRST_BACKOFF_SECONDS = 0.02
LONGEST_BACKOFF_SECONDS = 1.0

EXPIRY_SECONDS = 120
"""Added to `retry_seconds`: a slot outlives all that may still be on its way, which is the longest
wait for a reply, for a new connection, and for one more reply."""

RENEWAL_SECONDS = 10
"""So often a push renews the expiry of its slot, which lasts longer by as much: to renew it with
each push would cost the server a tenth of the push."""

STALE_SECONDS = 0.5
"""A connection that was not used for this time is checked before it is used: when the server has
closed it, nothing has been sent yet, and that is known."""


class Enqueuer:
    """Pushes jobs into queues. Greenlets and threads may share one, and a fork may copy it.

    Each push has a slot for itself: a connection, and a field of a HASH in Redis, in which one
    script notes the number of the push while it does it. So a push whose reply was lost can be sent
    again: the script sees by the number that it was done. There are few slots; more pushes at the
    same time wait for one (see `producer_slots`).
    """

    def __init__(self, url: str, keys: Keys, retry_seconds: float, waits: Waits = BLOCKING) -> None:
        self._url = url
        self._keys = keys
        self._retry_seconds = retry_seconds
        self._waits = waits
        self._opener = Opener(url, keys.namespace, waits)
        self._script = script("enqueue")
        self._expiry = RENEWAL_SECONDS + EXPIRY_SECONDS + math.ceil(retry_seconds)
        self._scripted = True
        """The server runs scripts for us. Where it refuses, a push is not repeated."""
        self._slots = self._own_slots()

    def push(self, queue: str, raws: Sequence[bytes]) -> Any:
        """Make the queue known and push the jobs, all of them or none, in one round trip; returns
        the reply.

        Tries again for `retry_seconds` when Redis fails. Raises NotEnqueued or PerhapsEnqueued.
        """
        slots = self._slots
        if slots.pid != os.getpid():  # a fork: the parent goes on with its own
            slots = self._slots = self._own_slots()
        pool = slots.pool()
        try:
            producer_slot = pool.take()
        except (RedisError, OSError) as error:
            raise NotEnqueued(f"not enqueued: {explain(self._url, error)}") from alone(error)
        try:
            producer_slot.number += 1
            reply = self._send(
                producer_slot, queue, raws, FIRST_REPLY_SECONDS, scripted=self._scripted
            )
            pool.done_at = producer_slot.used
            return reply
        except (RedisError, OSError) as error:
            return self._repeat(pool, producer_slot, queue, raws, error)
        finally:
            pool.give_back(producer_slot)

    def _repeat(
        self,
        pool: Pool,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
        error: Exception,
    ) -> Any:
        """Try again: at once on a new connection, as the server may have restarted, then with
        back-off, until it succeeds or must not be tried any more.

        A server that is silent is given the longest time of a reply in all, in longer and longer
        tries, each on a new connection: it may be slow, or another one may have replaced it.
        """
        scripted, perhaps = self._scripted, False
        until = time.monotonic() + self._retry_seconds
        silent_seconds = max(self._opener.reply_seconds, self._retry_seconds)
        silent_until = max(until, time.monotonic() + silent_seconds - FIRST_REPLY_SECONDS)
        reply_seconds = FIRST_REPLY_SECONDS
        wait, backoff = 0.0, Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        while True:
            silent = isinstance(error, redis.TimeoutError) and self._opener.limit_seconds is None
            if silent:
                reply_seconds = min(2 * reply_seconds, self._opener.reply_seconds)
            pool.give_up(error, silent_seconds if silent else self._retry_seconds)
            perhaps = perhaps or (producer_slot.sent and not is_reply(error))
            if scripted and not perhaps and _refuses_scripts(error):
                scripted = False
            elif not may_pass(error) or (perhaps and not scripted):
                break
            if wait:
                left = (silent_until if silent else until) - time.monotonic()
                if left <= 0:
                    break
                self._waits.sleep(min(wait, left))
            wait = backoff.next_seconds()
            try:
                reply = self._send(producer_slot, queue, raws, reply_seconds, scripted=scripted)
            except (RedisError, OSError) as another:
                error = another
            else:
                self._scripted = scripted
                pool.done_at = producer_slot.used
                return reply
        why = explain(self._url, error)
        if not perhaps:
            raise NotEnqueued(f"not enqueued: {why}") from alone(error)
        raise PerhapsEnqueued(
            f"perhaps enqueued: it was sent, but then {why}; "
            f"look into {self._place(queue)} before you enqueue it again"
        ) from alone(error)

    def _place(self, queue: str) -> str:
        return f"queue {queue!r}"

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
                connection = self._opener.open_ready(reply_seconds)
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

    def _push_once(
        self,
        connection: RawConnection,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
    ) -> Any:
        changed = self._changed(queue, raws)
        behind: tuple[Any, ...] = ()
        if type(raws) is not list and (track := track_of(raws)) is not None:
            changed = (*changed, *track.keys(self._keys))
            behind = self._behind(track)
        now = time.monotonic()
        renews = now - producer_slot.renewed > RENEWAL_SECONDS
        arguments = (
            1 + len(changed), producer_slot.key, *changed,
            producer_slot.slot, producer_slot.number, queue, self._expiry, int(renews), *raws,
            *behind,
        )  # fmt: skip
        try:
            reply = push_command(connection, producer_slot, "EVALSHA", self._script.sha, *arguments)
        except NoScriptError:
            reply = push_command(connection, producer_slot, "EVAL", self._script.text, *arguments)
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
        return push_command(connection, producer_slot, "RPUSH", self._keys.queue(queue), *raws)

    def close(self) -> None:
        """Close the connections that are not in use. The enqueuer may be used again."""
        slots, self._slots = self._slots, self._own_slots()
        if slots.pid == os.getpid():
            slots.close()

    def _own_slots(self) -> ProducerSlots:
        return ProducerSlots(self._keys, self._waits.waiter)


def push_command(connection: RawConnection, producer_slot: ProducerSlot, *command: Any) -> Any:
    producer_slot.sent = False
    connection.send(*command)
    producer_slot.sent = True
    return connection.read()


def _refuses_scripts(error: Exception) -> bool:
    """Whether plain commands may still be allowed: with an ACL without EVALSHA or our key, and
    behind a proxy without scripts."""
    if isinstance(error, NoPermissionError):
        return True
    message = str(error).lower()
    return isinstance(error, ResponseError) and (
        "unknown command" in message or "acl failure in script" in message
    )
