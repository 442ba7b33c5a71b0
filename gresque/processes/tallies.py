"""Tallies of ends that are not logged one by one: memory that the master shares with its children.

Each process counts in the place of its scoreboard row, where its successors go on counting, as a
process may live for a single job. The master reads all places and logs the sums.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from time import monotonic
from typing import NamedTuple

WINDOW_SECONDS = 10.0
"""Of equal ends the first one in this time is logged, the others are counted."""

ENTRIES = 128
"""Kinds of ends that a process counts at a time; others are counted together."""

FAILED, FAILED_UNKEPT, PUT_BACK = "failed", "failed and not kept", "put back"
RETRIED, UNKNOWN = "retried", "unknown"
"""Kinds of ends, the first part of a label. The other parts: of a failure, and of one that is
retried, class, exception and innermost frame; of a job that was put back class and queue; of one
that no module declares its class. Where there is no room for another label, the first part stands
alone."""

ALL_KINDS = (FAILED, FAILED_UNKEPT, PUT_BACK, RETRIED, UNKNOWN)

_SIZE = 512
_WORD = 8
_ENTRY = struct.Struct("@QQdd40s")
"""To read an entry. It is written word by word: a number is then seen as it was or as it is, where
`pack_into` writes zeros first."""
_KEY, _COUNT, _SINCE, _AT = range(4)
"""The words of an entry."""
_ID_AT = 4 * _WORD
_ID_BYTES = _ENTRY.size - _ID_AT
_TOGETHER = _WORD + ENTRIES * _SIZE
"""Where the entries begin that count what has no room, one for each of ALL_KINDS."""
_PLACE_SIZE = _TOGETHER + len(ALL_KINDS) * _SIZE
_LABEL_BYTES = _SIZE - _ENTRY.size
_KEY_MASK = (1 << 64) - 1


class Heard(Enum):
    """What became of an end that was noted."""

    FIRST = auto()
    COUNTED = auto()


FIRST, COUNTED = Heard  # an attribute of an Enum's class takes as long as a call in C


class Tally(NamedTuple):
    """An entry, as the master reads it."""

    key: int
    counted: int
    """Ever since the entry was made."""
    since: float
    """When such an end was logged last, on the monotonic clock."""
    at: float
    """When one was counted last."""
    last_id: str
    label: tuple[str, ...]


class Tallies:
    """The place of one row. Only one process at a time writes to it."""

    def __init__(self, memory: memoryview, siblings: Sequence[Tallies] = ()) -> None:
        self._memory = memory
        self._words = memory.cast("Q")
        self._times = memory.cast("d")
        self._siblings = siblings
        self._places: dict[int, int] | None = None
        """Key -> where its entry begins; read from the memory at the first end."""
        self._full_at = float("-inf")
        """When no entry was found that may be used again."""

    def note(
        self,
        label: tuple[str, ...],
        job_id: str,
        *,
        log_first: bool,
        window_seconds: float = WINDOW_SECONDS,
    ) -> Heard:
        """Count an end of this kind. With `log_first` the first one in this time, of all
        processes, is not counted, but for the caller to log."""
        now = monotonic()
        key = _key(label)
        place = None if self._places is None else self._places.get(key)
        if place is None:
            key, place = self._entry_of(label, now)
        entry = place // _WORD
        times, heard = self._times, COUNTED
        since = times[entry + _SINCE]
        if log_first and not (since and now - since < window_seconds):
            since = max((other.logged_at(key) for other in self._siblings), default=0.0)
            if not since or now - since >= window_seconds:
                heard, since = FIRST, now
            times[entry + _SINCE] = since
        times[entry + _AT] = now
        last = job_id.encode("utf-8", "replace")[:_ID_BYTES].ljust(_ID_BYTES, b"\0")
        self._memory[place + _ID_AT : place + _ENTRY.size] = last
        if heard is COUNTED:
            self._words[entry + _COUNT] += 1
        return heard

    def _entry_of(self, label: tuple[str, ...], now: float) -> tuple[int, int]:
        """Its key, and where its entry begins."""
        if self._places is None:
            self._places = {self._words[place // _WORD]: place for place in self._used()}
        key = _key(label)
        place = self._places.get(key)
        if place is None:
            place = self._free(now)
            if place is None:
                label = label[:1]
                key = _key(label)
                place = _TOGETHER + ALL_KINDS.index(label[0]) * _SIZE
                if self._words[place // _WORD] == key:
                    return key, place
            else:
                self._places[key] = place
            self._begin(place, key, label, now)
        return key, place

    def _free(self, now: float) -> int | None:
        """A place without an entry, or with one whose count the master has read."""
        assert self._places is not None
        used = self._words[0]
        if used < ENTRIES:
            self._words[0] = used + 1
            return _WORD + used * _SIZE
        if now - self._full_at < 1.0:
            return None
        for place in self._used():
            if self._is_over(place, now):
                self._places.pop(self._words[place // _WORD], None)
                return place
        self._full_at = now
        return None

    def _begin(self, place: int, key: int, label: tuple[str, ...], now: float) -> None:
        text = "\0".join(part.replace("\0", "") for part in label)
        raw = text.encode("utf-8", "backslashreplace")[:_LABEL_BYTES]
        entry, start = place // _WORD, place + _ENTRY.size
        self._words[entry + _KEY] = 0
        self._words[entry + _COUNT] = 0
        self._times[entry + _SINCE] = 0.0
        self._times[entry + _AT] = now
        self._memory[start : place + _SIZE] = raw.ljust(_LABEL_BYTES, b"\0")
        self._words[entry + _KEY] = key  # the entry is whole before it has its key

    def _is_over(self, place: int, now: float) -> bool:
        _, _, since, at, _ = _ENTRY.unpack_from(self._memory, place)
        return bool(now - max(since, at) > 2 * WINDOW_SECONDS)

    def _used(self) -> range:
        used = min(self._words[0], ENTRIES)
        return range(_WORD, _WORD + used * _SIZE, _SIZE)

    def _all(self) -> Iterator[int]:
        yield from self._used()
        yield from range(_TOGETHER, _PLACE_SIZE, _SIZE)

    # What others read

    def logged_at(self, key: int) -> float:
        """When an end of this kind was logged last; 0 when that is not known here."""
        for place in self._all():
            found, _, since, _, _ = _ENTRY.unpack_from(self._memory, place)
            if found == key:
                return float(since)
        return 0.0

    def read(self) -> Iterator[tuple[int, Tally]]:
        """The entries, each with where it stands."""
        for place in self._all():
            key, count, since, at, last = _ENTRY.unpack_from(self._memory, place)
            if key:
                text = bytes(self._memory[place + _ENTRY.size : place + _SIZE]).rstrip(b"\0")
                label = tuple(text.decode("utf-8", "replace").split("\0"))
                tally = Tally(key, count, since, at, _text(last), label)
                if self._words[place // _WORD] == key:  # else it is another one now
                    yield place, tally


def _key(label: tuple[str, ...]) -> int:
    # The children of a master have one seed for the hashes of strings.
    return (hash(label) & _KEY_MASK) | 1


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def shared_tallies(size: int) -> list[Tallies]:
    """The places of `size` rows, in anonymous shared memory; make it before the first fork."""
    memory = memoryview(mmap.mmap(-1, size * _PLACE_SIZE))
    places: list[Tallies] = []
    for number in range(size):
        part = memory[number * _PLACE_SIZE : (number + 1) * _PLACE_SIZE]
        places.append(Tallies(part, places))
    return places


def own_tallies() -> Tallies:
    """For a process that shares them with nobody."""
    return shared_tallies(1)[0]
