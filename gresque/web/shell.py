"""What is around every page: the tabs with their counts, the state of the connection, the foot."""

from __future__ import annotations

import time
from typing import NamedTuple

from flask import g, request, url_for

from gresque.formats import size, span
from gresque.inspector.snapshot import Trouble
from gresque.web.routes import ROUTES, TABS
from gresque.web.site import ROOT, site, who

THEMES = ("light", "dark")
_SAME_IN_API = {
    "overview": "overview", "running": "running", "queues": "queues", "failed": "failed_groups",
    "workers": "processes", "scheduled": "delayed", "retries": "retries", "cron": "cron",
    "limits": "limits", "redis": "redis", "audit": "audit",
}  # fmt: skip
"""The address of the API that has the same as a page."""


class ShownTab(NamedTuple):
    title: str
    href: str
    key: str
    is_here: bool
    number: int | None
    is_bad: bool


class ShownShard(NamedTuple):
    name: str
    href: str
    is_here: bool


class Shell(NamedTuple):
    namespace: str
    tabs: list[ShownTab]
    shards: list[ShownShard]
    """All of them together, and each; empty where there is one."""
    theme: str
    base: str
    now: float
    user: str
    may_sign_out: bool
    server: str
    """Which server it is, and how full."""
    cost: str
    """What the numbers cost the server."""
    json: str
    """Where the API has what this page shows; empty where it has not."""
    trouble: Trouble | None
    """Why there are no new numbers."""


def shell() -> Shell:
    """For the user of this request; without tabs for one who is not signed in. The templates ask
    for it in each row."""
    found: Shell | None = g.get("shell")
    if found is None:
        found = g.shell = _shell()
    return found


def _shell() -> Shell:
    here, user = site(), who()
    theme = request.cookies.get("gresque-theme", "")
    return Shell(
        namespace=here.settings.namespace,
        tabs=_tabs() if user else [],
        shards=_shards() if user else [],
        theme=theme if theme in THEMES else "",
        base=f"{request.script_root}/",
        now=time.time(),
        user=user.name if user else "",
        may_sign_out=user is not None and here.link is None,
        server=_server() if user else "",
        cost=_cost() if user else "",
        json=_json() if user else "",
        trouble=_trouble() if user else None,
    )


def _shards() -> list[ShownShard]:
    """Links to the dashboard of each shard, at the page of this tab."""
    here = site()
    if not here.names:
        return []
    tabs = {tab.route for tab in TABS}
    page = request.path.lstrip("/") if request.endpoint in tabs else ""
    root = request.environ[ROOT]
    each = [
        ShownShard(name, f"{root}/shard/{number}/{page}", name == here.shard)
        for number, name in enumerate(here.names)
    ]
    return [ShownShard("all shards", f"{root}/{page}", not here.shard), *each]


def _server() -> str:
    snapshot = site().collector.seen
    info = snapshot.look.server if snapshot is not None else {}
    if not info:
        return ""
    name = "Valkey" if info.get("valkey_version") else "Redis"
    version = info.get("valkey_version") or info.get("redis_version") or ""
    used, most = info.get("used_memory"), info.get("maxmemory")
    full = f"{size(used)} of {size(most)}" if most else size(used)
    return f"{name} {version}, {full}"


def _cost() -> str:
    snapshot = site().collector.seen
    return f"read in {span(snapshot.took_seconds)}, once for all viewers" if snapshot else ""


def _json() -> str:
    name = _SAME_IN_API.get(request.endpoint or "", "")
    return url_for(f"api_{name}") if name else ""


def _trouble() -> Trouble | None:
    snapshot = site().collector.seen
    return snapshot.trouble if snapshot is not None else None


def _tabs() -> list[ShownTab]:
    names = {route.name for route in ROUTES}
    counts = _counts()
    return [
        ShownTab(
            tab.title,
            url_for(tab.route),
            tab.key,
            request.endpoint == tab.route,
            counts.get(tab.route),
            tab.route == "failed" and bool(counts.get("failed")),
        )
        for tab in TABS
        if tab.route in names
    ]


def _counts() -> dict[str, int]:
    """What the tabs count. None of it is asked of Redis for this: the last look has it."""
    snapshot = site().collector.seen
    if snapshot is None:
        return {}
    look = snapshot.look
    return {
        "running": look.held,
        "queues": len(look.counts.waiting),
        "failed": look.kept_failed,
        "scheduled": look.later,
        "workers": len(look.workers),
    }
