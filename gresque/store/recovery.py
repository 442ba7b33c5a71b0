"""Recovery: taking the ledger of a dead process away from it, and moving its jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from gresque.store.effects import Effect, EffectKeys
from gresque.store.ledger import HeldLedger, parse_ledger
from gresque.store.refusals import name_refused, pairs
from gresque.store.server import Server
from gresque.store.waiting import HAND_OVER_CALLS
from gresque.text import encoded

RECOVERIES_KEPT = 1000
RECOVERIES_EXPIRY_SECONDS = 30 * 86_400
FENCED_EXPIRY_SECONDS = 30 * 86_400
"""The names of the dead are kept this long after the last death, 10,000 of them at most. It is much
longer than a step of the server's clock. A process that comes back later takes Redis to have lost
its ledger."""


FIRST_LIST = 14
"""The index of the first list among the KEYS of recover.lua."""


SAME_JOB = b"state"
"""Stands in place of a slot. Every ledger has this field, which is never a slot; any other name
could be one."""


class StillAlive(Exception):
    """A process that was judged dead has beaten since."""


class Move(NamedTuple):
    """A job on its way out of a dead process's ledger. `action` is the kind of the effect that
    takes it out, or "poison": a failure that the log counts by itself. `raw` is its payload. The
    key of `effect` is empty for a failure without an entry. `more` are further effects of its end,
    none of them a carrier: they happen if this recovery moves the job."""

    slot: bytes
    action: str
    raw: bytes
    effect: Effect
    more: tuple[Effect, ...] = ()

    @property
    def arguments(self) -> int:
        """The most keys and arguments that it adds to a call."""
        return sum(7 + effect.keys for effect in (self.effect, *self.more))

    @property
    def size(self) -> int:
        return len(self.raw) + self.effect.size + sum(each.size for each in self.more)


class Counting(NamedTuple):
    """The counted jobs of a dead process: its worker, and the queues of the jobs."""

    worker_id: str
    queues: Collection[str]


NOTHING_COUNTED = Counting("", ())


class Recovered(NamedTuple):
    """How many jobs a recovery moved, how many it left, the slots of those that it failed, and the
    keys that Redis refused, each with its error: jobs that belong there stay in the ledger.
    `retried` are tried again."""

    requeued: int
    failed: int
    left: int
    failed_slots: list[bytes]
    refused: list[tuple[str, str]]
    retried: int


class Recoveries:
    """The ledgers of dead processes, and the log of what became of their jobs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def fence(self, process_id: str, beat: float | None = None) -> HeldLedger:
        """Take its ledger away from a dead process, and read it. Raises StillAlive when the
        process was judged by this heartbeat and has beaten since."""
        keys = [self._keys.ledger(process_id), self._keys.fenced, self._keys.ledgers]
        judged = [] if beat is None else [beat]
        reply = self._server.run_script("fence", keys, [process_id, FENCED_EXPIRY_SECONDS, *judged])
        if reply == [b"alive"]:
            raise StillAlive(process_id)
        flat, refused = reply
        name_refused(self._keys, pairs(refused), "there is nothing to recover from it")
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        held = parse_ledger(fields, self._keys.list_prefixes)
        return held._replace(is_fenced=bool(fields))

    def hand_over(self, queues: str, process_id: str) -> None:
        """A dead process notices no push: let a waiting process listen in its place."""
        keys = self._keys
        own = [keys.listening(queues), keys.waiting(queues), keys.wake(process_id)]
        count, named = 1, list[bytes]()
        for _ in range(HAND_OVER_CALLS):
            count, *named = self._server.run_script("hand_over", [*own, *named], [count])
            if not count or not named:
                return

    def move(
        self, process_id: str, moves: Sequence[Move], counting: Counting | None = None
    ) -> Recovered:
        """Move jobs out of a fenced ledger, which stays, with its totals. A job that another
        recovery moved first is left alone. `counting` is for a process that holds counted jobs."""
        return self._recover(process_id, moves, b"", counting or NOTHING_COUNTED)

    def remove(self, process_id: str, entry: bytes) -> None:
        """Remove a fenced ledger if no job is left in it, and `entry`, a JSON object without its
        last brace, goes into the log of recoveries, which adds the numbers."""
        self._recover(process_id, (), entry, NOTHING_COUNTED)

    def _recover(
        self, process_id: str, moves: Sequence[Move], entry: bytes, counting: Counting
    ) -> Recovered:
        keys = self._keys
        effect_keys = EffectKeys(FIRST_LIST)
        arguments: list[Any] = []
        for move in moves:
            whose: tuple[bytes, str, bytes] = move.slot, move.action, move.raw
            for kind, key, a, b, c, second in (move.effect, *move.more):
                a = encoded(a) if isinstance(a, str) else a
                slot, action, raw = whose
                place = effect_keys.place(key, second) if key else 0
                arguments += (slot, action or kind, place, raw, a, b, c)
                whose = SAME_JOB, "", b""
        moved = self._server.run_script(
            "recover",
            [
                keys.ledger(process_id), keys.ledgers, keys.running(process_id), keys.queues,
                keys.processed, keys.failures, keys.failed_queues, keys.suspects, keys.processes,
                keys.recoveries, keys.retried, keys.inflight,
                keys.inflight_of(counting.worker_id), *map(encoded, effect_keys.keys),
                *map(encoded, map(keys.freed, counting.queues)),
            ],
            [
                process_id, entry, RECOVERIES_KEPT, RECOVERIES_EXPIRY_SECONDS,
                len(counting.queues), *arguments,
            ],
        )  # fmt: skip
        requeued, failed, left, failed_slots, refused, retried = moved
        return Recovered(requeued, failed, left, failed_slots, pairs(refused), retried)

    def log(self, count: int) -> list[bytes]:
        """The last entries of the log of recoveries, the newest first."""
        entries: list[bytes] = self._server.read([], "LRANGE", self._keys.recoveries, -count, -1)
        return entries[::-1]
