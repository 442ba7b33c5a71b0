"""Servers with several shards each, workers of all of them, and a load that is timed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import redis

import gresque
from benchmarks.chaos_notes import Note
from tests.process.support import Bench, Master, wait_for
from tests.support.load import JOBS, QUEUE, Load
from tests.support.server import OwnServer

ENDLESS = ("-j", "1000000")
MANY = 1_000


def load_average() -> str:
    return f"{os.getloadavg()[0]:.0f}"


def patience() -> float:
    """By how much a busy machine is slower than an idle one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Push(NamedTuple):
    began: float
    """Monotonic."""
    took: float


@dataclass
class TimedLoad(Load):
    """Each of its threads enqueues one job after the other; all enqueues are timed."""

    pushes: list[Push] = field(default_factory=list)

    def enqueue(self) -> None:
        began = time.monotonic()
        super().enqueue()
        self.pushes.append(Push(began, time.monotonic() - began))


class Shard:
    """One database of a server."""

    def __init__(self, name: str, server: OwnServer, database: int, directory: Path) -> None:
        self.name = name
        self.server = server
        place = f"{server.url}?db={database}"
        self.url = f"{name}={place}"
        client = redis.Redis(
            unix_socket_path=str(server.socket), db=database, retry=None, socket_timeout=30
        )
        self.bench = Bench(place, client, directory)

    def waiting(self, queue: str = QUEUE) -> int:
        found: int = self.bench.redis.llen(f"resque:queue:{queue}")  # type: ignore[assignment]
        return found

    def later(self) -> int:
        found: int = self.bench.redis.zcard("resque:later")  # type: ignore[assignment]
        return found

    def is_empty(self) -> bool:
        return not self.waiting() and not self.later() and not self.bench.held()

    def fill(self, keys: Sequence[str], seconds: float) -> None:
        """Jobs that are on this shard, whatever others there are."""
        self.bench.client.enqueue_many("Chaos", [(key, seconds) for key in keys], queue=QUEUE)


class Sharded:
    """Shards `a0`, `a1` … on server a, `b0` … on b: `databases` of them on each."""

    def __init__(self, directory: Path, servers: str, databases: int) -> None:
        self.tally = directory / "tally"
        self.tally.touch()
        self.servers: dict[str, OwnServer] = {}
        self.shards: list[Shard] = []
        for letter in servers:
            place = directory / letter
            place.mkdir()
            server = OwnServer(place, "--appendonly", "yes", "--appendfsync", "always").start()
            self.servers[letter] = server
            for number in range(databases):
                home = place / str(number)
                home.mkdir()
                self.shards.append(Shard(f"{letter}{number}", server, number, home))
        self.urls = [shard.url for shard in self.shards]
        self._loads: list[Load] = []

    def client(self, urls: Sequence[str] = (), **options: object) -> gresque.Client:
        return gresque.Client(urls=[*(urls or self.urls)], **options)  # type: ignore[arg-type]

    def load(self, per_second: float, threads: int, urls: Sequence[str] = ()) -> TimedLoad:
        """Begin to enqueue; a worker must be there."""
        load = TimedLoad(self.client(urls), self.tally, per_second, threads=threads)
        self._loads.append(load)
        load.begin()
        return load

    def work(self, *arguments: str, urls: Sequence[str] = (), queue: str = QUEUE) -> Master:
        redis_flags = [word for url in urls or self.urls for word in ("--redis", url)]
        return self.shards[0].bench.start(
            "-q", queue, "-r", JOBS, *redis_flags, *arguments, CHAOS_TALLY=str(self.tally)
        )

    def replace(self, master: Master, *arguments: str, urls: Sequence[str]) -> Master:
        """Workers of these shards, and an end of the others in order."""
        new = self.work(*arguments, urls=urls)
        wait_for(lambda: "worker bench" in str([c.cmdline() for c in new.children()]))
        master.signal(signal.SIGQUIT)
        assert master.wait() == 0, master.log
        return new

    def call(self, *command: str, urls: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Begin `gresque …` as a user does."""
        env = {**os.environ, "REDIS_URLS": " ".join(urls or self.urls)}
        env.pop("REDIS_URL", None)
        return subprocess.Popen(
            [sys.executable, "-m", "gresque", *command],
            env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *command: str, urls: Sequence[str] = ()) -> str:
        """What it writes; it must exit with 0 and complain of nothing."""
        called = self.call(*command, urls=urls)
        output, errors = called.communicate(timeout=240)
        assert called.returncode == 0 and not errors, errors
        return output.strip()

    def notes(self) -> list[Note]:
        return Load.notes(self)  # type: ignore[arg-type]

    def ends(self) -> Counter[str]:
        """How often each job has ended."""
        return Counter(note.key for note in self.notes() if note.event == "end")

    def settle(self, seconds: float = 300) -> None:
        """Wait until nothing is left on any shard."""
        wait_for(lambda: all(shard.is_empty() for shard in self.shards), seconds)

    def close(self) -> None:
        for server in self.servers.values():
            if server.lives:
                server.resume()
        for load in self._loads:
            load.end()
            load.client.close()
        for shard in self.shards:
            shard.bench.close()
        for server in self.servers.values():
            server.kill()


def spread_of(values: Sequence[float]) -> str:
    """Median, 99 %, 99.9 % and the longest of some times."""
    found = sorted(values)
    picked = [found[min(int(len(found) * share), len(found) - 1)] for share in (0.5, 0.99, 0.999)]
    return " / ".join(f"{seconds:.3f}" for seconds in (*picked, found[-1])) + " s"
