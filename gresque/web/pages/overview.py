"""Overview: what is wrong, six numbers, and what stands behind them."""

from __future__ import annotations

from flask import Response

from gresque.web.pages.show import show
from gresque.web.site import site


def page() -> Response:
    looks = site().looks
    return show("overview", look=looks.last(), number=looks.number, every=1)
