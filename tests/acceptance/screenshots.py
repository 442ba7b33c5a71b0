"""The pictures of the docs, from made-up data at one moment: `scripts/screenshots`.

scripts/screenshots                    # those of the docs, into docs/pictures
scripts/screenshots /tmp/new           # elsewhere, to compare
scripts/screenshots --all /tmp/new     # each page, light and dark, wide and on a phone

The data comes from a fixed seed, and the clocks of the server, the program and the browser stand
still: a second run makes the same pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import redis
from werkzeug.serving import WSGIRequestHandler, make_server

from gresque.control.audit import By
from gresque.failure.backend import open_backend
from gresque.inspector.collecting import Collecting
from gresque.inspector.collector import Collector
from gresque.inspector.snapshot import Snapshot
from gresque.processes.vitals import parse
from gresque.store.reads import Reads, Reply
from gresque.store.server import Server
from gresque.store.store import Store
from gresque.top.acts import Acts
from gresque.top.app import Top
from gresque.top.feed import Feed
from gresque.top.frame import shown
from gresque.top.spans import Glyphs
from gresque.top.state import Screenful
from gresque.web.stacks import JobStack
from tests.support.browser import CHROMIUM, chromium
from tests.support.seeded import seed
from tests.support.server import OwnServer
from tests.support.web import open_app

DEFAULT = Path(__file__).parents[2] / "docs" / "pictures"
NOW = datetime(2026, 11, 27, 3, 11, 57, tzinfo=UTC)
SECONDS = 60
"""How long the collector has looked before the pictures."""
HEIGHTS = {1440: 1000, 390: 844}
PAGES = {
    "overview": "/", "running": "/running", "queues": "/queues", "queue": "/queues/mail",
    "failed": "/failed", "workers": "/workers", "ledger": "/ledger", "scheduled": "/scheduled",
}  # fmt: skip
BLOCKS = ".blocks a"
"""Leads to the stack of the job that blocks others."""


class Picture(NamedTuple):
    page: str
    theme: str
    width: int

    @property
    def name(self) -> str:
        return f"{self.page}-{self.theme}-{self.width}"


class Screen(NamedTuple):
    """Of `gresque top`."""

    width: int
    height: int
    palette: str = "full"

    @property
    def name(self) -> str:
        colours = "" if self.palette == "full" else "-no-color"
        return f"top-{self.width}x{self.height}{colours}"


ALL = tuple(Picture(*each) for each in product(PAGES, ("light", "dark"), HEIGHTS))
SCREENS = (Screen(80, 24), Screen(120, 40), Screen(60, 20), Screen(80, 24, "none"))
OF_DOCS = (
    "overview-light-1440", "overview-dark-390", "running-dark-1440", "running-light-390",
    "failed-light-1440", "queue-light-1440", "workers-dark-1440", "top-80x24", "top-120x40",
)  # fmt: skip


class _Silent(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description="Make the pictures.")
    parser.add_argument(
        "--all", action="store_true", help="also those that no page of the docs has"
    )
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT)
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("gresque: no browser: install Debian's package chromium")
    options.directory.mkdir(parents=True, exist_ok=True)
    for name, content in take(None if options.all else OF_DOCS):
        (options.directory / f"{name}.png").write_bytes(content)
        print(f"{name}.png", len(content))


def take(names: Sequence[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """The pictures of these names, or all of them, as PNG."""
    pictures = [each for each in ALL if names is None or each.name in names]
    screens = [each for each in SCREENS if names is None or each.name in names]
    clock = Clock()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = OwnServer(directory).start()
        stack.callback(server.kill)
        stack.enter_context(clock.everywhere())
        client = stack.enter_context(redis.Redis(unix_socket_path=str(server.socket)))
        seed(
            client, processes=48, running=3912, queues=42, failed=41_207, backlog=15_600,
            per_host=4, now=int(NOW.timestamp()),
        )  # fmt: skip
        store = Store(server.url, "resque")
        stack.callback(store.close)
        snapshot = watch(client, store, clock)
        drawn = {each.name: draw(store, snapshot, each) for each in screens}
        browser = stack.enter_context(chromium())
        yield from pages(server.url, browser, snapshot, pictures)
        page = browser.new_page()
        for name, svg in drawn.items():
            page.set_content(f"<body style='margin:0'>{svg}")
            page.locator("svg").first.evaluate(
                "svg => { const box = svg.viewBox.baseVal;"
                " svg.setAttribute('width', box.width); svg.setAttribute('height', box.height) }"
            )
            yield name, page.locator("svg").first.screenshot()


class Clock:
    """Of all programs. It stands still but for `at`."""

    def __init__(self) -> None:
        self.at = NOW.timestamp() - SECONDS

    def reply(self, _: object = None) -> Reply[float]:
        reply: Reply[float] = Reply()
        reply.value = self.at
        return reply

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        with (
            patch("time.time", lambda: self.at),
            patch.object(Server, "now", lambda _: self.at),
            patch.object(Reads, "now", self.reply),
            patch.object(Snapshot, "age", 0.3),
            patch.object(JobStack, "age", 0.4),
        ):
            yield


def watch(client: redis.Redis, store: Store, clock: Clock) -> Snapshot:
    """What a collector knows after some seconds in which mail grew."""
    collecting = Collecting(store, "redis")
    raw = json.dumps({"class": "mail.SendReceipt", "args": ["ord_55812"]})
    for second in range(SECONDS):
        clock.at += 1
        client.rpush("resque:queue:mail", *[raw] * 38)
        client.incrby("resque:stat:processed", 560 + second * 37 % 220)
        client.incrby("resque:stat:failed", 4 + second // 12 + second * 5 % 3)
        if second % 10 == 0:
            use_cpu(client)
        found = collecting.take(second + 1, wants_jobs=True, wants_waits=True)
    server = {"valkey_version": "9.1.0", "used_memory": 1_900_000_000, "maxmemory": 8_000_000_000}
    return replace(found, look=replace(found.look, server=server))


def use_cpu(client: redis.Redis) -> None:
    """Ten seconds of it, by how many jobs a process holds."""
    for process, raw in client.hgetall("resque:vitals").items():
        vitals = parse(raw)
        vitals.cpu = round((vitals.cpu or 0) + 0.3 + vitals.held / 60, 1)
        client.hset("resque:vitals", process, vitals.encode())


@contextmanager
def stands_still(snapshot: Snapshot) -> Iterator[None]:
    """All collectors know this alone."""
    with (
        patch.object(Collector, "last", lambda *_, **__: snapshot),
        patch.object(Collector, "after", lambda *_, **__: time.sleep(1)),
        patch.object(Collector, "seen", snapshot),
    ):
        yield


def pages(
    url: str, browser: Any, snapshot: Snapshot, pictures: Sequence[Picture]
) -> Iterator[tuple[str, bytes]]:
    with stands_still(snapshot), open_app(url) as app:
        app.extensions["gresque"].failures.index.wait(60)
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"http://127.0.0.1:{server.port}"
            context = browser.new_context()
            context.new_page().goto(f"{base}/in?token={app.extensions['gresque'].link.new()}")
            state = context.storage_state()
            for picture in pictures:
                with browser.new_context(
                    viewport={"width": picture.width, "height": HEIGHTS[picture.width]},
                    color_scheme=picture.theme, reduced_motion="reduce", storage_state=state,
                ) as context:  # fmt: skip
                    yield picture.name, photograph(context.new_page(), base, picture)
        finally:
            server.shutdown()
            thread.join()


def photograph(page: Any, base: str, picture: Picture) -> bytes:
    page.clock.set_fixed_time(NOW)
    page.goto(base + PAGES[picture.page])
    if picture.page == "running":
        page.goto(page.locator(BLOCKS).first.evaluate("link => link.href"))
    page.wait_for_function("document.fonts.status === 'loaded'")
    content: bytes = page.screenshot()
    return content


def draw(store: Store, snapshot: Snapshot, screen: Screen) -> str:
    """`gresque top` as SVG, drawn by Textual. Its font is that of this machine."""
    backend = open_backend("redis", store)

    feed = Feed(store, backend, "redis")
    shows = Screenful("acme-production", Glyphs(True), screen.width, screen.height, snapshot)
    shows.known = feed.known(snapshot, shown(shows))
    top = Top(feed, Acts(store, backend, By("ana", "top")), shows, screen.palette)

    async def run() -> str:
        async with top.run_test(size=(screen.width, screen.height)) as pilot:
            await pilot.pause()
            return top.export_screenshot(title="gresque top")

    with stands_still(snapshot):
        svg = re.sub(r"@font-face \{.*?\}", "", asyncio.run(run()), flags=re.DOTALL)
    return svg.replace("Fira Code", "DejaVu Sans Mono")


if __name__ == "__main__":
    main()
