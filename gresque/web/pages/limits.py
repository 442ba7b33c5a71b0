"""Limits and locks: what is paused or limited, and which unique jobs exclude others."""

from __future__ import annotations

from flask import Response, request

from gresque.client.locks import lock_of
from gresque.inspector.flow import Flow
from gresque.web.api.shapes import MOST_CURSOR
from gresque.web.pages.show import show
from gresque.web.site import site

LOCKS = 50


def page() -> Response:
    store = site().store
    cursor = request.args.get("cursor", 0, int)
    cursor = cursor if 0 <= cursor <= MOST_CURSOR else 0
    locks, following = store.locks.some(cursor, LOCKS)
    now = store.now()
    return show(
        "limits", number=f"{now:.0f}", flow=Flow.read(store), now=now,
        locks=sorted(map(lock_of, locks), key=lambda lock: (lock.since or 0.0, lock.digest)),
        cursor=cursor, following=following, queue=request.args.get("queue", ""),
    )  # fmt: skip
