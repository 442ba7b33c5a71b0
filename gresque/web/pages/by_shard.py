"""What has no page of all shards together: a table of them, with links to the page of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple

import msgspec
from flask import Flask, Response, abort, current_app, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from gresque.connection.urls import endpoint
from gresque.errors import RedisUnavailable
from gresque.inspector.one_job import find_job
from gresque.web.api.endpoint import Shape, json_response
from gresque.web.pages.show import show
from gresque.web.parts import ask_parts
from gresque.web.site import Site, site

PARTS = "gresque.parts"
"""In the extensions of the app of the front: the apps of the shards, by their names."""

JOB_SECONDS = 10.0
"""A shard may have to look through a million failed jobs."""


class ByShard(msgspec.Struct):
    """The answer of each shard, as its own API gives it, and why others gave none."""

    shards: dict[str, Any]
    missing: dict[str, str]


class Row(NamedTuple):
    """A shard. Its numbers are None where it does not answer; `problem` says why. `waiting` are
    the jobs in its queues, or in the one that the page is about."""

    name: str
    place: str
    href: str
    waiting: int | None = None
    running: int | None = None
    failed: int | None = None
    delayed: int | None = None
    processes: int | None = None
    problem: str = ""


def page(**_: Any) -> Response:
    here = site()
    queue = (request.view_args or {}).get("queue")
    rows = [_row(part, address_in(part), queue) for part in here.parts.values()]
    known = [row for row in rows if row.waiting is not None]
    total = {
        name: sum(getattr(row, name) for row in known)
        for name in ("waiting", "running", "failed", "delayed", "processes")
    }
    seen = here.collector.seen
    return show(
        "by_shard",
        number=seen.number if seen is not None else 0,
        rows_=rows,
        total=total,
        queue=queue,
        title=request.path.strip("/").partition("/")[0].capitalize(),
    )


def _row(part: Site, href: str, queue: str | None) -> Row:
    try:
        snapshot = part.collector.last()
    except RedisUnavailable as error:
        return Row(part.shard, _place(part), href, problem=str(error))
    if part.collector.trouble is not None:
        return Row(part.shard, _place(part), href, problem=part.collector.trouble.reason)
    running = snapshot.held
    waiting = snapshot.waiting
    if queue is not None:
        row = snapshot.queue(queue)
        waiting, running = (row.waiting, row.running or 0) if row is not None else (0, 0)
    look = snapshot.look
    return Row(
        part.shard, _place(part), href, waiting, running, look.kept_failed, look.later,
        len(snapshot.processes),
    )  # fmt: skip


def _place(part: Site) -> str:
    return endpoint(part.store.server.url).place


def address_in(part: Site) -> str:
    """The address of the page of this request in the dashboard of one shard."""
    number = [*site().parts].index(part.shard)
    query = request.query_string.decode("latin-1")
    return f"{request.script_root}/shard/{number}{request.path}{'?' if query else ''}{query}"


def job(job_id: str) -> BaseResponse:
    """The page of a job, on the shard that knows it."""
    found = ask_parts(lambda part: find_job(part.store, job_id).is_known, JOB_SECONDS)
    knows = [name for name, is_known in found.by_shard.items() if is_known]
    if not knows and found.missing:
        abort(503, f"no shard that answers knows this job; {', '.join(found.missing)} is away")
    part = site().parts[knows[0] if knows else next(iter(found.by_shard))]
    return redirect(address_in(part), 303)


def refuse(**_: Any) -> Response:
    """An action that is one shard's."""
    abort(409, f"this is done on one shard, below {request.script_root}/shard/<number>")


def answers_of(view: Callable[..., Any]) -> Callable[..., Response]:
    """A view of the API whose answer is that of each shard."""

    @wraps(view)
    def ask() -> Response:
        environ = dict(request.environ)
        apps: Mapping[str, Flask] = current_app.extensions[PARTS]

        def answer(part: Site) -> msgspec.Raw:
            with apps[part.shard].request_context(environ):
                return msgspec.Raw(view().get_data())

        found = ask_parts(answer)
        return json_response(ByShard(found.by_shard, found.missing))

    shape: Shape = view.shape  # type: ignore[attr-defined]
    ask.shape = shape._replace(returns=ByShard)  # type: ignore[attr-defined]
    return ask
