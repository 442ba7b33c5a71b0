"""A server on a port that answers each command as a test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import hiredis

Answer = str | Callable[[], str] | None
"""A line of the protocol, or what makes it; None for no answer at all."""


def names(address: str) -> str:
    """The answer of a Sentinel that knows this primary."""
    host, _, port = address.rpartition(":")
    return f"*2\r\n${len(host)}\r\n{host}\r\n${len(port)}\r\n{port}"


class Answers:
    """`answers`: the first word of a command -> its answer; others get an error."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        reader = hiredis.Reader(encoding="utf-8", errors="replace")
        with client, suppress(OSError, hiredis.ProtocolError):  # TLS, for one
            while data := client.recv(65_536):
                reader.feed(data.replace(b"PING\r\n", b"*1\r\n$4\r\nPING\r\n"))
                while isinstance(command := reader.gets(), list):
                    self.asked.append(command)
                    answer = self.answers.get(command[0], "-ERR unknown command")
                    text = answer() if callable(answer) else answer
                    if text is not None:
                        client.sendall(f"{text}\r\n".encode())

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
