"""Audit: who did what."""

from __future__ import annotations

from flask import Response, request

from gresque.inspector.audit import read_audit
from gresque.web.pages.show import show
from gresque.web.site import site

ROWS = 100


def page() -> Response:
    store = site().store
    text, before = request.args.get("q", ""), request.args.get("before", "")
    entries = read_audit(store, ROWS, before=before, text=text)
    number = f"{entries[0].id if entries else ''} {len(entries)}"
    return show("audit", number=number, entries=entries, text=text, before=before, rows_=ROWS)
