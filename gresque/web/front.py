"""The dashboard of several shards. Each shard has a whole one of its own below `/shard/<number>`;
in front of them stand the pages that add up, and for all else a table of the shards, whose links
lead to the same page of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gresque.web.api.endpoint import BEGINNING
from gresque.web.pages import by_shard
from gresque.web.route import Route
from gresque.web.site import ROOT

_OF_A_SHARD = re.compile(r"/shard/([0-9]{1,4})(?=/|$)")
ADDS_UP = frozenset({
    "come_in", "sign_in", "sign_in_post", "sign_out", "static_file", "keys", "overview", "running",
    "running_kill", "kill_matching", "kill_jobs", "queues", "queue_pause", "queue_unpause",
    "workers", "worker_stacks", "worker_order", "health", "metrics", "stats",
    "api_overview", "api_verdict", "api_queues", "api_queue", "api_processes", "api_running",
    "api_running_kill", "api_queue_pause", "api_queue_unpause", "api_openapi",
})  # fmt: skip
"""The routes whose views know all shards."""


def front_routes(routes: Iterable[Route]) -> list[Route]:
    """The routes of the front."""
    return [each if each.name in ADDS_UP else each._replace(view=_view(each)) for each in routes]


def _view(route: Route) -> Callable[..., Any]:
    if route.name == "job":
        return by_shard.job
    if route.method != "GET":
        return by_shard.refuse
    if route.path.startswith(BEGINNING):
        return by_shard.answers_of(route.view)
    return by_shard.page


class Mounted:
    """The WSGI application of the front, with those of the shards below it."""

    def __init__(self, front: Any, parts: Sequence[Any]) -> None:
        self._front, self._parts = front, parts

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        root = environ[ROOT] = environ.get("SCRIPT_NAME", "")
        path = environ.get("PATH_INFO", "")
        found = _OF_A_SHARD.match(path)
        if found is None or int(found[1]) >= len(self._parts):
            return self._front(environ, start_response)
        environ["SCRIPT_NAME"] = f"{root}{found[0]}"
        environ["PATH_INFO"] = path[found.end() :] or "/"
        return self._parts[int(found[1])](environ, start_response)
