"""What a process that leaves waits for: the classes of its running jobs, in memory that it shares
with the master, which knows no payloads."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping

_LENGTH = struct.Struct("=Q")
_SIZE = 4096
_MOST_CLASSES = 15
_NAME_CHARS = 100


class Waits:
    """The place of one row. The process writes it, the master reads it."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    def clear(self) -> None:
        _LENGTH.pack_into(self._memory, 0, 0)

    def write(self, jobs: Mapping[str, int]) -> None:
        """Class -> how many of its jobs run; of many classes the most frequent ones are kept."""
        found = sorted(jobs.items(), key=lambda each: -each[1])[:_MOST_CLASSES]
        raw = json.dumps({name[:_NAME_CHARS]: count for name, count in found}).encode()
        if len(raw) > _SIZE - _LENGTH.size:
            raw = b"{}"
        self.clear()  # not to be read while it is written
        self._memory[_LENGTH.size : _LENGTH.size + len(raw)] = raw
        _LENGTH.pack_into(self._memory, 0, len(raw))

    def read(self) -> dict[str, int]:
        """As it was written last; empty while it is being written, and perhaps half of it when a
        write comes between: it stays a mapping of names to numbers."""
        (length,) = _LENGTH.unpack_from(self._memory)
        raw = bytes(self._memory[_LENGTH.size : _LENGTH.size + length])
        try:
            found = json.loads(raw)
        except ValueError:
            return {}
        if not isinstance(found, dict):
            return {}
        return {name: count for name, count in found.items() if type(count) is int}


def shared_waits(size: int) -> list[Waits]:
    """The places of `size` rows, in anonymous shared memory; make it before the first fork."""
    memory = memoryview(mmap.mmap(-1, size * _SIZE))
    return [Waits(memory[n * _SIZE : (n + 1) * _SIZE]) for n in range(size)]
