"""The routes of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, current_app, request

from gresque.web.api import acts, failed, job, reads
from gresque.web.api.endpoint import BEGINNING, answering, json_response
from gresque.web.api.openapi import Described, document
from gresque.web.route import Route


def _get(name: str, function: Callable[..., Any]) -> Route:
    return Route("GET", BEGINNING + name, _named(name), answering(function), "read")


def _post(name: str, function: Callable[..., Any], role: str = "act") -> Route:
    return Route("POST", BEGINNING + name, _named(name), answering(function), role)


def _named(name: str) -> str:
    return "api_" + name.replace("/", "_").replace("-", "_").replace(".", "_")


def description() -> Response:
    """The description of the API, OpenAPI 3.1."""
    return json_response(document(_described(), request.script_root))


def _described() -> Iterator[Described]:
    """What this app registered: those of all shards answer in another shape, or not at all."""
    for route in ENDPOINTS:
        shape = getattr(current_app.view_functions[route.name], "shape", None)
        if shape is not None:
            yield Described(route.method, route.path, route.name, route.role or "", shape)


ENDPOINTS: tuple[Route, ...] = (
    _get("overview", reads.overview),
    _get("verdict", reads.verdict),
    _get("queues", reads.queues),
    _get("queue", reads.queue),
    _get("processes", reads.processes),
    _get("other_workers", reads.other_workers),
    _get("delayed", reads.delayed),
    _get("retries", reads.retries),
    _get("cron", reads.cron),
    _get("limits", reads.limits),
    _get("locks", reads.locks),
    _get("redis", reads.redis_status),
    _get("redis/keys", reads.key_survey),
    _get("running", reads.running),
    _get("job", job.job),
    _get("failed", failed.failed),
    _get("failed/groups", failed.groups),
    _get("audit", reads.audit),
    _post("running/kill", acts.kill_running),
    _post("failed/retry", failed.retry),
    _post("failed/remove", failed.remove),
    _post("queue/pause", acts.pause_queue),
    _post("queue/unpause", acts.unpause_queue),
    _post("queue/limit", acts.limit_queue, "admin"),
    _post("limits/verify", acts.verify_limits),
    _post("delayed/run", acts.run_delayed),
    _post("delayed/cancel", acts.cancel_delayed),
    _post("cron/run", acts.run_entry),
    _post("cron/skip", acts.skip_entry),
    _post("cron/pause", acts.pause_entry),
    _post("cron/resume", acts.resume_entry),
    _post("locks/release", acts.release),
)

API: tuple[Route, ...] = (
    *ENDPOINTS,
    Route("GET", "/api/openapi.json", "api_openapi", description, "read"),
)
