"""Servers that find each other: what the nodes of a Cluster and those behind Sentinels have in
common."""

from __future__ import annotations

import ctypes
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import redis

from tests.support.server import EndedAtOnceError, OwnServer, free_port

_LIBC, _PR_SET_PDEATHSIG = ctypes.CDLL(None), 1


class Node(OwnServer):
    """A server at an address that stays from one start to the next. It is killed when the tests
    are, by whatever signal."""

    def __init__(self, directory: Path, port: int, *options: str) -> None:
        directory.mkdir(exist_ok=True)
        self.port = port
        self.address = f"127.0.0.1:{port}"
        super().__init__(directory, "--port", str(port), "--bind", "127.0.0.1", *options)

    @staticmethod
    def _begin() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def ask(self, *command: Any) -> Any:
        """Its reply; None from one that is down."""
        try:
            return self.redis.execute_command(*command)
        except redis.RedisError:
            return None

    def info(self) -> dict[str, Any]:
        """Its view of the replication; empty for one that is down."""
        try:
            return dict(self.redis.info("replication"))
        except redis.RedisError:
            return {}

    @property
    def is_primary(self) -> bool:
        return self.info().get("role") == "master"

    def follows(self, primary: Node) -> bool:
        """Whether it is a replica of this one, in step but for what is on its way."""
        info = self.info()
        return (
            info.get("role") == "slave"
            and info["master_port"] == primary.port
            and info["master_link_status"] == "up"
        )


AnyNode = TypeVar("AnyNode", bound=Node)


def started(make: Callable[[int], AnyNode]) -> AnyNode:
    """The node that `make` makes for a free port, which another program may take first."""
    for _ in range(5):
        node = make(free_port())
        with suppress(EndedAtOnceError):
            node.start()
            return node
        node.kill()
    raise AssertionError("no port stays free")


def settle(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until the servers are as they should be, and return the first true value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.05)
    return value
