"""The cycle: one call to Redis per turn settles what has ended and reserves what can start."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, repeat
from typing import Any

from redis.exceptions import RedisError, ResponseError

from gresque.connection.errors import explain
from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.errors import CutOff, Fenced, RedisUnavailable
from gresque.jobs.crash_history import recoveries
from gresque.queues import QueueList
from gresque.store.keys import Keys
from gresque.store.ledger import Totals, parse_entry
from gresque.store.refusals import is_wrong_type, name_refused
from gresque.worker.turns.catch_up import MOST_MOVES, CatchUp, stands_at
from gresque.worker.turns.history import History
from gresque.worker.turns.in_flight import FailedJob, InFlight, ReservedJob
from gresque.worker.turns.refused import Refused

log = logging.getLogger("gresque.worker")
log_turns = logging.getLogger("gresque.cycle")

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 5.0


class Cycle:
    """Holds the process's one connection for its turns; no job ever touches it.

    A turn is numbered. When its reply is lost the very same request is sent again, and the script
    knows by the number that it was done: nothing is settled or reserved twice. By the number a
    server also shows that it has forgotten turns: then it is brought up to date (see `CatchUp`).
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        in_flight: InFlight,
        worker_id: str,
        process_id: str,
        queues: QueueList,
        slots: int,
        pause: Callable[[float], bool],
        revive: Callable[[list[ReservedJob], int, Totals], bool],
        running: Callable[[], Iterable[ReservedJob]],
    ) -> None:
        """`pause(seconds)` waits between two tries and says False when trying must end.

        `revive(jobs, number, totals)` registers the process anew, when its ledger was lost, with
        the jobs that it holds, the number of its last turn and the totals after that; it says False
        when the process was declared dead. Raises redis-py's errors. `running()` are the jobs that
        threads perform now.
        """
        self._url = url
        self._keys = keys
        self._in_flight = in_flight
        self._queues = queues
        self._pause = pause
        self._revive = revive
        self._running = running
        self._history = History()
        self._unknown_turns = False
        """A server has forgotten turns that the history does not have; until it is up to date."""
        self._script = script("cycle")
        self.connection = TrackedConnection(url)
        self._free = [str(slot).encode() for slot in range(slots - 1, -1, -1)]
        self._slots = self._slots_made = slots
        self.refused = Refused()
        self._sequence = 0
        self._log_turns = log_turns.isEnabledFor(logging.DEBUG)
        self._settled = in_flight.totals
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
    def number(self) -> int:
        """Of the last turn."""
        return self._sequence

    def turn(self, want: int, *, arm: bool = False, retry: bool = False) -> int:
        """Settle all that has ended, reserve up to `want` jobs into `book.ready`.

        Returns how many were reserved. With `arm`, finding none makes `heard` tell of the next
        push. With `retry`, jobs that were refused are sent again. Waits through outages of Redis.
        Raises Fenced, CutOff.
        """
        if self._stale_queues:
            self.look_for_queues()
        in_flight = self._in_flight
        ended, to_requeue, entries = in_flight.ended, in_flight.to_requeue, in_flight.entries
        in_flight.ended, in_flight.to_requeue, in_flight.entries = [], deque(), []
        totals = in_flight.totals
        if len(entries) + len(to_requeue) > MOST_MOVES:
            totals = self._put_off(ended, to_requeue, entries)
        no_longer_held = len(ended)
        retried: list[ReservedJob] = []
        if retry:
            retried, totals = self._take_refused(ended, to_requeue, entries, totals)
        settled = self._settled
        failed = totals.failed - settled.failed
        processed = totals.done - settled.done + failed
        want = min(want, len(self._free) + len(ended)) if self._queue_names else 0
        fresh = max(want - len(ended), 0)
        free = self._free[len(self._free) - fresh :]
        self._sequence += 1
        keys = *self._fixed_keys, *self.queue_keys
        arguments: tuple[Any, ...] = (
            processed, failed, len(entries), len(to_requeue), len(ended), self.suspects,
            *chain.from_iterable((job[0], *entry) for job, *entry in entries),
            *chain.from_iterable(job[:2] for job in to_requeue), *ended, *free,
        )  # fmt: skip
        head = self._sequence, want, int(arm)
        while True:
            request = len(keys), *keys, *head, *totals, *arguments
            reply = self.ask(partial(self._send, request, looks=want > 0))
            if reply == b"fenced":
                self._register_anew(to_requeue, entries)
            elif reply and reply[0] == b"gap":
                totals = self._catch_up(reply[1], totals, to_requeue, entries)
            else:
                break
        if reply == b"stale":
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
            self._hold_back(kept, to_requeue, entries)
        elif retried:
            self.refused.log_accepted(len(retried))
        if entries or to_requeue:
            self._keep(kept, to_requeue, entries)
        in_flight.held += reserved - no_longer_held
        in_flight.reserved += reserved
        if self._log_turns:
            log_turns.debug(
                "turn %d: %d ended (%d failed, %d given back), %d of %d reserved",
                self._sequence,
                len(ended),
                failed,
                len(to_requeue),
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
        self,
        ended: list[bytes],
        to_requeue: deque[ReservedJob],
        entries: list[FailedJob],
        totals: Totals,
    ) -> tuple[list[ReservedJob], Totals]:
        """Send refused jobs with this turn, too. Returns them, and the totals with them."""
        failed, back = self.refused.take(MOST_MOVES - len(entries) - len(to_requeue))
        self._in_flight.failed += len(failed)
        self._in_flight.requeued += len(back)
        jobs = [*(each.job for each in failed), *back]
        ended[:0] = (job[0] for job in jobs)
        entries[:0] = failed
        to_requeue.extendleft(reversed(back))
        return jobs, totals + Totals(failed=len(failed), requeued=len(back))

    def _hold_back(
        self, slots: set[bytes], to_requeue: deque[ReservedJob], entries: list[FailedJob]
    ) -> None:
        """The jobs in these slots were refused: they stay there, and do not count as ended. Other
        jobs get slots in their place."""
        refused, in_flight = self.refused, self._in_flight
        failed = [each for each in entries if each.job[0] in slots]
        back = [job for job in to_requeue if job[0] in slots]
        refused.failed += failed
        refused.to_requeue += back
        in_flight.failed -= len(failed)
        in_flight.requeued -= len(back)
        reserved, done, all_failed, requeued = self._settled
        self._settled = Totals(reserved, done, all_failed - len(failed), requeued - len(back))
        made = self._slots_made
        self._slots_made = max(made, self._slots + len(refused))
        self._free[:0] = (str(slot).encode() for slot in range(made, self._slots_made))

    # A server that has forgotten turns

    def _keep(
        self, refused: set[bytes], to_requeue: deque[ReservedJob], entries: list[FailedJob]
    ) -> None:
        """Keep what left the ledger in this turn, should the server forget it."""
        failed = [each for each in entries if each.job[0] not in refused]
        back = [job for job in to_requeue if job[0] not in refused]
        self._history.keep(self._sequence, failed, back)

    def _register_anew(self, to_requeue: deque[ReservedJob], entries: list[FailedJob]) -> None:
        """The ledger is gone. Raises Fenced when this process was declared dead."""
        held = self._held(to_requeue, entries)
        totals = self._settled._replace(reserved=self._in_flight.reserved)
        if not self.ask(lambda: self._revive(held, self._sequence - 1, totals)):
            raise Fenced(f"the ledger {self._fixed_keys[0]} is no longer ours")
        log.error("Redis has lost the ledger of this process; it is written anew")

    def _held(self, to_requeue: deque[ReservedJob], entries: list[FailedJob]) -> list[ReservedJob]:
        """Every job that has not left the ledger: it runs, waits for a thread, or is to be moved
        by this turn or the next one. Of jobs that are done only the slots are known."""
        in_flight = self._in_flight
        failed = [each.job for each in chain(entries, in_flight.entries)]
        moved = [*failed, *to_requeue, *in_flight.to_requeue, *self.refused.jobs]
        return [*self._running(), *in_flight.ready, *moved]

    def _catch_up(
        self,
        word: bytes,
        totals: Totals,
        to_requeue: deque[ReservedJob],
        entries: list[FailedJob],
    ) -> Totals:
        """Bring the server up to date; returns the totals for the turn that is to follow."""
        goal = self._sequence - 1
        number, _ = stands_at(word, goal)
        log.error(
            "Redis has forgotten %d turns of this process (a replica that lagged was promoted, or "
            "Redis started with older data); it is brought up to date",
            goal - number,
        )
        if number < self._history.complete_after:
            self._unknown_turns = True
            log.error(
                "failures of over 30 s ago are among what Redis has forgotten: some may be missing "
                "in the failed list, and some jobs run again"
            )
        catch_up = CatchUp(
            self._keys,
            self._history,
            goal,
            self._settled._replace(reserved=totals.reserved),
            self._held(to_requeue, entries),
            self._slots_made,
            unknown=self._unknown_turns,
        )
        keys = self._fixed_keys
        while (call := catch_up.next_call(word)) is not None:
            request = len(keys), *keys, word, call.to, *call.arguments
            word = self.ask(partial(self.connection.run, script("catch_up"), *request))
            if word == b"fenced":
                return totals
            for refused in catch_up.refused(call, word):
                totals = self._hold_again(refused, totals, catch_up)
        self._unknown_turns = False
        return totals

    def _hold_again(
        self, move: FailedJob | ReservedJob, totals: Totals, catch_up: CatchUp
    ) -> Totals:
        """A job had left the ledger, the server forgot that and now refuses to move it: it is
        held again, in a new slot. Returns the totals without it."""
        in_flight, settled, slot = self._in_flight, self._settled, b"%d" % self._slots_made
        self._slots_made += 1
        if isinstance(move, FailedJob):
            job = (slot, *move.job[1:])
            self.refused.failed.append(move._replace(job=job))
            in_flight.failed -= 1
            self._settled = settled._replace(failed=settled.failed - 1)
            totals = totals._replace(failed=totals.failed - 1)
        else:
            job = (slot, *move[1:])
            self.refused.to_requeue.append(job)
            in_flight.requeued -= 1
            self._settled = settled._replace(requeued=settled.requeued - 1)
            totals = totals._replace(requeued=totals.requeued - 1)
        catch_up.hold(job)
        catch_up.totals = self._settled._replace(reserved=totals.reserved)
        return totals

    def _put_off(
        self, ended: list[bytes], to_requeue: deque[ReservedJob], entries: list[FailedJob]
    ) -> Totals:
        """A turn moves only so many jobs; the others wait for the next one. Returns the totals
        without those."""
        in_flight = self._in_flight
        in_flight.entries = entries[MOST_MOVES:]
        del entries[MOST_MOVES:]
        moved = list(to_requeue)[: MOST_MOVES - len(entries)]
        in_flight.to_requeue = deque(list(to_requeue)[len(moved) :])
        to_requeue.clear()
        to_requeue.extend(moved)
        waiting = {each.job[0] for each in in_flight.entries} | {
            job[0] for job in in_flight.to_requeue
        }
        in_flight.ended = [slot for slot in ended if slot in waiting]
        ended[:] = [slot for slot in ended if slot not in waiting]
        reserved, done, failed, requeued = in_flight.totals
        return Totals(
            reserved, done, failed - len(in_flight.entries), requeued - len(in_flight.to_requeue)
        )

    # Sending

    def _send(self, request: tuple[Any, ...], *, looks: bool) -> Any:
        reply = self.connection.run(self._script, *request)
        if looks and not self._dynamic:
            self.connection.invalidated.clear()  # announced before this turn looked
        return reply

    def _take_in(self, reply: list[Any], slots: list[bytes]) -> int:
        ready = self._in_flight.ready
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
            self._in_flight.ready.append((slot, entry.queue_key.decode()[prefix:], entry.raw))
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
