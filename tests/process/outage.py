"""A bench whose Redis fails."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.support import Bench, Master, account, wait_for
from tests.support.faults import FaultyProxy
from tests.support.server import OwnServer

JOBS = "tests.process.outage_jobs"
ENDLESS = ("-j", "1000000")


class Outage(Bench):
    """A bench whose Redis can be made to fail. Its jobs count themselves in a file."""

    def __init__(self, server: OwnServer, directory: Path) -> None:
        super().__init__(server.url, server.redis, directory)
        self.server = server
        self.tally = directory / "tally"

    def work(self, *arguments: str, through: FaultyProxy | None = None, **env: str) -> Master:
        if through is not None:
            env["REDIS_URL"] = through.url
        return self.start("-q", "q", "-r", JOBS, *arguments, TALLY=str(self.tally), **env)

    def push(self, keys: range, seconds: float = 0.0) -> None:
        self.client.enqueue_many("Tell", [(str(key), seconds) for key in keys], queue="q")

    def push_held(self, keys: range) -> Path:
        """Jobs that end when there is this file."""
        let = self.tally.with_name(f"let {keys.start}")
        self.client.enqueue_many("TellWhenLet", [(str(key), str(let)) for key in keys], queue="q")
        return let

    def lines(self, what: str) -> Counter[str]:
        """How often which job has started, or ended."""
        text = self.tally.read_text() if self.tally.exists() else ""
        words = [line.split(" ", 1) for line in text.splitlines()]
        return Counter(key for event, key in words if event == what)

    def wait_for_ends(self, count: int, seconds: float = 60) -> None:
        wait_for(lambda: len(self.lines("end")) >= count, seconds)

    def finish(self, master: Master, count: int) -> None:
        """Every one of `count` jobs ran once, was settled once, and nothing is left."""
        self.wait_for_ends(count)
        wait_for(lambda: self.redis.llen("resque:queue:q") == 0 and self.held() == 0)
        master.signal(signal.SIGTERM)
        assert master.wait() == 0, master.log
        assert set(self.lines("end").values()) == {1}
        assert self.lines("end") == self.lines("start")
        assert len(self.lines("end")) == count
        assert account(master.log).ended == {"done": count, "failed": 0, "retried": 0}
        assert "Traceback" not in master.log


@pytest.fixture(name="own")
def own_fixture(tmp_path: Path) -> Iterator[OwnServer]:
    own = OwnServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    yield own
    own.kill()


@pytest.fixture(name="outage")
def outage_fixture(own: OwnServer, tmp_path: Path) -> Iterator[Outage]:
    outage = Outage(own, tmp_path)
    yield outage
    outage.close()


@pytest.fixture(name="proxy")
def proxy_fixture(own: OwnServer, tmp_path: Path) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(tmp_path / "proxy.sock", own.socket)
    yield proxy
    proxy.close()


def said(master: Master, text: str) -> int:
    """How often worker processes said this. The maintenance process has outages of its own."""
    lines = master.log.splitlines()
    return sum(text in line for line in lines if " gresque.maintenance[" not in line)
