"""Where Redis was last, for all processes of a master."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterable
from contextlib import suppress

from gresque.connection.search import LastAddress
from gresque.connection.topology import Single, topology_of
from gresque.connection.urls import Address

BYTES = 64


def share_addresses(places: Iterable[tuple[str, str]]) -> None:
    """For these URLs and namespaces let this process, and all that it forks from now on, know where
    any of them last reached the server. A process that is forked while no Sentinel answers finds it
    there."""
    for url, namespace in places:
        topology = topology_of(url, namespace)
        if not isinstance(topology, Single):
            topology.last = SharedAddress()


class SharedAddress(LastAddress):
    """The address in memory that the master shares with its children; make it before the first
    fork.

    Every process that opens a connection writes it. Where two write at once, or one is killed while
    it writes, the checksum is wrong: the address counts as unknown until the next connection.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, BYTES)

    def get(self) -> Address | None:
        raw = self._memory[:]
        checksum, text = raw[:4], raw[4:].rstrip(b"\0")
        host, _, port = text.rpartition(b" ")
        if not host or _checksum(text) != checksum:
            return None
        return host.decode(), int(port)

    def set(self, address: Address) -> None:
        host, port = address
        with suppress(UnicodeEncodeError):
            text = f"{host} {port}".encode()
            entry = _checksum(text) + text
            # A long name is left out: it is looked for where the URL says.
            if len(entry) <= BYTES and self._memory[: len(entry)] != entry:
                self._memory[:] = entry.ljust(BYTES, b"\0")


def _checksum(text: bytes) -> bytes:
    return zlib.crc32(text).to_bytes(4, "big")
