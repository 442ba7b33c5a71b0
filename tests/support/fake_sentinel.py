"""Sentinels that are of no use."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.support.nodes import Node


class FakeSentinel:
    """Takes connections, and names one server as the primary whatever has become of that; without
    one it answers nothing at all."""

    def __init__(self, names: Node | None = None) -> None:
        self._names = names
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(65_536):
                self.asked += 1
                if self._names is not None:
                    client.sendall(self._reply(request.upper()))

    def _reply(self, request: bytes) -> bytes:
        assert self._names is not None
        if b"GET-MASTER-ADDR-BY-NAME" not in request:
            return b"+PONG\r\n"
        port = str(self._names.port)
        return f"*2\r\n$9\r\n127.0.0.1\r\n${len(port)}\r\n{port}\r\n".encode()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
