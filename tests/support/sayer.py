"""A server that gives one answer to every command."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

COMMAND = re.compile(rb"^\*\d+\r$|^PING\r$", re.MULTILINE)


class Sayer:
    """A server that answers every command with one line, and counts its connections."""

    def __init__(self, path: Path, line: str) -> None:
        self.url = f"unix://{path}"
        self.connections = 0
        self._line = line.encode() + b"\r\n"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with client, suppress(OSError):
                client.settimeout(10)
                while commands := client.recv(65_536):
                    client.sendall(self._line * len(COMMAND.findall(commands)))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listener.close()
