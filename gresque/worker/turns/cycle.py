"""The cycle: one call to Redis per turn settles what has ended and reserves what can start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any

from gresque.connection.scripts import script
from gresque.logs import fields
from gresque.queue_list import QueueList, Weights
from gresque.store.keys import Keys
from gresque.store.ledger import (
    COUNTED,
    COUNTED_BOTH,
    COUNTED_OWN,
    UNCOUNTED,
    Totals,
    parse_entry,
)
from gresque.worker.turns.blocked import Blocked
from gresque.worker.turns.in_flight import InFlight, ReservedJob, Slots
from gresque.worker.turns.request import Request, fit
from gresque.worker.turns.served_lists import MOST_LISTS, ServedLists, Takes, Window
from gresque.worker.turns.session import Session
from gresque.worker.turns.starter import Starter

FLAGS = (UNCOUNTED, COUNTED, COUNTED_OWN, COUNTED_BOTH)
"""A reply adds 1,000 times the place of the jobs' flag in this tuple to the index of their list."""

log_turns = logging.getLogger("gresque.cycle")


class Cycle:
    """Makes the turns of a worker process. Each one takes three steps:

    1. Build a request of what has ended, its effects, and how many jobs are wanted.
    2. Send it, through outages and to servers that have forgotten turns (see `Session`).
    3. Take in the reply: the jobs that were reserved, and those whose move the server refused.
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
        threads: int = 1,
        weights: Weights | None = None,
    ) -> None:
        """`threads` and `weights` are for the lists (see `ServedLists`).

        `pause(seconds)` waits between two tries and returns False when trying must end.

        `revive(jobs, number, totals)` registers the process again, when its ledger was lost, with
        the jobs that it holds, the number of its last turn and the totals after that; it returns
        False when the process was declared dead. Raises redis-py's errors. `running()` are the jobs
        that threads perform now.
        """
        self._keys = keys
        self._in_flight = in_flight
        self._slots = Slots(slots)
        self._fixed_keys = _fixed_keys(keys, process_id, worker_id)
        self.policy_keys = (*self._fixed_keys[-5:], keys.queues, keys.suspects)
        """The keys that listen_limited.lua takes, in its order."""
        self.lists = ServedLists(keys, queues, threads, weights)
        self.takes = Takes.QUEUES
        """From which lists of its queues the next turn reserves."""
        self.first_suspect: int | None = None
        """The place, among the jobs that the last turn reserved, of the first one that came from a
        list of suspects."""
        self.blocked: Blocked | None = None
        """The queues from which the last turn that looked for jobs could not take any; None where
        there was none."""
        self.is_exhausted = False
        """That turn looked at all lists, and took all jobs that it could."""
        self.deaths = 0
        """The most deaths that a job of the last turn saw; 2 stands for more than one."""
        self._taken_from: set[str] = set()
        """Queues whose suspects the last turn reserved."""
        self._session = Session(
            url, keys, self._fixed_keys, in_flight, self._slots, pause, revive, running
        )
        self._session.on_reconnect = self._on_reconnect
        self.starter = Starter(self._session, keys, in_flight, process_id)
        self.refused = self._session.refused
        self._log_turns = log_turns.isEnabledFor(logging.DEBUG)

    @property
    def connection(self) -> Any:
        return self._session.connection

    @property
    def settled(self) -> Totals:
        """Those that the last turn wrote to the ledger."""
        return self._session.settled

    @property
    def number(self) -> int:
        """Of the last turn."""
        return self._session.number

    # Turns

    def turn(self, want: int, *, listen: bool = False, retry: bool = False) -> int:
        """Settle all that has ended, reserve up to `want` jobs into `InFlight.ready`.

        Returns how many were reserved. With `listen`, finding none has the server announce the next
        push. With `retry`, jobs that were refused are sent again. Waits through outages of Redis.
        Raises Fenced, CutOff.
        """
        if self.lists.is_stale:
            self.look_for_queues()
        windows = self.lists.windows(self.takes)
        if want and self.blocked is not None:
            self.blocked = None
        reserved = self._turn(want, windows[0], listen=listen, retry=retry, on_reply=self._clear)
        for window in windows[1:]:
            if reserved or not want:
                break
            # Pushes to the lists of an earlier turn stay noted until these lists are looked at.
            reserved = self._turn(want, window, listen=listen, retry=False, on_reply=_nothing)
        if len(windows) > 1 and reserved:
            self.is_exhausted = False
        return reserved

    def _turn(
        self,
        want: int,
        window: Window,
        *,
        listen: bool,
        retry: bool,
        on_reply: Callable[[], None],
    ) -> int:
        request = self._build(want, window, listen=listen, retry=retry)
        no_longer_held = len(request.ended) - len(request.retried)
        reply = self._session.run(request, on_reply if request.want else _nothing)
        if request.sums:
            self._in_flight.meters.note_written()
        slots = request.ended + request.free
        kept: set[bytes] = set()
        if reply and reply[0] in (b"refused", b"replay"):
            kept, reply = self._take_in_refusals(reply, window)
            slots = [slot for slot in slots if slot not in kept]
        if request.freed:
            left = request.ended
            self._in_flight.count_no_more(
                [each for each in left if each not in kept] if kept else left
            )
        reserved = self._take_in(reply, slots[: request.want], window)
        free = self._slots.free
        del free[len(free) - len(request.free) :]
        free += slots[reserved:]
        self.is_exhausted = reserved < request.want
        if request.settled:
            self._settle(request, kept)
        in_flight = self._in_flight
        in_flight.held += reserved - no_longer_held
        in_flight.reserved += reserved
        if self._log_turns:
            self._log_turn(request, reserved)
        return reserved

    def _build(self, want: int, window: Window, *, listen: bool, retry: bool) -> Request:
        in_flight, acknowledged = self._in_flight, self._session.settled
        ended, settled = in_flight.take_settled()
        request = Request(
            self._fixed_keys, window.keys, ended, settled, in_flight.totals, listen=listen,
            own_caps=window.own_caps,
        )  # fmt: skip
        if in_flight.tracked and in_flight.tracked.is_due:
            request.notes = in_flight.tracked.take_notes()
        if in_flight.counted:
            request.freed = self._freed(chain(ended, self.refused.slots if retry else ()))
        if retry or max(want - len(ended), 0) > request.room:
            put_off = fit(request, want, acknowledged)
            if put_off is not None:
                in_flight.put_off(*put_off)
            if retry:
                request.retry(self.refused.take(request.room // 2), in_flight)
            if request.freed:
                request.freed = self._freed(request.ended)
        request.want = want = request.allowed(want, len(self._slots.free)) if window.keys else 0
        fresh = max(want - len(ended), 0)
        free = self._slots.free
        request.free = free[len(free) - fresh :]
        request.count(acknowledged)
        if in_flight.meters.is_due:
            request.sums = in_flight.meters.take(request.totals)
        return request

    def _freed(self, ended: Iterable[bytes]) -> dict[str, tuple[int, int]]:
        counts = self._in_flight.counted_among(ended)
        return {self._keys.freed(queue): count for queue, count in counts.items()}

    def _take_in_refusals(self, reply: list[Any], window: Window) -> tuple[set[bytes], list[Any]]:
        """The slots of the jobs that were refused, and the rest of the reply."""
        if reply[0] == b"replay":
            return set(reply[1][1:].split(b",")) if reply[1] else set(), [reply[0], *reply[2:]]
        _, slots, notes, rest, wait_ms, paused, limited = reply
        self.refused.log(notes)
        if paused or limited:
            self.blocked = self.blocked or Blocked()
            self.blocked.note(window, wait_ms, paused, limited)
        return set(slots), rest

    def _settle(self, request: Request, kept: set[bytes]) -> None:
        """The jobs in the slots `kept` were refused: they stay there, and do not count as ended.
        The others have left the ledger."""
        left = [each for each in request.settled if each.job[0] not in kept]
        if kept:
            refused = [each for each in request.settled if each.job[0] in kept]
            for each in refused:
                self._session.discount(each)
            self.refused.settled += refused
            self._slots.replace(len(self.refused))
        elif request.retried:
            self.refused.log_accepted(len(request.retried))
        if left:
            self._session.keep(left)

    def _take_in(self, reply: list[Any], slots: list[bytes], window: Window) -> int:
        if reply and reply[0] == b"replay":
            return self._take_in_replay(reply[1:], slots)
        ready, queues = self._in_flight.ready, window.queues
        self.first_suspect, self.deaths = None, 0
        note_waits = self._in_flight.meters.note_waits
        taken = 0
        for index, raws in zip(reply[::2], reply[1::2], strict=True):
            filled = slots[taken : taken + len(raws)]
            if index >= MOST_LISTS:
                flag, index = divmod(index, MOST_LISTS)
                counts = repeat((FLAGS[flag], queues[index]))
                self._in_flight.counted.update(zip(filled, counts, strict=False))
            ready.extend(zip(filled, repeat(queues[index]), raws, strict=False))
            note_waits(queues[index], raws)
            if window.deaths[index]:
                self._note_suspect(taken, queues[index], window.deaths[index])
            taken += len(raws)
        return taken

    def _take_in_replay(self, held: list[bytes | None], slots: list[bytes]) -> int:
        """The turn had been done, its reply was lost: the jobs stand in the first slots."""
        keys, found = self._keys, [value for value in held if value is not None]
        self.first_suspect, self.deaths = None, 0
        for place, (slot, value) in enumerate(zip(slots, found, strict=False)):
            entry = parse_entry(value)
            key = entry.queue_key.decode()
            queue, deaths = keys.queue_of(key) or key, keys.deaths_of(key)
            self._in_flight.ready.append((slot, queue, entry.raw))
            if entry.flag != UNCOUNTED:
                self._in_flight.counted[slot] = entry.flag, queue
            if deaths:
                self._note_suspect(place, queue, deaths)
        return len(found)

    def _note_suspect(self, place: int, queue: str, deaths: int) -> None:
        self._taken_from.add(queue)
        if self.first_suspect is None:
            self.first_suspect = place
        self.deaths = max(self.deaths, deaths)

    def _log_turn(self, request: Request, reserved: int) -> None:
        log_turns.debug(
            "turn %d: %d ended (%d with effects), %d of %d reserved",
            self.number,
            len(request.ended),
            len(request.settled),
            reserved,
            request.want,
            extra=fields("turn", ended=len(request.ended), reserved=reserved),
        )

    def has_jobs(self, takes: Takes) -> bool:
        """Whether there are jobs in these lists, apart from those of queues from which the last
        turn could not take any."""
        blocked = self.blocked.queues if self.blocked else ()
        return any(
            self._exist([
                key
                for key, queue in zip(window.keys, window.queues, strict=True)
                if queue not in blocked
            ])
            for window in self.lists.windows(takes)
        )  # fmt: skip

    def has_limited_jobs(self) -> bool:
        """Whether jobs wait in queues that are full or held up by their rate."""
        limited = [*self.blocked.limited] if self.blocked else []
        firsts = range(0, len(limited), MOST_LISTS)
        return any(self._exist(limited[first : first + MOST_LISTS]) for first in firsts)

    def _exist(self, lists: Sequence[bytes]) -> bool:
        return bool(lists and self.ask(partial(self.connection.call, b"EXISTS", *lists)))

    def forget_suspects(self) -> None:
        """Where the last turn took suspects their queues may have none left. Waits for a reply, so
        that threads run meanwhile. Raises CutOff."""
        keys, queues, self._taken_from = self._keys, self._taken_from, set()
        for queue in queues:
            lists = keys.places(queue)[:2]
            arguments = script("forget_suspects"), 4, keys.suspects, *lists, keys.queues, queue
            self.ask(partial(self.connection.run, *arguments))

    def held(self) -> list[ReservedJob]:
        """Every job that has not left the ledger."""
        return self._session.held(())

    # Queues, and what is announced of them

    def forget_queues(self) -> None:
        """Look before the next turn what globs stand for."""
        self.lists.forget()

    def look_for_queues(self) -> None:
        """Ask which queues exist now, when the queue list has globs."""
        self.lists.look(self.connection, self.ask)

    def _clear(self) -> None:
        if not self.lists.dynamic:
            self.connection.invalidated.clear()  # announced before this turn looked

    def _on_reconnect(self) -> None:
        # The server does not announce on the new connection what was tracked on the old one.
        self.forget_queues()
        self.connection.invalidated.append(None)

    def take_in_announcements(self) -> None:
        """What was announced until now; with globs `heard` has done so. Raises RedisError."""
        if not self.lists.dynamic:
            self.connection.hear()
            self.connection.invalidated.clear()

    def heard(self) -> bool:
        """True when a queue has changed since the server was to announce that; what globs stand for
        is looked up again, should that have changed.

        Raises RedisError when the connection broke: nothing will ever be announced on it.
        """
        connection = self.connection
        if not self.lists.dynamic:
            return bool(connection.something_arrived())  # the turn that follows takes it in
        if not connection.hear():
            return False
        changed = set(connection.invalidated)
        connection.invalidated.clear()
        if changed & {None, self._keys.queues.encode()}:
            self.look_for_queues()
        return True

    # The connection

    def connect(self) -> None:
        """Connect once, or raise RedisError: at boot an unreachable Redis is an error."""
        self._session.connect()

    def refresh(self) -> None:
        """After a long rest: that the server has hung up on an idle connection is no outage."""
        self._session.refresh()

    def ask(self, send: Callable[[], Any]) -> Any:
        """Send until there is an answer; for what may be repeated. Raises CutOff."""
        return self._session.ask(send)


def _nothing() -> None:
    """Of a turn that looks at no list."""


def _fixed_keys(keys: Keys, process_id: str, worker_id: str) -> list[str]:
    """Those of every turn, in the order of cycle.lua."""
    return [
        keys.ledger(process_id),
        keys.processed,
        keys.failures,
        keys.worker_stat("processed", worker_id),
        keys.worker_stat("failed", worker_id),
        keys.queues,
        keys.failed_queues,
        keys.suspects,
        keys.retried,
        keys.worker_stat("retried", worker_id),
        keys.policies,
        keys.pause_all,
        keys.inflight,
        keys.inflight_of(worker_id),
        keys.rates,
    ]
