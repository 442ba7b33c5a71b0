"""Sockets on which code waits as tasks do."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gresque.aio.calls import run
from gresque.aio.sockets import LoopSocket


def test_what_is_sent_is_read() -> None:
    async def main() -> None:
        near, far = (LoopSocket(each) for each in socket.socketpair())
        data = bytes(range(256)) * 20_000
        sending = asyncio.create_task(run(near.sendall, data))
        read = b""
        while len(read) < len(data):
            read += await run(far.recv, 1 << 20)
        await sending
        assert read == data
        buffer = bytearray(10)
        await run(near.sendall, b"abc")
        assert await run(far.recv_into, buffer) == 3
        assert buffer[:3] == b"abc"
        near.close()
        assert await run(far.recv, 1) == b""
        far.close()

    asyncio.run(main())


def test_its_waits_have_a_limit() -> None:
    async def main() -> None:
        near, far = (LoopSocket(each) for each in socket.socketpair())
        near.settimeout(0.05)
        with pytest.raises(TimeoutError):
            await run(near.recv, 1)
        with pytest.raises(TimeoutError):
            await run(near.sendall, b"x" * 10_000_000)
        near.settimeout(0)
        with pytest.raises(BlockingIOError):
            await run(near.recv, 1)
        near.close()
        far.close()

    asyncio.run(main())


def test_a_closed_socket_leaves_its_number_to_another_one() -> None:
    """The wait that it ended takes nothing from the socket that has the number now."""

    async def main() -> None:
        near, far = (LoopSocket(each) for each in socket.socketpair())
        number = near.fileno()
        waiting = asyncio.create_task(run(near.recv, 1))
        await asyncio.sleep(0)
        near.close()
        pair = [LoopSocket(each) for each in socket.socketpair()]
        (heir,) = (each for each in pair if each.fileno() == number)
        (other,) = (each for each in pair if each is not heir)
        sending = asyncio.create_task(send_a_little_later(other))
        async with asyncio.timeout(20):
            assert await run(heir.recv, 1) == b"x"  # it waits before the closed one's task goes on
        await sending
        with pytest.raises(OSError):
            await waiting
        for each in (far, heir, other):
            each.close()

    async def send_a_little_later(other: LoopSocket) -> None:
        await asyncio.sleep(0.05)
        await run(other.sendall, b"x")

    asyncio.run(main())
