"""Queues: all of them, with what waits in each."""

from __future__ import annotations

from flask import Response

from gresque.web.pages.show import show
from gresque.web.site import site


def page() -> Response:
    snapshot = site().collector.last()
    rows = sorted(snapshot.queues, key=lambda row: (-row.waiting, row.name))
    return show("queues", number=snapshot.number, queues=rows)
