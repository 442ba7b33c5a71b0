"""The cycle: one call to Redis per turn settles what has ended and reserves what can start."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from redis.exceptions import RedisError, ResponseError

from gresque.errors import CutOff, Fenced, RedisUnavailable
from gresque.jobs.deaths import recoveries
from gresque.queues import QueueList
from gresque.store.connection import DirectConnection, explain
from gresque.store.keys import Keys
from gresque.store.ledger import Totals, parse_entry
from gresque.store.refusals import is_wrong_type, name_refused
from gresque.store.scripts import script
from gresque.worker.book import Book, FailedJob, ReservedJob
from gresque.worker.refused import Refused

log = logging.getLogger("gresque.worker")
log_turns = logging.getLogger("gresque.cycle")

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 5.0


class Cycle:
    """Holds the process's one connection for its turns; no job ever touches it.

    A turn is numbered. When its reply is lost the very same request is sent again, and the script
    knows by the number that it was done: nothing is settled or reserved twice.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        book: Book,
        worker_id: str,
        process_id: str,
        queues: QueueList,
        slots: int,
        pause: Callable[[float], bool],
        revive: Callable[[Iterable[ReservedJob]], bool],
    ) -> None:
        """`pause(seconds)` waits between two tries and says False when trying must end.

        `revive(jobs)` registers the process anew, when its ledger was lost, with the jobs that it
        holds and these; it says False when the process was declared dead. Raises redis-py's errors.
        """
        self._url = url
        self._keys = keys
        self._book = book
        self._queues = queues
        self._pause = pause
        self._revive = revive
        self._script = script("cycle")
        self.connection = DirectConnection(url)
        self._free = [str(slot).encode() for slot in range(slots - 1, -1, -1)]
        self._slots = self._slots_made = slots
        self.refused = Refused()
        self._sequence = 0
        self._log_turns = log_turns.isEnabledFor(logging.DEBUG)
        self._settled = book.totals
        self._fixed_keys = [
            keys.ledger(process_id),
            keys.processed,
            keys.failures,
            keys.worker_stat("processed", worker_id),
            keys.worker_stat("failed", worker_id),
            keys.queues,
            keys.failed_queues,
            keys.suspects,
        ]
        self.suspects = b"leave"
        """What the script does with suspects (see there)."""
        self.notice = b""
        """What it said of suspects in the last turn: `alone`, `left`, or nothing."""
        self._queue_names: list[str] = []
        self.tells_of_names = False
        """Whether it is for this process to log which queues cannot be served."""
        self.queue_keys: list[bytes] = []
        self._set_queues(queues.resolve(()))
        self._stale_queues = self._dynamic = queues.dynamic

    @property
    def free(self) -> int:
        """Slots that a turn sent now could fill."""
        return len(self._free) + len(self._book.ended)

    def turn(self, want: int, *, arm: bool = False, retry: bool = False) -> int:
        """Settle all that has ended, reserve up to `want` jobs into `book.ready`.

        Returns how many were reserved. With `arm`, finding none makes `heard` tell of the next
        push. With `retry`, jobs that were refused are sent again. Waits through outages of Redis.
        Raises Fenced, CutOff.
        """
        if self._stale_queues:
            self.look_for_queues()
        book = self._book
        ended, gives, entries = book.ended, book.gives, book.entries
        book.ended, book.gives, book.entries = [], deque(), []
        no_longer_held = len(ended)
        retried = self._take_refused(ended, gives, entries) if retry else 0
        totals = book.totals
        settled = self._settled
        failed = totals.failed - settled.failed
        processed = totals.done - settled.done + failed
        want = min(want, len(self._free) + len(ended)) if self._queue_names else 0
        fresh = max(want - len(ended), 0)
        free = self._free[len(self._free) - fresh :]
        self._sequence += 1
        keys = len(self._fixed_keys) + len(self.queue_keys)
        request: tuple[Any, ...] = (
            *self._fixed_keys, *self.queue_keys,
            self._sequence, want, int(arm), *totals, processed, failed,
            len(entries), len(gives), len(ended), self.suspects,
            *chain.from_iterable((job[0], *entry) for job, *entry in entries),
            *chain.from_iterable(job[:2] for job in gives), *ended, *free,
        )  # fmt: skip
        looks = want > 0
        reply = self.ask(lambda: self._send(keys, request, looks=looks))
        if reply == b"fenced" and self.ask(lambda: self._revive(gives)):
            log.error("Redis has lost the ledger of this process; it is written anew")
            reply = self.ask(lambda: self._send(keys, request, looks=looks))
        if reply in (b"fenced", b"stale"):
            raise Fenced(f"the ledger {self._fixed_keys[0]} is no longer ours")
        self._settled = totals
        slots = ended + free
        kept: set[bytes] = set()
        if reply and reply[0] in (b"refused", b"replay"):
            kept, reply = self._take_in_refusals(reply)
            slots = [slot for slot in slots if slot not in kept]
        reserved = self._take_in(reply, slots[:want])
        del self._free[len(self._free) - fresh :]
        self._free += slots[reserved:]
        if kept:
            self._hold_back(kept, gives, entries)
        elif retried:
            self.refused.log_accepted(retried)
        book.held += reserved - no_longer_held
        book.reserved += reserved
        if self._log_turns:
            log_turns.debug(
                "turn %d: %d ended (%d failed, %d given back), %d of %d reserved",
                self._sequence,
                len(ended),
                failed,
                len(gives),
                reserved,
                want,
            )
        return reserved

    def _take_in_refusals(self, reply: list[Any]) -> tuple[set[bytes], list[Any]]:
        """The slots of the jobs that were refused, and the rest of the reply."""
        if reply[0] == b"replay":
            return set(reply[1][1:].split(b",")) if reply[1] else set(), [reply[0], *reply[2:]]
        _, slots, notes, rest = reply
        self.refused.log(notes)
        return set(slots), rest

    def _take_refused(
        self, ended: list[bytes], gives: deque[ReservedJob], entries: list[FailedJob]
    ) -> int:
        """Send the refused jobs with this turn, too; returns how many those are."""
        refused, book = self.refused, self._book
        ended[:0] = refused.slots
        entries[:0] = refused.failed
        gives.extendleft(reversed(refused.gives))
        book.failed += len(refused.failed)
        book.requeued += len(refused.gives)
        count = len(refused)
        refused.clear()
        return count

    def _hold_back(
        self, slots: set[bytes], gives: deque[ReservedJob], entries: list[FailedJob]
    ) -> None:
        """The jobs in these slots were refused: they stay there, and do not count as ended. Other
        jobs get slots in their place."""
        refused, book = self.refused, self._book
        failed = [each for each in entries if each.job[0] in slots]
        back = [job for job in gives if job[0] in slots]
        refused.failed += failed
        refused.gives += back
        book.failed -= len(failed)
        book.requeued -= len(back)
        reserved, done, all_failed, requeued = self._settled
        self._settled = Totals(reserved, done, all_failed - len(failed), requeued - len(back))
        made = self._slots_made
        self._slots_made = max(made, self._slots + len(refused))
        self._free[:0] = (str(slot).encode() for slot in range(made, self._slots_made))

    def _send(self, keys: int, request: tuple[Any, ...], *, looks: bool) -> Any:
        reply = self.connection.run(self._script, keys, *request)
        if looks and not self._dynamic:
            self.connection.invalidated.clear()  # announced before this turn looked
        return reply

    def _take_in(self, reply: list[Any], slots: list[bytes]) -> int:
        ready = self._book.ready
        if reply and reply[0] == b"replay":
            return self._take_in_replay(reply[1:], slots)
        self.notice = reply.pop() if len(reply) % 2 else b""
        taken = 0
        for index, raws in zip(reply[::2], reply[1::2], strict=True):
            filled = slots[taken : taken + len(raws)]
            ready.extend(zip(filled, repeat(self._queue_names[index]), raws, strict=False))
            taken += len(raws)
        return taken

    def _take_in_replay(self, held: list[bytes | None], slots: list[bytes]) -> int:
        """The turn had been done, its reply was lost: the jobs stand in the first slots."""
        prefix = len(self._keys.queue_prefix)
        found = [value for value in held if value is not None]
        for slot, value in zip(slots, found, strict=False):
            entry = parse_entry(value)
            self._book.ready.append((slot, entry.queue_key.decode()[prefix:], entry.raw))
        # Of suspects nothing is said twice; a single one was taken to be alone, for all we know.
        single = len(found) == 1 and recoveries(parse_entry(found[0]).raw)
        self.notice = b"alone" if single else b""
        return len(found)

    def forget_queues(self) -> None:
        """Look anew before the next turn, when the queue list has globs."""
        self._stale_queues = self._dynamic

    def look_for_queues(self) -> None:
        """Ask which queues exist now, when the queue list has globs."""
        if self._dynamic:
            names = self.ask(self._ask_for_queues)
            if names is None:
                self._stale_queues = False
                return  # those that were found before stay
            readable = list(_readable(names))
            if self.tells_of_names and len(readable) < len(names):
                self.tells_of_names = False
                log.warning(
                    "%d queues are not served, as their names are not UTF-8; see gresque queues",
                    len(names) - len(readable),
                )
            self._set_queues(self._queues.resolve(readable))
        self._stale_queues = False

    def _ask_for_queues(self) -> list[bytes] | None:
        """None when another program keeps something else in the place of the set."""
        queues = self._keys.queues
        try:
            names: list[bytes] = self.connection.call(b"SMEMBERS", queues)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            name_refused(self._keys, [(queues, str(error))], "globs find no new queues")
            return None
        return names

    def _set_queues(self, names: list[str]) -> None:
        self._queue_names = names
        self.queue_keys = [self._keys.queue(name).encode() for name in names]

    def heard(self) -> bool:
        """True when a queue has changed since it was armed; what globs stand for is looked up
        anew, should that have changed.

        Raises RedisError when the connection broke: nothing will ever be announced on it.
        """
        connection = self.connection
        if not self._dynamic:
            return connection.something_arrived()  # the turn that follows takes it in
        if not connection.hear():
            return False
        changed = set(connection.invalidated)
        connection.invalidated.clear()
        if changed & {None, self._keys.queues.encode()}:
            self.look_for_queues()
        return True

    def refresh(self) -> None:
        """After a long rest: that the server has hung up on an idle connection is no outage."""
        try:
            gone = self.connection.something_arrived()
        except (RedisError, OSError):
            gone = True
        if gone:
            self.ask(self.connection.connect)

    def connect(self) -> None:
        """Connect once, or raise RedisError: at boot an unreachable Redis is an error."""
        self.connection.connect()

    def ask(self, send: Callable[[], Any]) -> Any:
        """Send until there is an answer; for what may be repeated. An outage is logged once, and
        so is its end. Raises CutOff."""
        away_since: float | None = None
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            try:
                if away_since is not None:
                    self.connection.connect()
                reply = send()
            except (RedisError, OSError, RedisUnavailable) as error:
                self.connection.close()  # redis-py would connect by itself, without tracking
                if away_since is None:
                    away_since = time.monotonic()
                    log.warning("%s; waiting for it", explain(self._url, error))
                if not self._pause(backoff * random.uniform(0.5, 1.0)):
                    raise CutOff(explain(self._url, error)) from error
                backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            else:
                if away_since is not None:
                    log.warning("Redis is back after %.1f s", time.monotonic() - away_since)
                    # What the old connection was to be told of, nobody tells the new one.
                    self.forget_queues()
                    self.connection.invalidated.append(None)
                return reply


def _readable(names: list[bytes]) -> Iterator[str]:
    """Queue names that are UTF-8; others cannot be named in QUEUES either."""
    for name in names:
        try:
            yield name.decode()
        except UnicodeDecodeError:
            continue
