"""What all views share: the store, the settings, the accounts; found through the running app."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flask import current_app, g

from gresque.inspector.merged_collector import AnyCollector
from gresque.store.store import Store
from gresque.web.accounts import Accounts, OneTimeLink, Role, Tries
from gresque.web.bulk import Bulk, Bulks
from gresque.web.cached import Cached
from gresque.web.failures import Failures
from gresque.web.kills import AnyKills
from gresque.web.measured import AnyMeasured
from gresque.web.settings import WebSettings
from gresque.web.shared import Shared
from gresque.web.stacks import AnyStacks
from gresque.web.totals import Totals

ROOT = "gresque.root"
"""In the environ of a request: the path of the dashboard of all shards, as SCRIPT_NAME is that of
the one that answers."""


class Who(NamedTuple):
    """The user of a request: the name, for the audit, and what it may do."""

    name: str
    role: Role


def call_directly(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


@dataclass(frozen=True)
class Site:
    settings: WebSettings
    store: Store
    collector: AnyCollector
    measured: AnyMeasured
    totals: Totals
    failures: Failures
    kills: AnyKills
    stacks: AnyStacks
    accounts: Accounts
    link: OneTimeLink | None
    """How the owner of a dashboard without users comes in; None where there are users."""
    local_user: Who
    """Who has come in by the link."""
    slowly: Callable[..., Any] = call_directly
    """Runs a function that takes CPU for long, such as in a pool of threads."""
    tries: Tries = field(default_factory=Tries)
    cached: Cached = field(default_factory=Cached)
    shared: Shared = field(default_factory=Shared)
    bulks: Bulks = field(default_factory=Bulks)
    shard: str = ""
    """The name of the shard; empty where there is one, and for all of them together."""
    names: Sequence[str] = ()
    """Of all shards, where there are several."""
    parts: Mapping[str, Site] = field(default_factory=dict)
    """Of the site of all shards: that of each, by its name. Where there are some, `store`, `totals`
    and `failures` are those of the first one, and no view of all shards uses them."""

    def close(self) -> None:
        """End the threads and the connections."""
        for part in self.parts.values() or [self]:
            part.collector.close()
            part.failures.close()
            part.store.close()


def site() -> Site:
    found: Site = current_app.extensions["gresque"]
    return found


def shown_bulks() -> list[Bulk]:
    """The long actions that are under way, or just over."""
    return site().bulks.shown()


def who() -> Who | None:
    """The user of this request; None before the check and on open routes without a cookie."""
    found: Who | None = g.get("who")
    return found


def may(role: str) -> bool:
    """Whether the user of this request may do that, for buttons. The route checks it again."""
    user = who()
    if user is None or (role != "read" and site().settings.read_only):
        return False
    return user.role >= Role.named(role)
