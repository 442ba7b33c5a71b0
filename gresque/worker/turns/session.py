"""The session of a worker process with its server: turns are numbered, and sent until answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from gresque.connection.errors import explain
from gresque.connection.outage import Outage
from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.errors import CutOff, Fenced, RedisUnavailable
from gresque.logs import fields
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.text import counted
from gresque.worker.turns.catch_up import CatchUp, stands_at
from gresque.worker.turns.history import History
from gresque.worker.turns.in_flight import InFlight, ReservedJob, Settled, Slots
from gresque.worker.turns.refused import Refused
from gresque.worker.turns.request import Request

log = logging.getLogger("gresque.worker")


class Session:
    """Holds the process's one connection for its turns; no job ever touches it.

    1. A turn gets the next number. When its reply is lost the very same request is sent again, and
       the script knows by the number that it was done: nothing is settled or reserved twice.
    2. A server without the ledger has lost its data, or the process was declared dead. It is
       registered again, or Fenced is raised.
    3. A server that knows an earlier turn as the last one has forgotten turns: it is brought up to
       date (see `CatchUp`), and the turn sent once more.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        fixed_keys: list[str],
        in_flight: InFlight,
        slots: Slots,
        pause: Callable[[float], bool],
        revive: Callable[[list[ReservedJob], int, Totals], bool],
        running: Callable[[], Iterable[ReservedJob]],
    ) -> None:
        """`fixed_keys` are the first KEYS of a turn, the ledger before all others. For the others
        see `Cycle`."""
        self.connection = TrackedConnection(url, keys.namespace)
        self.refused = Refused()
        self.number = 0
        """Of the last turn."""
        self.settled = in_flight.totals
        """Those that the last turn wrote to the ledger."""
        self.on_reconnect: Callable[[], None] = lambda: None
        self._url = url
        self._outage = Outage(url, log)
        self._keys = keys
        self._fixed_keys = fixed_keys
        self._in_flight = in_flight
        self._slots = slots
        self._pause = pause
        self._revive = revive
        self._running = running
        self._history = History()
        self._unknown_turns = False
        """A server has forgotten turns that the history does not have; until it is up to date."""
        self._has_met_a_gap = False
        """A server had forgotten turns once: from then on the entries in the ledger say what is
        counted, and not this process."""
        self._script = script("cycle")

    def run(self, turn: Request, on_reply: Callable[[], None]) -> Any:
        """Send a turn under the next number, and return its reply. `on_reply` is called as soon as
        there is one. Raises Fenced, CutOff."""
        self.number += 1
        while True:
            request = turn.request(self.number, by_entries=self._has_met_a_gap)
            reply = self.ask(partial(self._send, request, on_reply))
            if reply == b"fenced":
                self._has_met_a_gap = True
                self._register_again(turn)
            elif reply and reply[0] == b"gap":
                self._has_met_a_gap = True
                self._catch_up(reply[1], turn)
            else:
                break
        if reply == b"stale":
            raise Fenced(f"the ledger {self._fixed_keys[0]} is no longer ours")
        self.settled = turn.totals
        return reply

    def _send(self, request: tuple[Any, ...], on_reply: Callable[[], None]) -> Any:
        reply = self.connection.run(self._script, *request)
        on_reply()
        return reply

    def keep(self, settled: list[Settled]) -> None:
        """These left the ledger in the last turn: keep them, should the server forget it."""
        self._history.keep(self.number, settled)

    # Outages

    def connect(self) -> None:
        """Connect once, or raise RedisError: at boot an unreachable Redis is an error."""
        self.connection.connect()

    def refresh(self) -> None:
        """After a long rest: that the server has hung up on an idle connection is no outage."""
        try:
            gone = self.connection.something_arrived()
        except (RedisError, OSError):
            gone = True
        if gone:
            self.ask(self.connection.connect)

    def ask(self, send: Callable[[], Any]) -> Any:
        """Send until there is an answer; for what may be repeated. An outage is logged once, and
        so is its end. Raises CutOff."""
        outage = self._outage
        while True:
            try:
                if outage.lasts:
                    self.connection.connect()
                reply = send()
            except (RedisError, OSError, RedisUnavailable) as error:
                self.connection.close()  # redis-py would connect by itself, without tracking
                if not self._pause(outage.note_error(error)):
                    raise CutOff(explain(self._url, error)) from error
            else:
                if outage.note_answer():
                    self.on_reconnect()
                return reply

    # A server that has forgotten turns

    def _register_again(self, turn: Request) -> None:
        """The ledger is gone. Raises Fenced when this process was declared dead."""
        held = self.held(turn.settled)
        totals = self.settled._replace(reserved=self._in_flight.reserved)
        if not self.ask(lambda: self._revive(held, self.number - 1, totals)):
            raise Fenced(f"the ledger {self._fixed_keys[0]} is no longer ours")
        self._in_flight.tracked.note_all()
        log.error(
            "Redis has lost the ledger of this process; it is written again",
            extra=fields("ledger_lost", held=len(held)),
        )

    def held(self, settled: Iterable[Settled]) -> list[ReservedJob]:
        """Every job that has not left the ledger: it runs, waits for a thread, or is to be moved by
        the turn that settles `settled` or by the next one. Of jobs that are done only the slots are
        known."""
        in_flight = self._in_flight
        moved = [each.job for each in (*settled, *in_flight.settled)]
        return [
            *self._running(), *in_flight.ready, *in_flight.starting, *moved, *self.refused.jobs
        ]  # fmt: skip

    def _catch_up(self, word: bytes, turn: Request) -> None:
        """Bring the server up to date before the turn is sent once more."""
        goal = self.number - 1
        number, _ = stands_at(word, goal)
        self._log_gap(goal - number)
        if number < self._history.complete_after:
            self._unknown_turns = True
            log.error(
                "Redis has also forgotten failures of over 30 s ago: some may be missing "
                "in the failed list, and some jobs run again",
                extra=fields("failures_forgotten"),
            )
        catch_up = CatchUp(
            self._keys,
            self._history,
            goal,
            self.settled._replace(reserved=turn.totals.reserved),
            [(job[0], self._in_flight.entry(job)) for job in self.held(turn.settled)],
            self._slots.made,
            unknown=self._unknown_turns,
        )
        while (call := catch_up.next_call(word)) is not None:
            keys = *self._fixed_keys, *call.keys
            request = len(keys), *keys, word, call.to, *call.arguments
            reply = self.ask(partial(self.connection.run, script("catch_up"), *request))
            if isinstance(reply, list):
                catch_up.declare(reply)
                continue
            word = reply
            if word == b"fenced":
                return
            for refused in catch_up.refused(call, word):
                self._hold_again(refused, turn, catch_up)
        self._unknown_turns = False
        self._in_flight.tracked.note_all()

    def _log_gap(self, turns: int) -> None:
        log.error(
            "Redis has forgotten %s of this process (a replica that lagged was promoted, or "
            "Redis started with older data); it is brought up to date",
            counted(turns, "turn"),
            extra=fields("turns_forgotten", turns=turns),
        )

    def _hold_again(self, move: Settled, turn: Request, catch_up: CatchUp) -> None:
        """A job had left the ledger, the server forgot that and now refuses to move it: it is
        held again, in a new slot, and the totals do not count it."""
        job = (self._slots.make(), *move.job[1:])
        self.refused.settled.append(Settled(job, move.effects, move.counts))
        self.discount(move)
        turn.totals -= move.totals
        catch_up.hold(job[0], self._in_flight.entry(job))
        catch_up.totals = self.settled._replace(reserved=turn.totals.reserved)

    def discount(self, refused: Settled) -> None:
        """A job that was counted as ended stays in the ledger."""
        totals = refused.totals
        self._in_flight.done -= totals.done
        self._in_flight.failed -= totals.failed
        self._in_flight.requeued -= totals.requeued
        self._in_flight.retried -= totals.retried
        self.settled -= totals
