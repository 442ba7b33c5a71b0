"""A front that speaks TLS before a server that does not."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path


class TlsFront:
    """Listens on a port, with a certificate of its own for "localhost"."""

    def __init__(self, directory: Path, server: Path) -> None:
        certificate, key = directory / "certificate.pem", directory / "key.pem"
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key),
                "-out", str(certificate),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._server = str(server)
        self._listener = socket.create_server(("localhost", 0))
        port = self._listener.getsockname()[1]
        self.url = f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as server:
            server.connect(self._server)
            with self._context.wrap_socket(client, server_side=True) as inside:
                while True:
                    for readable in _readable(inside, server):
                        data = readable.recv(65_536)
                        if not data:
                            return
                        (server if readable is inside else inside).sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _readable(inside: ssl.SSLSocket, server: socket.socket) -> list[socket.socket]:
    if inside.pending():
        return [inside]
    readable: list[socket.socket] = select.select([inside, server], [], [])[0]
    return readable
