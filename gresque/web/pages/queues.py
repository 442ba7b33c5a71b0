"""Queues: all of them, with what waits in each."""

from __future__ import annotations

from flask import Response

from gresque.web.pages.show import show
from gresque.web.site import site


def page() -> Response:
    looks = site().looks
    look = looks.last()
    waiting = sorted(look.counts.waiting.items(), key=lambda each: (-each[1], each[0]))
    return show("queues", number=looks.number, queues=waiting, flow=look.flow)
