"""A Redis as an operator may find it at night, and the screen of `gresque top` over it."""

from __future__ import annotations

import redis

from gresque.failure.backend import open_backend
from gresque.inspector.collecting import Collecting
from gresque.store.store import Store
from gresque.top.feed import Feed
from gresque.top.frame import draw, shown
from gresque.top.spans import Glyphs
from gresque.top.state import Screenful
from tests.support.views import fail, item, process, wait

BLOCKED = "web-07:100:reports,mail:2:4:0:5123:1795485960660"
OTHER = "eu-02:90:sync:2:40:0:4410:1795485960661"


def fill(client: redis.Redis) -> None:
    report = item("reports.BuildPdf", 8812, {"format": "a4", "_kwargs": True}, number=1)
    process(client, BLOCKED, report, item("web.Fetch"), item("web.Fetch"), blocks=("0", 14.2),
            runs={"0": 14.2})  # fmt: skip
    jobs = [item("sync.PullOrders", f"shop-{n}", number=n) for n in range(30)]
    process(client, OTHER, *jobs, runs={str(n): 300 - n for n in range(30)})
    wait(client, "mail", item("mail.Send", age=372), item("mail.Send"))
    wait(client, "imports", item("imports.Csv", age=90))
    client.hset("resque:policies", "mail", "c20")
    fail(client, "sync.PullOrders", 40, exception="ConnectTimeout")
    fail(client, "hooks.Deliver", 3, exception="HTTPError")


def screen_of(
    store: Store, width: int = 80, height: int = 24, *, jobs: bool = False, utf8: bool = True
) -> Screenful:
    """As `--once` shows it."""
    collecting = Collecting(store, "redis")
    collecting.take(1)
    snapshot = collecting.take(2, wants_jobs=jobs)
    screen = Screenful("acme", Glyphs(utf8), width, height, snapshot, clock=snapshot.at)
    feed = Feed(store, open_backend("redis", store), "redis")
    screen.known = feed.known(snapshot, shown(screen))
    return screen


def lines(screen: Screenful) -> list[str]:
    return [line.text for line in draw(screen)]
