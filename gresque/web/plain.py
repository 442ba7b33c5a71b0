"""What other programs ask for: whether the dashboard works, and its numbers as text."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

import redis
from flask import Response

from gresque.connection.opening import Opener
from gresque.errors import RedisUnavailable
from gresque.inspector.exported import Exported
from gresque.inspector.stats import merge_summaries, read_summary_and_queues
from gresque.store.stats import Summary
from gresque.web import prometheus, resque_stats
from gresque.web.api.endpoint import JSON
from gresque.web.parts import ask_parts
from gresque.web.site import Site, site

EVERY_SECONDS = 5.0
"""Several programs that ask for the same cost as one does."""
HEALTH_SECONDS = 2.0
"""Programs that ask whether it works give up soon."""


def health() -> Response:
    """200 while Redis answers, of several shards one of them; else 503. Open to all, so it says
    nothing more."""
    if any(ask_parts(_answers, HEALTH_SECONDS + 0.5).values):
        return Response('{"status":"ok"}', mimetype=JSON)
    return Response('{"status":"redis does not answer"}', 503, mimetype=JSON)


def _answers(part: Site) -> bool:
    server = part.store.server
    try:
        # Of its own, as replies of pooled connections may take longer.
        opener = Opener(server.url, server.keys.namespace)
        with closing(opener.open(HEALTH_SECONDS)) as connection:
            connection.ping()
    except (redis.RedisError, RedisUnavailable, OSError):
        return False
    return True


def metrics() -> Response:
    """In the text format of Prometheus."""
    here = site()

    def ask(part: Site) -> list[Any]:
        found = Exported.read(part.store, here.settings.failure_backend)
        return prometheus.families(found, part.totals)

    def read() -> bytes:
        found = ask_parts(ask)
        return prometheus.render(found.by_shard, [*found.missing])

    text = here.cached.get("metrics", EVERY_SECONDS, read)
    return Response(text, content_type=prometheus.CONTENT_TYPE)


def stats() -> Response:
    """As Resque's page of this name."""
    here = site()

    def ask(part: Site) -> tuple[tuple[Summary, list[str]], dict[str, int]]:
        summary = read_summary_and_queues(part.store, here.settings.failure_backend)
        return summary, part.store.queues.sizes()

    def read() -> str:
        found = ask_parts(ask)
        if not found.by_shard:
            raise RedisUnavailable("; ".join(found.missing.values()))
        sizes = Counter[str]()
        for _, each in found.values:
            sizes.update(each)
        summaries = {name: each for name, (each, _) in found.by_shard.items()}
        summary, names = merge_summaries(summaries)
        return resque_stats.render(summary, {name: sizes[name] for name in names})

    text = here.cached.get("stats", EVERY_SECONDS, read)
    return Response(text, content_type=resque_stats.CONTENT_TYPE)
