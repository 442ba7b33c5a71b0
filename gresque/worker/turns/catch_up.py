"""How a server that has forgotten turns is brought up to date: the calls of catch_up.lua. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns.history import History
from gresque.worker.turns.in_flight import FailedJob, ReservedJob

MOST_MOVES = 700
"""Jobs that one call moves: five arguments each stay under the 3,900 that every server takes."""
MOST_SLOTS = 1800
"""Slots that one call writes: two arguments each, at most."""
MOST_BYTES = 16 << 20

_WORD = re.compile(rb"(\d+)(?:~(\d+))?(?:!([\d,]+))?$")


class Call(NamedTuple):
    """One call of the script: the word that it writes, its arguments after that one, and the jobs
    that it moves, by their positions."""

    to: bytes
    arguments: tuple[Any, ...]
    moves: list[FailedJob | ReservedJob]


class CatchUp:
    """What is to be sent to a server, by what it says of how far it is.

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
        held: Iterable[ReservedJob],
        slots: int,
        *,
        unknown: bool,
    ) -> None:
        """`goal` is the number of the last turn, `totals` are those after it. `slots` is how many
        there are, numbered from 0. With `unknown`, turns were forgotten that are not in the
        history: what the server holds in excess goes back to its queue."""
        self._keys = keys
        self._history = history
        self._goal = goal
        self.totals = totals
        self._held = {job[0]: self._entry(job) for job in held}
        self._slots = slots
        self._unknown = unknown

    def hold(self, job: ReservedJob) -> None:
        """One more is held, in a slot of its own after all others."""
        self._held[job[0]] = self._entry(job)
        self._slots += 1

    def _entry(self, job: ReservedJob) -> bytes:
        key = self._keys.queue(job[1]).encode("utf-8", "surrogateescape")
        return b"%d:%s%s" % (len(key), key, job[2])

    def next_call(self, word: bytes) -> Call | None:
        """What to send to a server that stands at `word`; None when it is up to date."""
        if word == b"%d" % self._goal:
            return None
        number, slot = stands_at(word, self._goal)
        return self._moves(word, number) or self._slots_from(slot, number)

    def refused(self, call: Call, word: bytes) -> list[FailedJob | ReservedJob]:
        """The jobs that this call was to move and the server refused, by its answer."""
        found = _WORD.match(word)
        if found is None or not found[3] or word.partition(b"!")[0] != call.to:
            return []
        return [call.moves[int(position) - 1] for position in found[3].split(b",")]

    def _moves(self, word: bytes, number: int) -> Call | None:
        failed: list[FailedJob] = []
        to_requeue: list[ReservedJob] = []
        last, size = number, 0
        for turn in self._history.after(number):
            size += turn.size
            count = len(failed) + len(to_requeue) + len(turn.failed) + len(turn.to_requeue)
            if last > number and (size > MOST_BYTES or count > MOST_MOVES):
                break
            failed += turn.failed
            to_requeue += turn.to_requeue
            last = turn.number
        if last == number:
            return None
        lost = word.startswith(b"0~")  # as revive.lua leaves it
        arguments: list[Any] = ["", int(lost), len(failed), len(to_requeue), 0]
        for job, list_key, entry, list_name in failed:
            arguments += (job[0], self._entry(job), list_key, entry, list_name)
        for job in to_requeue:
            arguments += (job[0], self._entry(job), self._keys.queue(job[1]), job[1])
        return Call(b"%d~0" % last, tuple(arguments), [*failed, *to_requeue])

    def _slots_from(self, first: int, number: int) -> Call:
        clear: list[bytes] = []
        write: list[bytes] = []
        slot, size = first, 0
        while slot < min(self._slots, first + MOST_SLOTS) and size < MOST_BYTES:
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
        how = 2 if self._unknown else 0
        return Call(to, (totals, how, 0, 0, len(clear), *clear, *write), [])


def stands_at(word: bytes, goal: int) -> tuple[int, int]:
    """The number of the last turn that the server knows, and the first slot that is not written
    yet. What another program wrote there tells nothing: then all turns count as known."""
    found = _WORD.match(word)
    return (int(found[1]), int(found[2] or 0)) if found else (goal, 0)
