"""`gresque top`: the dashboard of a terminal."""

from __future__ import annotations

import locale
import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.connect import operator
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import write
from gresque.errors import SettingsError

if TYPE_CHECKING:
    from gresque.settings import Settings
    from gresque.store.store import Store
    from gresque.top.acts import Acts
    from gresque.top.feed import Feed
    from gresque.top.spans import Glyphs

DEFAULT_SIZE = (80, 24)
REPLY_SECONDS = 5.0
"""How long Redis may take for a reply."""


@click.command(name="top")
@click.option("--once", is_flag=True, help="Print one frame as text, and exit.")
@setting_options("redis_url", "namespace", "failure_backend")
def command(flags: dict[str, Any], once: bool) -> int:
    """See what is wrong, and act on it, in a terminal.

    The verdict stands above six tables: 1 the jobs that run, 2 queues, 3 failed jobs by group, 4
    what each class did in the last hour, 5 worker processes, 6 their ledgers. A filter narrows a
    table, K kills the job under the cursor once you have confirmed it; ? shows all keys. While
    Redis is away the last numbers stay, in grey. It needs gresque[top].

    \b
    Examples:
      gresque top
      gresque top --once | head -6
      ssh -t web-07 gresque top --namespace acme
    """
    from gresque.top import require_textual

    require_textual()
    settings = load_settings(flags)
    if not once and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError("gresque top needs a terminal; --once prints one frame without one")
    from gresque.store.store import Store

    stores = {
        shard.name: Store(shard.url, shard.namespace, reply_seconds=REPLY_SECONDS)
        for shard in settings.all_shards()
    }
    feed = _feed(settings, stores)
    try:
        return _once(settings, feed) if once else _show(settings, feed, stores)
    finally:
        feed.close()
        for store in stores.values():
            store.close()


def _feed(settings: Settings, stores: Mapping[str, Store]) -> Feed:
    from gresque.failure.backend import open_backend
    from gresque.top.feed import Feed
    from gresque.top.shards import ShardsFeed

    kept = settings.failure_backend
    feeds = {name: Feed(store, open_backend(kept, store), kept) for name, store in stores.items()}
    return ShardsFeed(feeds) if len(feeds) > 1 else next(iter(feeds.values()))


def _once(settings: Settings, feed: Feed) -> int:
    """One frame, of the second snapshot or a later one: rates need two."""
    from gresque.top.frame import draw, shown
    from gresque.top.state import Screenful

    width, height = shutil.get_terminal_size(DEFAULT_SIZE)
    snapshot = feed.settled()
    screen = Screenful(
        settings.namespace, _glyphs(sys.stdout.encoding), width, height, snapshot,
        clock=time.time(),
    )  # fmt: skip
    screen.known = feed.known(snapshot, shown(screen))
    lines = [line.text.rstrip() for line in draw(screen, with_keys=False)]
    while lines and not lines[-1]:
        lines.pop()
    write(lines)
    return 0


def _show(settings: Settings, feed: Feed, stores: Mapping[str, Store]) -> int:
    from rich.console import Console

    from gresque.top.app import Top, palette_of
    from gresque.top.state import Screenful

    acts = _acts(settings, feed, stores)
    palette = palette_of(Console(file=sys.stderr).color_system, bool(os.environ.get("NO_COLOR")))
    screen = Screenful(settings.namespace, _glyphs(locale.getencoding()), clock=time.time())
    top = Top(feed, acts, screen, palette)
    found = top.run(mouse=False)
    return found if isinstance(found, int) else top.return_code or 0


def _acts(settings: Settings, feed: Feed, stores: Mapping[str, Store]) -> Acts:
    from gresque.control.audit import By
    from gresque.failure.backend import open_backend
    from gresque.top.acts import Acts
    from gresque.top.shards import ShardsActs

    kept, by = settings.failure_backend, By(operator(), "top")
    acts = {name: Acts(store, open_backend(kept, store), by) for name, store in stores.items()}
    if len(acts) == 1:
        return next(iter(acts.values()))
    return ShardsActs(acts, lambda: feed.collector.last().shards)


def _glyphs(encoding: str | None) -> Glyphs:
    from gresque.top.spans import Glyphs

    return Glyphs("utf" in (encoding or "").lower())
