"""`gresque top` under Textual, without a terminal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from textual.pilot import Pilot

from gresque.control.audit import By
from gresque.failure.backend import open_backend
from gresque.inspector.running import RunningJob
from gresque.store.store import Store
from gresque.top.acts import Acts, Ended
from gresque.top.app import Top, palette_of
from gresque.top.feed import Feed
from gresque.top.state import Screenful
from tests.support.top import fill


class Recorded(Acts):
    """Kills are only written down: no process is there to answer."""

    killed: list[str]

    def kill(self, jobs: Sequence[RunningJob]) -> list[Ended]:
        self.killed = [job.label for job in jobs]
        return [Ended((job.process, job.slot), "dead", True) for job in jobs]


@contextmanager
def opened(store: Store) -> Iterator[Top]:
    backend = open_backend("redis", store)
    feed = Feed(store, backend, "redis")
    try:
        yield Top(feed, Recorded(store, backend, By("ana", "top")), Screenful("acme"), "full")
    finally:
        feed.close()


def use(store: Store, does: Callable[[Top, Pilot[Any]], Awaitable[None]]) -> int | None:
    """Run the program with an 80 × 24 screen while `does` types; its return code."""
    found: list[int | None] = []

    async def run() -> None:
        with opened(store) as top:
            async with top.run_test(size=(80, 24)) as pilot:
                await until(top, "RUNS FOR")
                await does(top, pilot)
            found.append(top.return_value)

    asyncio.run(run())
    return found[0]


async def until(top: Top, text: str, *, gone: bool = False) -> str:
    """The screen, once it shows this text."""
    for _ in range(1000):
        shown = "\n".join(top.text())
        if (text in shown) is not gone:
            return shown
        await asyncio.sleep(0.01)
    raise AssertionError(f"{text!r} in\n{shown}")


def test_views_filters_and_dialogs(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)

    async def does(top: Top, pilot: Pilot[Any]) -> None:
        await until(top, "reports.BuildPdf(8812")
        for key, text in (("2", "EMPTY IN"), ("4", "MEDIAN"), ("5", "THREADS"), ("6", "RESERVED")):
            await pilot.press(key)
            await until(top, text)
        await pilot.press("3")
        await until(top, "HTTPError")
        await pilot.press("1", "slash", *"class:reports.*", "enter")
        await until(top, "1 of 33 running")
        await pilot.press("slash", *"host:", "enter")
        assert "host: has no value" in await until(top, "host: has no value")
        await pilot.press("escape", "escape")
        await until(top, "31 of 33 running")
        await pilot.press("question_mark")
        await until(top, "capital letters act")
        await pilot.press("escape", "p")
        await until(top, "paused")
        await pilot.press("p")
        await until(top, "live 1 s")
        await pilot.press("5", "j", "enter")
        await until(top, "/ host:")
        await pilot.resize_terminal(120, 40)
        assert len((await until(top, "QUEUE")).splitlines()) == 40
        await pilot.press("q")

    assert use(store, does) == 0


def test_a_kill_and_its_outcome(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)

    async def does(top: Top, pilot: Pilot[Any]) -> None:
        await until(top, "reports.BuildPdf(8812")
        await pilot.press("exclamation_mark", "1")
        shown = await until(top, "Kill 1 job?")
        assert re.search(r"web-07:5123, for \d+\.\d s", shown)
        assert "It fails as DirtyExit. The 2 others go on." in shown
        await pilot.press("n")
        await until(top, "Kill 1 job?", gone=True)
        assert not hasattr(top._keys.actions._acts, "killed")
        await pilot.press("x", "x", "K")
        assert "in 2 processes" in await until(top, "Kill 2 jobs?")
        await pilot.press("y")
        await until(top, "dead")
        assert top._keys.actions._acts.killed[0].startswith("reports.BuildPdf(")  # type: ignore[attr-defined]
        await pilot.press("ctrl+c")

    assert use(store, does) == 0


def test_queues_are_paused_and_limited(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)

    async def does(top: Top, pilot: Pilot[Any]) -> None:
        await pilot.press("2")
        await until(top, "cap 20")
        await pilot.press("P")
        await until(top, "Pause mail?")
        await pilot.press("y")
        await until(top, "paused")
        await pilot.press("L")
        await until(top, "How many of its jobs may run at once?")
        await pilot.press(*"50", "enter")
        await until(top, "cap 50")
        await pilot.press("q")

    assert use(store, does) == 0
    assert redis_client.hget("resque:policies", "mail") == b"p c50"
    entries = redis_client.xrange("resque:audit")
    assert [(f[b"by"], f[b"from"], f[b"verb"]) for _, f in entries] == [
        (b"ana", b"top", b"pause"), (b"ana", b"top", b"limit"),
    ]  # fmt: skip


def test_failed_jobs_are_retried(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)

    async def does(top: Top, pilot: Pilot[Any]) -> None:
        await pilot.press("3")
        await until(top, "HTTPError")
        await pilot.press("j", "R")
        await until(top, "Retry 3 failed jobs?")
        await pilot.press("y")
        await until(top, "3 jobs retried")
        await pilot.press("q")

    use(store, does)
    assert redis_client.llen("resque:queue:mail") == 2 + 3


@pytest.mark.parametrize(
    ("system", "no_color", "expected"),
    [
        ("truecolor", False, "full"),
        ("256", False, "full"),
        ("standard", False, "sixteen"),
        ("truecolor", True, "none"),
        (None, False, "none"),
    ],
)
def test_palettes(system: str | None, no_color: bool, expected: str) -> None:
    assert palette_of(system, no_color) == expected
