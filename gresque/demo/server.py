"""The HTTP server of the demo, a process of its own: `python -m gresque.demo.server LATENCY_MS`.

It prints its port on stdout, answers each request after the latency, and ends when its stdin does:
with the demo, however that ends.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import wait_read

from gresque.demo.library import library

BACKLOG = 1024
"""Every greenlet of the workers may connect at the same moment."""


def main(latency_ms: int) -> None:
    application = partial(serve, library(), latency_ms / 1000)
    server = WSGIServer(
        ("127.0.0.1", 0), application, backlog=BACKLOG, log=None, handler_class=PromptHandler
    )
    server.start()
    print(server.server_port, flush=True)
    wait_read(sys.stdin.fileno())


class PromptHandler(WSGIHandler):  # type: ignore[misc]
    """gevent sends headers and body one after the other: without TCP_NODELAY the body waits for
    the client's delayed ACK, 40 ms for nothing."""

    def handle(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()


def serve(
    files: dict[str, Path],
    latency_seconds: float,
    environ: dict[str, Any],
    start_response: Callable[[str, list[tuple[str, str]]], Any],
) -> Iterable[bytes]:
    """A WSGI application. It looks names up in `files` and never makes a path out of a request, so
    nothing else can be asked for."""
    gevent.sleep(latency_seconds)
    name = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")  # as WSGI has it
    path = files.get(name.removeprefix("/"))
    if path is None:
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    body = path.read_bytes()
    headers = [("Content-Type", "text/x-python"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


if __name__ == "__main__":
    main(int(sys.argv[1]))
