"""How a server that has forgotten turns is brought up to date: the calls of catch_up.lua. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from gresque.store.effects import PUT_OFF, EffectKeys
from gresque.store.keys import Keys
from gresque.store.ledger import Totals, write_entry
from gresque.text import decoded
from gresque.worker.turns.history import History, KeptTurn
from gresque.worker.turns.in_flight import ReservedJob, Settled

MOST_ARGUMENTS = 3780
"""Keys and arguments of the effects of one call: with the others they stay under the 3,900 that
every server takes."""
MOST_SLOTS = 1800
"""Slots that one call writes: two arguments each, at most."""
MOST_SLOTS_PUT_BACK = 700
"""When what the server holds in excess goes back to its lists: three more for each, at most."""
FIRST_KEY = 16
"""The index of the first effect's key among the KEYS of catch_up.lua."""
MOST_BYTES = 16 << 20

_WORD = re.compile(rb"(\d+)(?:~(\d+))?(?:!([\d,]+))?$")


class Call(NamedTuple):
    """One call of the script: the word that it writes, the KEYS after the fixed ones, its arguments
    after that word, and for each of its effects the job, as it left the ledger."""

    to: bytes
    keys: tuple[str | bytes, ...]
    arguments: tuple[Any, ...]
    moves: list[Settled]


class CatchUp:
    """The calls that bring a server up to date, by its own word on how far it is.

    1. The jobs that left the ledger in the turns that it forgot, oldest turn first.
    2. All slots, as they are now.
    3. With the last of them the counters, and the number of the last turn.

    Another server may be promoted in between, and has forgotten some of it: it is sent again.
    """

    def __init__(
        self,
        keys: Keys,
        history: History,
        goal: int,
        totals: Totals,
        held: Iterable[tuple[bytes, bytes]],
        slots: int,
        *,
        unknown: bool,
    ) -> None:
        """`goal` is the number of the last turn, `totals` are those after it. `held` are slots with
        their entries; `slots` is how many slots there are, numbered from 0. With `unknown`, turns
        were forgotten that are not in the history: what the server holds in excess goes back to its
        queue."""
        self._keys = keys
        self._history = history
        self._goal = goal
        self.totals = totals
        self._held = dict(held)
        self._slots = slots
        self._unknown = unknown
        self._lists: list[bytes] = []
        """To which the next call gives back what the server holds in excess."""

    def hold(self, slot: bytes, entry: bytes) -> None:
        """One more is held, in a slot of its own after all others."""
        self._held[slot] = entry
        self._slots += 1

    def _entry(self, job: ReservedJob) -> bytes:
        key = self._keys.queue(job[1]).encode("utf-8", "surrogateescape")
        return write_entry(key, job[2])

    def next_call(self, word: bytes) -> Call | None:
        """The next call for a server that stands at `word`; None when it is up to date."""
        if word == b"%d" % self._goal:
            return None
        number, slot = stands_at(word, self._goal)
        return self._moves(word, number) or self._slots_from(slot, number)

    def declare(self, lists: list[bytes]) -> None:
        """The last call did nothing, as it has to name these lists, to which jobs go back."""
        self._lists += lists

    def refused(self, call: Call, word: bytes) -> list[Settled]:
        """The jobs that this call was to move and the server refused, by its answer."""
        found = _WORD.match(word)
        if found is None or not found[3] or word.partition(b"!")[0] != call.to:
            return []
        return [call.moves[int(position) - 1] for position in found[3].split(b",")]

    def _moves(self, word: bytes, number: int) -> Call | None:
        turns: list[KeptTurn] = []
        last, size, sent = number, 0, 0
        for turn in self._history.after(number):
            size += turn.size
            effects = (effect for each in turn.settled for effect in each.effects)
            sent += sum(7 + effect.keys for effect in effects)
            if last > number and (size > MOST_BYTES or sent > MOST_ARGUMENTS):
                break
            turns.append(turn)
            last = turn.number
        if last == number:
            return None
        effect_keys = EffectKeys(FIRST_KEY)
        moves: list[Settled] = []
        parts: list[Any] = []
        for age_ms, each in ((turn.age_ms, each) for turn in turns for each in turn.settled):
            slot = each.job[0]
            for kind, key, a, b, c, second in each.effects:
                place = effect_keys.place(key, second)
                if kind in PUT_OFF:  # its delay has counted since the turn
                    a = max(int(a) - age_ms, 0)
                parts += (slot, self._entry(each.job), kind, place, a, b, c)
                moves.append(each)
                slot = b""  # the same job
        lost = word.startswith(b"0~")  # as revive.lua leaves it
        arguments = "", int(lost), len(moves), 0, 0, *parts
        return Call(b"%d~0" % last, tuple(effect_keys.keys), arguments, moves)

    def _slots_from(self, first: int, number: int) -> Call:
        clear: list[bytes] = []
        write: list[bytes] = []
        slot, size = first, 0
        most = MOST_SLOTS_PUT_BACK if self._unknown else MOST_SLOTS
        while slot < min(self._slots, first + most) and size < MOST_BYTES:
            name = b"%d" % slot
            entry = self._held.get(name)
            if entry is None:
                clear.append(name)
            else:
                write += (name, entry)
                size += len(entry)
            slot += 1
        is_last = slot >= self._slots
        to = b"%d" % self._goal if is_last else b"%d~%d" % (number, slot)
        totals = " ".join(map(str, self.totals)) if is_last else ""
        lists, self._lists = tuple(self._lists), []
        given = [part for key in lists for part in self._way_back(key)]
        how = 2 if self._unknown else 0
        arguments = (totals, how, 0, len(lists), len(clear), *given, *clear, *write)
        return Call(to, lists, arguments, [])

    def _way_back(self, key: bytes) -> tuple[str, str]:
        """Kind and first argument of the effect that gives a job back to this list."""
        name = decoded(key)
        queue = self._keys.queue_of(name) or name
        return "suspect" if self._keys.deaths_of(name) else "requeue", queue


def stands_at(word: bytes, goal: int) -> tuple[int, int]:
    """The number of the last turn that the server knows, and the first slot that is not written
    yet. If another program wrote there, all turns count as known."""
    found = _WORD.match(word)
    return (int(found[1]), int(found[2] or 0)) if found else (goal, 0)
