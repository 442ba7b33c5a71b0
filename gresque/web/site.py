"""What all views share: the store, the settings, the accounts; found through the running app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flask import current_app, g

from gresque.inspector.collector import Collector
from gresque.store.store import Store
from gresque.web.accounts import Accounts, OneTimeLink, Role, Tries
from gresque.web.bulk import Bulk, Bulks
from gresque.web.cached import Cached
from gresque.web.failures import Failures
from gresque.web.kills import Kills
from gresque.web.measured import Measured
from gresque.web.settings import WebSettings
from gresque.web.shared import Shared
from gresque.web.stacks import Stacks
from gresque.web.totals import Totals


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
    collector: Collector
    measured: Measured
    totals: Totals
    failures: Failures
    kills: Kills
    stacks: Stacks
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
