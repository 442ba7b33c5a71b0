"""The pages of a large system, and what they ask of Redis.

10,000 running jobs in 200 processes, 1,000 queues, 1,000,000 failed jobs. The times are those of
`docs/performance.md`; the bounds here are wide, as other programs may run on the machine.
"""

from __future__ import annotations

import os
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from tests.support.browser import dashboard
from tests.support.seeded import seed
from tests.support.server import OwnServer

PAGES = ("/", "/running", "/queues", "/failed", "/workers", "/ledger", "/limits")
TOUR = (
    *PAGES, "/scheduled", "/cron", "/retries", "/redis", "/audit", "/queues/mail", "/keys",
    "/failed?q=class:web.FetchPage", "/failed?q=silent", "/running?q=host:web-07",
    "/api/overview", "/api/running", "/api/queues", "/stats.txt", "/metrics",
)  # fmt: skip
FRAGMENTS = ("/?live=0", "/running?live=0", "/queues?live=0", "/failed?live=0")
TIMES = 15
SECONDS = 1.0
MEGABYTES = 250
SLOW_MICROSECONDS = 10_000
MOST_MICROSECONDS = 50_000
TABS = 20
TABS_COST = 1.3
WATCHED_SECONDS = 12
SETS = {
    b"resque:queues", b"resque:workers", b"resque:failed_queues", b"resque:suspects",
    b"resque:cron:paused",
}  # fmt: skip
"""Those that are read whole: they grow with what is declared, not with what happens."""
MOST_ITEMS = 1000


class Browser:
    """Keeps its connection and cookie."""

    def __init__(self, netloc: str, cookie: str = "") -> None:
        self._connection = HTTPConnection(netloc, timeout=60)
        self._cookie = cookie

    @classmethod
    def at(cls, link: str) -> Browser:
        """One that the link lets in."""
        parts = urlsplit(link)
        browser = cls(parts.netloc)
        browser.get(f"{parts.path}?{parts.query}", 303)
        return browser

    def another(self) -> Browser:
        """A tab of the same user."""
        return Browser(f"{self._connection.host}:{self._connection.port}", self._cookie)

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, status: int = 200) -> tuple[float, str]:
        """Seconds until the whole answer is there, and its text."""
        started = time.perf_counter()
        self._connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        text = answer.read().decode()
        seconds = time.perf_counter() - started
        assert answer.status == status, (path, answer.status, text[:500])
        self._cookie = self._cookie or (answer.getheader("Set-Cookie") or "").partition(";")[0]
        return seconds, text


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    server = OwnServer(
        tmp_path_factory.mktemp("large"), "--slowlog-log-slower-than", str(SLOW_MICROSECONDS)
    ).start()
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        seed(client, processes=200, running=10_000, queues=1000, failed=1_000_000, per_queue=4)
        client.slowlog_reset()
    yield server
    server.kill()


def test_pages_of_a_large_system(large: OwnServer, tmp_path: Path) -> None:
    with dashboard(large.url, tmp_path) as link:
        browser = Browser.at(link)
        first = {path: browser.get(path)[0] for path in PAGES}
        meanwhile, indexed = _while_it_counts(browser)
        took = {path: [browser.get(path)[0] for _ in range(TIMES)] for path in (*PAGES, *FRAGMENTS)}
        (web,) = [
            child for child in psutil.Process(os.getpid()).children() if "web" in child.cmdline()
        ]
        megabytes = web.memory_info().rss / 1e6
        browser.close()
    slow = [(each["duration"], bytes(each["command"])[:80]) for each in large.redis.slowlog_get()]
    late = {path: _late(times) for path, times in took.items()}
    print("\nfirst", _shown(first))
    print("index", f"{indexed:.1f} s; a fragment meanwhile, p95: {1000 * meanwhile:.0f} ms")
    print("median", _shown({path: statistics.median(times) for path, times in took.items()}))
    print("p95", _shown(late))
    print(
        f"{megabytes:.0f} MB; {len(slow)} commands above {SLOW_MICROSECONDS / 1000:.0f} ms: {slow}"
    )
    assert all(microseconds < MOST_MICROSECONDS for microseconds, _ in slow)
    assert max(late.values()) < SECONDS
    assert megabytes < MEGABYTES


def _while_it_counts(browser: Browser) -> tuple[float, float]:
    """How long a fragment takes while the failed jobs are counted; how long that takes."""
    started, times = time.monotonic(), []
    while "counting the rest" in browser.get("/failed")[1]:
        assert time.monotonic() < started + 100
        times.append(browser.get("/running?live=0")[0])
    return _late(times or [0.0]), time.monotonic() - started


def _late(times: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles([*times, times[-1]], n=20)[-1]


def _shown(times: dict[str, float]) -> Any:
    return ", ".join(f"{path} {1000 * seconds:.0f} ms" for path, seconds in times.items())


@pytest.mark.parametrize("path", ["/", "/running", "/queues", "/failed"])
def test_twenty_tabs_cost_hardly_more_than_one(large: OwnServer, tmp_path: Path, path: str) -> None:
    with dashboard(large.url, tmp_path) as link:
        first = Browser.at(link)
        while "counting the rest" in first.get("/failed")[1]:
            time.sleep(0.2)
        one = _calls(large, [first], path)
        twenty = _calls(large, [first.another() for _ in range(TABS)], path)
    print(f"{path}: commands a second: {one:.0f} with 1 tab, {twenty:.0f} with {TABS}")
    assert twenty <= TABS_COST * one


def _calls(large: OwnServer, tabs: list[Browser], path: str) -> float:
    """Commands a second that the server carries out while all tabs poll."""

    def count() -> int:
        return int(large.redis.info("stats")["total_commands_processed"])

    before, began = count(), time.monotonic()
    while time.monotonic() < began + WATCHED_SECONDS:
        started = time.monotonic()
        for tab in tabs:
            tab.get(f"{path}?live=0")
        time.sleep(max(started + 1 - time.monotonic(), 0.0))
    return (count() - before) / (time.monotonic() - began)


def test_a_tour_reads_nothing_whole(large: OwnServer, tmp_path: Path) -> None:
    seen: list[bytes] = []
    with dashboard(large.url, tmp_path) as link, _monitored(large, seen):
        browser = Browser.at(link)
        for path in TOUR:
            browser.get(path)
        while "counting the rest" in browser.get("/failed")[1]:
            time.sleep(0.2)
    words = [_WORD.findall(line) for line in seen]
    commands = [(each[0].upper(), each[1:]) for each in words if each]
    assert len(commands) > 1000
    assert not [each for each in commands if each[0] in (b"KEYS", b"FLUSHDB", b"SORT")]
    assert {each[1][0] for each in commands if each[0] == b"SMEMBERS"} <= SETS
    spans = [(int(each[1]), int(each[2])) for name, each in commands if name == b"LRANGE"]
    assert all(-1 < last - first < MOST_ITEMS for first, last in spans)


_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


@contextmanager
def _monitored(large: OwnServer, seen: list[bytes]) -> Iterator[None]:
    """Collects what MONITOR says meanwhile, a line for each command."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(large.socket))
        connection.sendall(b"MONITOR\r\n")
        lines = connection.makefile("rb")
        assert lines.readline() == b"+OK\r\n"
        reader = threading.Thread(target=lambda: seen.extend(lines))
        reader.start()
        yield
        connection.shutdown(socket.SHUT_RDWR)
        reader.join()
