"""What short-lived processes have counted: memory that the master shares with its children.

A process may live for a single job, and a loop may stand still: they leave their counts here, and
the maintenance process writes them to Redis.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile

import msgspec

from gresque.forked import own
from gresque.unpatched import original

SIZE = 1 << 20
_LENGTH = struct.Struct("=q")
_TRIES = 20
_TRY_SECONDS = 0.0005


class Sums(msgspec.Struct, array_like=True):
    """Counts that belong to one second since 1970: those of all jobs by kind (`d`, `f`, `r`), and
    by the fields of minutes and of histograms (see `store/metric_fields.py`)."""

    second: int
    totals: dict[str, int]
    counts: dict[str, int]
    times: dict[str, int]

    def add(self, other: Sums) -> None:
        for mine, more in (
            (self.totals, other.totals), (self.counts, other.counts), (self.times, other.times)
        ):  # fmt: skip
            for name, count in more.items():
                mine[name] = mine.get(name, 0) + count


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Sums)


class SharedSums:
    """Make it before the first fork. A lock of the kernel, which a process that is killed leaves,
    keeps two apart; none waits for one that is stopped. Where it cannot be had, or there is no
    room, what is left here is not taken."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, SIZE)
        self._lock, path = tempfile.mkstemp(prefix="gresque-sums-")
        own(self._lock)
        os.unlink(path)  # noqa: PTH108

    @property
    def used(self) -> int:
        """Bytes."""
        found: int = _LENGTH.unpack_from(self._map)[0]
        return found

    def leave(self, sums: Sums) -> bool:
        """Leave these for the maintenance process; whether they were taken."""
        line = _encode(sums) + b"\n"
        if not self._acquire():
            return False
        try:
            start = _LENGTH.size + self.used
            if start + len(line) > SIZE:
                return False
            self._map[start : start + len(line)] = line
            _LENGTH.pack_into(self._map, 0, start - _LENGTH.size + len(line))
        finally:
            self._release()
        return True

    def take(self) -> list[Sums]:
        """All that was left, one Sums a second."""
        if not self.used or not self._acquire():
            return []
        try:
            raw = self._map[_LENGTH.size : _LENGTH.size + self.used]
            _LENGTH.pack_into(self._map, 0, 0)
        finally:
            self._release()
        found: dict[int, Sums] = {}
        for sums in _decoder.decode_lines(raw):
            if sums.second in found:
                found[sums.second].add(sums)
            else:
                found[sums.second] = sums
        return list(found.values())

    def _acquire(self) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                original("time", "sleep")(_TRY_SECONDS)
        return False

    def _release(self) -> None:
        fcntl.lockf(self._lock, fcntl.LOCK_UN)
