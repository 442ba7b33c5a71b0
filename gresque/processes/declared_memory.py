"""What a master has declared in Redis, beyond the death of the process that did it."""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

_FORMAT = struct.Struct("=q16s")


class DeclaredSchedules(NamedTuple):
    """When the master declared its schedule entries first, in epoch milliseconds by the server's
    clock, and a digest of them."""

    boot: int
    digest: bytes


NOTHING = DeclaredSchedules(0, b"")


class DeclaredMemory:
    """Shared by the processes of one master; make it before the first fork.

    One that is killed between Redis and here is followed by one that declares the same again. Two
    that write at once, where each process loads the code, have declared the same.
    """

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _FORMAT.size)

    def read(self) -> DeclaredSchedules:
        found = DeclaredSchedules(*_FORMAT.unpack_from(self._map))
        return found if found.boot else NOTHING

    def write(self, declared: DeclaredSchedules) -> None:
        _FORMAT.pack_into(self._map, 0, *declared)
