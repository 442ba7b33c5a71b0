"""The HTTP server of the demo, a process of its own: `python -m gresque.demo.server`.

It prints its port on stdout, and ends when its stdin does: with the demo, however that ends.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys

from gresque.demo.library import library

MEAN_SECONDS = 1.0
LONGEST_SECONDS = 4.0
AGAIN_SECONDS = 0.1
"""An answer that it has given before comes out of its cache."""

_SPREAD = 0.5
BACKLOG = 4096
"""Every greenlet of the workers may connect at the same moment."""

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Site:
    """What it answers, and after how long: as the servers of the world do, mostly soon and at times
    late. Of a request it looks a name up, and never makes a path."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._answers = {path.encode(): _answer(body) for path, body in files.items()}
        self._known: set[bytes] = set()
        self._random = random.Random(1)

    def answer(self, target: bytes) -> bytes:
        return self._answers.get(target.partition(b"?")[0], NOT_FOUND)

    def latency_seconds(self, target: bytes) -> float:
        if target in self._known:
            return AGAIN_SECONDS
        self._known.add(target)
        middle = math.log(MEAN_SECONDS) - _SPREAD**2 / 2
        return min(self._random.lognormvariate(middle, _SPREAD), LONGEST_SECONDS)


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/x-python\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """As little as a server can do: it shares the machine with what it is for."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        for head in heads:
            target = head.partition(b" ")[2].partition(b" ")[0]
            asyncio.get_running_loop().call_later(
                self._site.latency_seconds(target),
                self._transport.write,
                self._site.answer(target),
            )


async def serve() -> None:
    loop = asyncio.get_running_loop()
    site, over = Site(library()), asyncio.Event()
    server = await loop.create_server(lambda: Connection(site), "127.0.0.1", 0, backlog=BACKLOG)
    loop.add_reader(sys.stdin.fileno(), over.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(serve())
