"""Pushing jobs through outages of Redis: once, or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from gresque.backoff import Backoff
from gresque.connection.errors import alone, explain, is_reply, may_pass
from gresque.connection.opening import FIRST_REPLY_SECONDS
from gresque.connection.replicas import Unconfirmed
from gresque.connection.waits import BLOCKING, Waits
from gresque.errors import NotEnqueued, PerhapsEnqueued
from gresque.store.joined import Joined, may_join
from gresque.store.keys import Keys
from gresque.store.producer_slots import Pool, ProducerSlot, ProducerSlots
from gresque.store.push_tries import PushTries
from gresque.store.waiters import Waiter

FIRST_BACKOFF_SECONDS = 0.02
LONGEST_BACKOFF_SECONDS = 1.0


class _Apart(Exception):
    """Redis has refused the call of several pushes: each of them is to be pushed alone."""


class Enqueuer(PushTries):
    """Pushes jobs into queues. Greenlets and threads may share one, and a fork may copy it.

    Each push has a slot for itself: a connection, and a field of a HASH in Redis, in which one
    script notes the number of the push while it does it. So a push whose reply was lost can be sent
    again: the script sees by the number that it was done.

    There are few slots; more pushes at the same time wait for one (see `producer_slots`). Those
    that wait are joined: the one that gets the slot takes the others along, in one call. When Redis
    refuses that call, each of them is pushed alone, and ends as it would have without the others.
    """

    _joins = True

    def __init__(
        self,
        url: str,
        keys: Keys,
        retry_seconds: float,
        waits: Waits = BLOCKING,
        wait_replicas: int = 0,
        wait_seconds: float | None = None,
    ) -> None:
        """`wait_replicas`: how many replicas have to confirm a push before it returns, within
        `wait_seconds`, or `retry_seconds`."""
        super().__init__(url, keys, retry_seconds, waits, wait_replicas)
        self._url = url
        self._retry_seconds = retry_seconds
        self._wait_seconds = retry_seconds if wait_seconds is None else wait_seconds
        self._waits = waits
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
        pools = slots.pools()
        if self._joins and self._scripted and may_join(raws):
            producer_slot = pools.joining.free()
            if producer_slot is not None:
                return self._push(pools.joining, producer_slot, queue, raws)
            if self._push_joined(pools.joining, queue, raws):
                return 1
        try:
            producer_slot = pools.alone.take()
        except (RedisError, OSError) as error:
            raise self._failure(queue, error) from alone(error)
        return self._push(pools.alone, producer_slot, queue, raws)

    def _push(
        self, pool: Pool, producer_slot: ProducerSlot, queue: str, raws: Sequence[bytes]
    ) -> Any:
        try:
            producer_slot.number += 1
            return self._call(pool, producer_slot, queue, raws)
        finally:
            pool.give_back(producer_slot)

    def _push_joined(self, pool: Pool, queue: str, raws: Sequence[bytes]) -> bool:
        """Push a job together with others that wait; False where it is to be pushed alone."""
        own = pool.waiter(queue, raws[0])
        try:
            producer_slot = pool.wait(own)
        except (RedisError, OSError) as error:
            raise self._failure(queue, error) from alone(error)
        if producer_slot is None:  # another push has taken it along
            return not own.apart
        try:
            call = producer_slot.call
            if call is None:
                call = self._join(pool, producer_slot, own)
                reply = self._call(pool, producer_slot, queue, call)
            else:  # the push that sent it was killed
                cut_short = redis.ConnectionError("the push that sent it was interrupted")
                reply = self._repeat(pool, producer_slot, queue, call, cut_short)
        except _Apart:
            pool.settle(producer_slot, lambda _: True)
            return False
        except (NotEnqueued, PerhapsEnqueued) as failure:
            pool.settle(producer_slot, lambda _: False, partial(self._same_failure, failure))
            raise
        except Exception:  # such as a name that cannot be encoded: of one of them
            if call is None or producer_slot.sent or call.in_doubt:
                raise
            pool.settle(producer_slot, lambda _: True)
            return False
        else:
            refused = call.refused(reply)
            pool.settle(producer_slot, refused.__contains__)
            return queue not in refused
        finally:
            pool.give_back(producer_slot)

    def _join(self, pool: Pool, producer_slot: ProducerSlot, own: Waiter) -> Joined:
        """The call of a push that has waited, and of those that wait now."""
        pool.join(producer_slot)
        call = Joined((each.queue, each.raw) for each in (own, *producer_slot.joined))
        producer_slot.number += 1  # before the call is noted: under the last number it was done
        producer_slot.sent, producer_slot.call = False, call
        return call

    def _call(
        self, pool: Pool, producer_slot: ProducerSlot, queue: str, raws: Sequence[bytes]
    ) -> Any:
        scripted = self._scripted or type(raws) is Joined
        if self._replicas is not None:
            producer_slot.until = time.monotonic() + self._wait_seconds
        try:
            reply = self._send(producer_slot, queue, raws, FIRST_REPLY_SECONDS, scripted=scripted)
        except (RedisError, OSError) as error:
            return self._repeat(pool, producer_slot, queue, raws, error, scripted=scripted)
        pool.done_at = producer_slot.used
        return reply

    def _repeat(
        self,
        pool: Pool,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
        error: Exception,
        *,
        scripted: bool = True,
    ) -> Any:
        """Try again: at once on a new connection, as the server may have restarted, then with
        back-off, until it succeeds or must not be tried any more.

        A server that is silent is given the longest time of a reply in all, in longer and longer
        tries, each on a new connection: it may be slow, or another one may have replaced it. With
        `opening_seconds` that is so only for what may have been done.
        """
        joined = raws if isinstance(raws, Joined) else None
        perhaps = joined is not None and joined.in_doubt
        until = time.monotonic() + self._retry_seconds
        if isinstance(error, Unconfirmed):  # for which it has waited already
            until = producer_slot.until
        else:
            producer_slot.until = time.monotonic() + self._wait_seconds
        silent_seconds = max(self._opener.reply_seconds, self._retry_seconds)
        silent_until = max(until, time.monotonic() + silent_seconds - FIRST_REPLY_SECONDS)
        reply_seconds = FIRST_REPLY_SECONDS
        wait, backoff = 0.0, Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        while True:
            silent = isinstance(error, redis.TimeoutError) and self._opener.limit_seconds is None
            if silent:
                reply_seconds = min(2 * reply_seconds, self._opener.reply_seconds)
            waits = silent and self.opening_seconds is None
            pool.give_up(error, silent_seconds if waits else self._retry_seconds)
            perhaps = perhaps or (producer_slot.sent and not is_reply(error))
            if joined is not None:
                joined.in_doubt = perhaps
                if not perhaps and is_reply(error):
                    raise _Apart
            if scripted and not perhaps and _refuses_scripts(error):
                scripted = False
            elif not may_pass(error) or (perhaps and not scripted):
                break
            if silent and not (waits or perhaps):
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
        raise self._failure(queue, error, perhaps=perhaps) from alone(error)

    def _failure(self, queue: str, error: Exception, *, perhaps: bool = False) -> Exception:
        """The error that a push ends with."""
        why = explain(self._url, error)
        if not perhaps:
            return NotEnqueued(f"not enqueued: {why}")
        return PerhapsEnqueued(
            f"perhaps enqueued: it was sent, but then {why}; "
            f"look into {self._place(queue)} before you enqueue it again"
        )

    def _same_failure(self, failure: Exception, queue: str) -> Exception:
        """The error of a push that was joined to the one that has ended so."""
        cause = failure.__cause__
        assert isinstance(cause, Exception)
        another = self._failure(queue, cause, perhaps=isinstance(failure, PerhapsEnqueued))
        another.__cause__ = cause
        return another

    def _place(self, queue: str) -> str:
        return f"queue {queue!r}"

    def close(self) -> None:
        """Close the connections that are not in use. The enqueuer may be used again."""
        slots, self._slots = self._slots, self._own_slots()
        if slots.pid == os.getpid():
            slots.close()

    def _own_slots(self) -> ProducerSlots:
        return ProducerSlots(self._keys, self._waits.waiter)


def _refuses_scripts(error: Exception) -> bool:
    """Whether plain commands may still be allowed: with an ACL without EVALSHA or our key, and
    behind a proxy without scripts."""
    if isinstance(error, NoPermissionError):
        return True
    message = str(error).lower()
    return isinstance(error, ResponseError) and (
        "unknown command" in message or "acl failure in script" in message
    )
