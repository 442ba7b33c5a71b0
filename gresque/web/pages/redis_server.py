"""Redis: how the server is, and what fills it."""

from __future__ import annotations

import time

from flask import Response

from gresque.web.api.reads import key_survey, redis_status
from gresque.web.pages.show import show


def page() -> Response:
    status, survey = redis_status(), key_survey()
    number = f"{time.time():.0f}"
    return show("redis", number=number, status=status, survey=survey, now=time.time())
