"""Judging which processes are dead: those whose heartbeat has not changed for a minute.

The minute is one of the judge's own monotonic clock. No time of the server or of another host is
compared with any other, so a clock that jumps, is set or is wrong changes nothing.
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
"""The longest time between two looks. A dead process is found after PRUNE_SECONDS and one look: the
look that finds it comes at the very moment when its minute is over."""

LONGEST_GAP_SECONDS = 25.0
"""After a longer break between two looks watching starts again: Redis was away or this machine
stood still, and others may have been unable to beat as well."""

CAPACITY = 4096
"""Processes that one judge can watch. See `_fit` for what happens beyond that."""

_HEADER = struct.Struct("=IId")
_ENTRY = struct.Struct("=8sdd")


class Sighting(NamedTuple):
    """A heartbeat, and since when it has not changed, on the monotonic clock."""

    beat: float
    since: float


class Memory(NamedTuple):
    """The sightings of the last look, and when that was."""

    looked: float
    seen: dict[bytes, Sighting]


NOTHING = Memory(float("-inf"), {})


class SharedMemory:
    """Holds what the judge of a master has seen, beyond the death of its process; make it before
    the first fork.

    One process writes at a time. One that is killed while it writes leaves a wrong checksum: the
    memory counts as empty then, which costs a new minute of watching.
    """

    def __init__(self) -> None:
        # The kernel provides a page when it is first written, so what is not used costs nothing.
        self._map = mmap.mmap(-1, _HEADER.size + CAPACITY * _ENTRY.size)

    def read(self) -> Memory:
        checksum, count, looked = _HEADER.unpack_from(self._map)
        entries = self._map[_HEADER.size : _HEADER.size + count * _ENTRY.size]
        if not checksum or _checksum(looked, entries) != checksum:
            return NOTHING
        seen = {name: Sighting(beat, since) for name, beat, since in _ENTRY.iter_unpack(entries)}
        return Memory(looked, seen)

    def write(self, memory: Memory) -> None:
        seen = _fit(memory.seen)
        entries = b"".join(_ENTRY.pack(name, *sighting) for name, sighting in seen.items())
        _HEADER.pack_into(self._map, 0, 0, 0, 0.0)
        self._map[_HEADER.size : _HEADER.size + len(entries)] = entries
        checksum = _checksum(memory.looked, entries)
        _HEADER.pack_into(self._map, 0, checksum, len(seen), memory.looked)


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
    """Watches heartbeats, and says which of them have stopped. It declares none dead in its
    first minute."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._next_look = float("-inf")

    def due(self, now: float) -> float:
        """Seconds until the next look; 0 or less when it is due. The first one is due at once."""
        return self._next_look - now

    def judge(self, beats: Iterable[tuple[bytes, float]], sent: float) -> list[bytes]:
        """The dead ones among those with these heartbeats, which were asked for at `sent`.

        The answer may have come long after that, should this process have been stopped. So what is
        new counts from now on, and what is old counts until `sent`.
        """
        before = self._memory.read()
        known = before.seen if sent - before.looked <= LONGEST_GAP_SECONDS else {}
        now = time.monotonic()
        self._next_look = sent + LOOK_SECONDS
        seen, dead = {}, []
        for name, beat in beats:
            key = blake2b(name, digest_size=8).digest()
            sighting = known.get(key)
            if sighting is None or sighting.beat != beat:
                sighting = Sighting(beat, now)
            if sent - sighting.since >= PRUNE_SECONDS:
                dead.append(name)
            else:
                self._next_look = min(self._next_look, sighting.since + PRUNE_SECONDS)
            seen[key] = sighting
        self._memory.write(Memory(sent, seen))
        return dead
