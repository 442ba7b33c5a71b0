"""What other programs ask for: whether the dashboard works, and its numbers as text."""

from __future__ import annotations

from contextlib import closing

import redis
from flask import Response

from gresque.connection.opening import Opener
from gresque.errors import RedisUnavailable
from gresque.inspector.exported import Exported
from gresque.inspector.stats import read_summary
from gresque.web import prometheus, resque_stats
from gresque.web.api.endpoint import JSON
from gresque.web.site import site

EVERY_SECONDS = 5.0
"""Several programs that ask for the same cost as one does."""
HEALTH_SECONDS = 2.0
"""Programs that ask whether it works give up soon."""


def health() -> Response:
    """200 while Redis answers, else 503. Open to all, so it says nothing more."""
    try:
        # Of its own, as replies of pooled connections may take half a minute.
        server = site().store.server
        opener = Opener(server.url, server.keys.namespace)
        with closing(opener.open(HEALTH_SECONDS)) as connection:
            connection.ping()
    except (redis.RedisError, RedisUnavailable, OSError):
        return Response('{"status":"redis does not answer"}', 503, mimetype=JSON)
    return Response('{"status":"ok"}', mimetype=JSON)


def metrics() -> Response:
    """In the text format of Prometheus."""
    here = site()

    def read() -> bytes:
        found = Exported.read(here.store, here.settings.failure_backend)
        return prometheus.render(found, here.totals)

    text = here.cached.get("metrics", EVERY_SECONDS, read)
    return Response(text, content_type=prometheus.CONTENT_TYPE)


def stats() -> Response:
    """As Resque's page of this name."""
    here = site()

    def read() -> str:
        summary = read_summary(here.store, here.settings.failure_backend)
        return resque_stats.render(summary, here.store.queues.sizes())

    text = here.cached.get("stats", EVERY_SECONDS, read)
    return Response(text, content_type=resque_stats.CONTENT_TYPE)
