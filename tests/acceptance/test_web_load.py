"""The pages of a large system, and what they ask of Redis.

10,000 running jobs in 200 processes, 1,000 queues, 1,000,000 failed jobs. The times are those of
`docs/performance.md`; the bounds here are wide, as other programs may run on the machine.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
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
FRAGMENTS = ("/?live=0", "/running?live=0", "/queues?live=0", "/failed?live=0")
TIMES = 15
SECONDS = 1.0
MEGABYTES = 250
SLOW_MICROSECONDS = 50_000


class Browser:
    """Keeps its connection and cookie."""

    def __init__(self, link: str) -> None:
        parts = urlsplit(link)
        self._connection = HTTPConnection(parts.netloc, timeout=60)
        self._cookie = ""
        self.get(f"{parts.path}?{parts.query}", 303)

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
        browser = Browser(link)
        first = {path: browser.get(path)[0] for path in PAGES}
        meanwhile, indexed = _while_it_counts(browser)
        took = {path: _median(browser, path) for path in (*PAGES, *FRAGMENTS)}
        (web,) = [
            child for child in psutil.Process(os.getpid()).children() if "web" in child.cmdline()
        ]
        megabytes = web.memory_info().rss / 1e6
        browser.close()
    slow = [(each["duration"], bytes(each["command"])[:80]) for each in large.redis.slowlog_get()]
    print("\nfirst", _shown(first))
    print("index", f"{indexed:.1f} s; a fragment meanwhile, p95: {1000 * meanwhile:.0f} ms")
    print("median", _shown(took))
    print(f"{megabytes:.0f} MB")
    assert slow == []
    assert max(took.values()) < SECONDS
    assert megabytes < MEGABYTES


def _while_it_counts(browser: Browser) -> tuple[float, float]:
    """How long a fragment takes while the failed jobs are counted; how long that takes."""
    started, times = time.monotonic(), []
    while "counting the rest" in browser.get("/failed")[1]:
        assert time.monotonic() < started + 100
        times.append(browser.get("/running?live=0")[0])
    times = times or [0.0]
    return statistics.quantiles([*times, times[-1]], n=20)[-1], time.monotonic() - started


def _median(browser: Browser, path: str) -> float:
    return statistics.median(browser.get(path)[0] for _ in range(TIMES))


def _shown(times: dict[str, float]) -> Any:
    return ", ".join(f"{path} {1000 * seconds:.0f} ms" for path, seconds in times.items())
