"""The dashboard, called without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from unittest.mock import patch

from flask import Flask
from flask.testing import FlaskClient

from gresque.inspector import collector
from gresque.inspector.collector import Collector
from gresque.inspector.merged_collector import MergedCollector
from gresque.web.accounts import hash_token
from gresque.web.app import build_app
from gresque.web.settings import WebSettings

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
TOKENS = {role: f"token-of-{role}" for role in ("read", "act", "admin")}
"""Of the users of `with_users`, one of each role."""


@contextmanager
def open_app(redis_url: str, **settings: Any) -> Iterator[Flask]:
    app = build_app(WebSettings(redis_url=redis_url, **settings))
    here = app.extensions["gresque"]
    # While a test waits for a busy CPU, Redis does not hang.
    patient = ExitStack()
    patient.enter_context(patch.object(collector, "SILENT_SECONDS", 30.0))
    for each in (Collector, MergedCollector):
        patient.enter_context(patch.object(each.last, "__defaults__", (30.0,)))
    # A collector that goes on would write to the database of the next test.
    with patient, closing(here):
        yield app


def come_in(app: Flask) -> FlaskClient:
    """A browser that has used the one-time link of a dashboard without users."""
    browser = app.test_client()
    answer = browser.get("/in", query_string={"token": app.extensions["gresque"].link.new()})
    assert answer.status_code == 303
    return browser


def with_users() -> dict[str, str]:
    """Settings: users read, act and admin, each with the token of `TOKENS` and of that role."""
    lines = [f"{role}:{hash_token(token)}:{role}" for role, token in TOKENS.items()]
    return {"users": ",".join(lines)}


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}
