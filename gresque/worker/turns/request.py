"""The request of a turn: its KEYS and ARGV (see `lua/cycle.lua`), and how much fits into it.
Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

from gresque.store.effects import Effect, EffectKeys
from gresque.store.ledger import Totals
from gresque.worker.turns.in_flight import InFlight, Settled

MOST_ARGUMENTS = 3900
"""KEYS and ARGV of any call: some servers take no more than 3,999."""
NUMBERS = 16
"""ARGV before the effects and slots."""
MOST_SUMS = 4 * 7
"""Arguments and keys of the counts that come to the metrics; there is room for them always."""
MANY_QUEUES = 1000
"""Where counted jobs of more queues have ended, there is room for a key beside each ended slot."""


class Request:
    """One turn: the slots of jobs that ended, the effects of some of them, and what is wanted."""

    __slots__ = (
        "_counts",
        "_fixed_keys",
        "_listen",
        "_lists",
        "_own_caps",
        "ended",
        "free",
        "freed",
        "notes",
        "retried",
        "settled",
        "sums",
        "totals",
        "want",
    )  # fmt: skip

    def __init__(
        self,
        fixed_keys: Sequence[str],
        lists: Sequence[bytes],
        ended: list[bytes],
        settled: deque[Settled],
        totals: Totals,
        *,
        listen: bool,
        own_caps: str = "",
    ) -> None:
        """`own_caps` are the caps of the worker, by list (see `Window`). `totals` count all of
        `ended`, which has the slots of jobs with effects, too."""
        self._fixed_keys = fixed_keys
        self._lists = lists
        self._own_caps = own_caps
        self._listen = listen
        self.ended = ended
        self.settled = settled
        self.totals = totals
        self.want = 0
        self.free: list[bytes] = []
        self.freed: dict[str, tuple[int, int]] = {}
        """Keys that announce room in a queue, and how many of its jobs have ended that count in
        `inflight`, and in `inflight:<worker>`; empty when no job that ended is counted."""
        self.retried: list[Settled] = []
        """Of `settled` those that were refused before: they are not counted as held."""
        self.sums: tuple[Effect, ...] = ()
        """Effects of no job: the counts that come to the metrics."""
        self.notes: tuple[Effect, ...] = ()
        """Effects of no job's end: what is known of tracked jobs that run."""
        self._counts = (0, 0, 0)

    @property
    def room(self) -> int:
        """How many arguments fit beside those that are there already."""
        room = MOST_ARGUMENTS - NUMBERS - MOST_SUMS - len(self._fixed_keys) - len(self._lists)
        room -= len(self.ended) + 7 * len(self.notes)
        if self.settled:  # their arguments count the slots, too
            room += len(self.settled) - sum([each.arguments for each in self.settled])
        if self.freed:
            room -= len(self.ended) if self.has_many_queues else len(self.freed)
        return room

    @property
    def has_many_queues(self) -> bool:
        return len(self.freed) > MANY_QUEUES

    def retry(self, refused: list[Settled], in_flight: InFlight) -> None:
        """Send these, too, before all others."""
        self.retried = refused
        self.ended[:0] = (each.job[0] for each in refused)
        self.settled.extendleft(reversed(refused))
        for each in refused:
            totals = each.totals
            in_flight.done += totals.done
            in_flight.failed += totals.failed
            in_flight.requeued += totals.requeued
            in_flight.retried += totals.retried
            self.totals += totals

    def allowed(self, want: int, free: int) -> int:
        """How many jobs it can reserve: into slots of ended jobs, which are named anyway, and into
        free ones as far as there is room."""
        if want <= len(self.ended):
            return want
        return min(want, len(self.ended) + min(free, max(self.room, 0)))

    def count(self, acknowledged: Totals) -> None:
        """Count what ended since `acknowledged`."""
        failed = self.totals.failed - acknowledged.failed
        retried = self.totals.retried - acknowledged.retried
        self._counts = self.totals.done - acknowledged.done + failed, failed, retried

    def request(self, number: int, *, by_entries: bool = False) -> tuple[Any, ...]:
        """How many KEYS, the KEYS, the ARGV. With `by_entries` the entries of the jobs say where
        they count."""
        lists = len(self._lists)
        keys: tuple[Any, ...] = (*self._fixed_keys, *self._lists)
        effects: list[Any] = []
        if self.settled or self.sums or self.notes:
            others = (*self.sums, *self.notes)
            more, effects = _effects(self.settled, others, len(keys) + 1)
            keys += more
        counted_off: Any = 0
        if self.freed:
            keys += tuple(self.freed)
            counted_off = len(self.freed)
            if not by_entries:
                parts = [f" {in_all}/{in_own}" for in_all, in_own in self.freed.values()]
                counted_off = f"{counted_off}{''.join(parts)}"
        return (
            len(keys), *keys, number, self.want, int(self._listen), *self.totals, *self._counts,
            lists, len(effects) // 6, len(self.ended), self._own_caps, counted_off,
            *effects, *self.ended, *self.free,
        )  # fmt: skip


def _effects(
    settled: deque[Settled], others: tuple[Effect, ...], first: int
) -> tuple[tuple[str, ...], list[Any]]:
    """The keys of the effects, the first of which has this index, and their arguments."""
    effect_keys = EffectKeys(first)
    arguments: list[Any] = []
    for each in settled:
        slot = each.job[0]
        for kind, key, a, b, c, second in each.effects:
            arguments += (slot, kind, effect_keys.place(key, second), a, b, c)
    for kind, key, a, b, c, second in others:
        arguments += (b"", kind, effect_keys.place(key, second), a, b, c)
    return tuple(effect_keys.keys), arguments


def fit(
    request: Request, want: int, acknowledged: Totals
) -> tuple[list[bytes], deque[Settled]] | None:
    """Take out of the request what does not fit: slots that ended, and the jobs with effects among
    them; None for nothing. Jobs that are put off count as not ended yet.

    Jobs with effects get what the others leave, and half of the room in any case.
    """
    ended, settled = request.ended, request.settled
    key = int(request.has_many_queues)
    room = request.room + sum(each.arguments + key for each in settled)
    plain = (len(ended) - len(settled)) * (1 + key)
    room += plain
    left = max(room - plain - max(want - len(ended), 0), room // 2)
    fitting = 0
    for each in settled:
        if each.arguments + key > left:
            break
        left -= each.arguments + key
        room -= each.arguments + key
        fitting += 1
    if fitting == len(settled) and plain <= room:
        return None
    late = deque(islice(settled, fitting, None))
    with_effects = {each.job[0] for each in settled}
    late_slots = {each.job[0] for each in late}
    others = [slot for slot in ended if slot not in with_effects]
    fitting_others = room // (1 + key)
    late_slots.update(others[fitting_others:])
    put_off = [slot for slot in ended if slot in late_slots]
    request.ended = [slot for slot in ended if slot not in late_slots]
    request.settled = deque(islice(settled, fitting))
    for each in late:
        request.totals -= each.totals
    # Of a bare slot it is not known whether its job is done or failed without an entry.
    bare = len(others[fitting_others:])
    done = min(bare, request.totals.done - acknowledged.done)
    request.totals -= Totals(done=done, failed=bare - done)
    return put_off, late
