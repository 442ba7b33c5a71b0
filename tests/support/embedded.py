"""Users of embedded servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from tests.support.programs import PLAIN, stem

DEADLINE_SECONDS = 60.0
RESOLVE = """
import os, sys
from gresque.connection.embedded import resolve
url = resolve(sys.argv[1])
"""
STAY = "print(url, flush=True); sys.stdin.read()"


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return found


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
    except psutil.NoSuchProcess:
        return True


class User:
    """A process that uses an embedded server until its stdin ends."""

    def __init__(
        self, url: str, tmp: Path, then: str = STAY, setup: str = PLAIN, **options: Any
    ) -> None:
        self.process = stem(setup).start(
            RESOLVE + then,
            url,
            stdin=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp)},
            **options,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(DEADLINE_SECONDS) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)


class Place:
    """A directory that holds all that a test starts; short, as a socket's address is."""

    def __init__(self) -> None:
        self.tmp = Path(tempfile.mkdtemp(prefix="gt-", dir="/tmp"))
        self.data = self.tmp / "data"
        self.users: list[User] = []

    def user(self, directory: Path | None = None, **options: Any) -> User:
        user = User(f"embedded://{directory or self.data}", self.tmp, **options)
        self.users.append(user)
        return user

    def private_user(self, **options: Any) -> User:
        self.users.append(User("embedded://", self.tmp, **options))
        return self.users[-1]

    def processes(self) -> list[psutil.Process]:
        """Keepers and servers: their working directory is the server's."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd().startswith(str(self.tmp)):
                    found.append(process)
        return found

    def keeper(self) -> psutil.Process:
        return wait_for(lambda: self._named("embedded_keeper"))

    def server(self) -> psutil.Process:
        return wait_for(lambda: self._named("valkey-server"))

    def _named(self, word: str) -> psutil.Process | None:
        for process in self.processes():
            with suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    return process
        return None

    def kill(self, process: psutil.Process) -> None:
        """Kill it and wait until the locks of its last thread are free."""
        process.kill()
        wait_for(lambda: has_ended(process))

    def wait_until_over(self) -> None:
        wait_for(lambda: not self.processes())

    def close(self) -> None:
        for user in self.users:
            user.kill()
            for pipe in (user.process.stdin, user.process.stdout):
                if pipe:
                    pipe.close()
        try:
            self.wait_until_over()
        finally:
            for process in self.processes():
                process.kill()
            shutil.rmtree(self.tmp)


@pytest.fixture(name="place")
def place_fixture() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def ask(url: str, *command: str) -> Any:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)
