"""Judging who is dead: whose heartbeat has not changed for a minute of the judge's own clock.

No time of the server or of another host is compared with any other. So a clock that jumps, is set
or is wrong changes nothing. What a judge has seen stands in memory that all processes of one master
share: a process may live for one job only, far less than a minute.
"""

from __future__ import annotations

import mmap
import random
import struct
import time
import zlib
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

PRUNE_SECONDS = 60
"""A process whose heartbeat has not changed for this long is dead."""

LOOK_SECONDS = 9.0
"""How often the processes of one master look; a little less than the time between two beats, so
that the process that looked last is the next one to look."""

LONGEST_GAP_SECONDS = 25.0
"""After a longer break between two looks watching starts again: Redis was away or this machine
stood still, and others may have been unable to beat as well."""

CAPACITY = 4096
"""Processes that one master can watch. See `_fit` for what happens beyond that."""

_HEADER = struct.Struct("=IId")
_ENTRY = struct.Struct("=8sdd")
_CURRENT = struct.Struct("=Q")
_AREA_BYTES = _HEADER.size + CAPACITY * _ENTRY.size


class Sighting(NamedTuple):
    """A heartbeat, and since when it has not changed, on the monotonic clock."""

    beat: float
    since: float


class Memory(NamedTuple):
    """What was seen in the last look, and when that was."""

    looked: float
    seen: dict[bytes, Sighting]


NOTHING = Memory(float("-inf"), {})


class SharedMemory:
    """Memory for the looks of `writers` processes; make it before the first fork.

    Each writer has two areas of its own, and a word tells which of all areas is the current one. A
    writer fills the area that is not current, then points the word to it. So no process waits for
    another one, and one that is killed while it writes spoils nothing that is read. Should an area
    change all the same while a slow process reads it, its checksum is wrong; it counts as empty
    then, which costs a new minute of watching.
    """

    def __init__(self, writers: int) -> None:
        # The kernel provides a page when it is first written, so what is not used costs nothing.
        self._map = mmap.mmap(-1, _CURRENT.size + 2 * writers * _AREA_BYTES)

    @property
    def looked(self) -> float:
        """When the last look was; 0 for never."""
        looked: float = _HEADER.unpack_from(self._map, _start_of(self._current))[2]
        return looked

    @property
    def _current(self) -> int:
        (area,) = _CURRENT.unpack_from(self._map, 0)
        return int(area)

    def read(self) -> Memory:
        start = _start_of(self._current)
        checksum, count, looked = _HEADER.unpack_from(self._map, start)
        if count > CAPACITY:
            return NOTHING
        first = start + _HEADER.size
        entries = self._map[first : first + count * _ENTRY.size]
        if not checksum or _checksum(looked, entries) != checksum:
            return NOTHING
        seen = {name: Sighting(beat, since) for name, beat, since in _ENTRY.iter_unpack(entries)}
        return Memory(looked, seen)

    def write(self, writer: int, memory: Memory) -> None:
        seen = _fit(memory.seen)
        entries = b"".join(_ENTRY.pack(name, *sighting) for name, sighting in seen.items())
        area = 2 * writer + (self._current == 2 * writer)
        start = _start_of(area)
        checksum = _checksum(memory.looked, entries)
        _HEADER.pack_into(self._map, start, 0, 0, 0.0)  # no longer what it was, if it breaks off
        first = start + _HEADER.size
        self._map[first : first + len(entries)] = entries
        _HEADER.pack_into(self._map, start, checksum, len(seen), memory.looked)
        _CURRENT.pack_into(self._map, 0, area)


def _start_of(area: int) -> int:
    return _CURRENT.size + area * _AREA_BYTES


def _checksum(looked: float, entries: bytes) -> int:
    return zlib.crc32(entries, zlib.crc32(struct.pack("=d", looked))) or 1


def _fit(seen: dict[bytes, Sighting]) -> dict[bytes, Sighting]:
    """At most CAPACITY sightings: the ones that have not changed for longest, since the dead are
    among these, and of those that are new a random choice. So with more processes than fit a dead
    one is found later, and never not at all."""
    if len(seen) <= CAPACITY:
        return seen
    chosen = sorted(seen.items(), key=lambda item: (item[1].since, random.random()))
    return dict(chosen[:CAPACITY])


class Judge:
    """Judges for one process of a master, number `writer` of those that share the memory."""

    def __init__(self, memory: SharedMemory, writer: int) -> None:
        self._memory = memory
        self._writer = writer

    @property
    def is_due(self) -> bool:
        """Whether it is time to look: no process of this master has done so for a while."""
        return time.monotonic() - self._memory.looked >= LOOK_SECONDS

    def judge(self, beats: Iterable[tuple[bytes, float]], sent: float) -> list[bytes]:
        """The dead ones among those with these heartbeats, which were asked for at `sent`.

        The answer may have come long after that, should this process have been stopped. So what is
        new counts from now on, and what is old counts until `sent`.
        """
        before = self._memory.read()
        if before.looked >= sent:
            return []  # another process has looked meanwhile, and knows better
        known = before.seen if sent - before.looked <= LONGEST_GAP_SECONDS else {}
        now = time.monotonic()
        seen, dead = {}, []
        for name, beat in beats:
            key = blake2b(name, digest_size=8).digest()
            sighting = known.get(key)
            if sighting is None or sighting.beat != beat:
                sighting = Sighting(beat, now)
            elif sent - sighting.since >= PRUNE_SECONDS:
                dead.append(name)
            seen[key] = sighting
        self._memory.write(self._writer, Memory(sent, seen))
        return dead
