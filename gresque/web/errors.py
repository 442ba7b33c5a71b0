"""Errors as pages, as JSON below /api, and as plain text of /metrics and /stats.txt: a sentence and
what to do, never a traceback."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import redis
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from gresque.connection.errors import explain, is_reply
from gresque.errors import GresqueError, NoScheduleEntry, RedisUnavailable
from gresque.logs import fields
from gresque.web import signing_in
from gresque.web.api.endpoint import encode, is_of_api
from gresque.web.api.openapi import PROBLEM, Problem
from gresque.web.pages.show import html
from gresque.web.site import site
from gresque.web.values import value

log = logging.getLogger("gresque.web")


class Explained(NamedTuple):
    title: str
    text: str


TEXTS = {
    400: Explained("Bad request", "The request cannot be understood."),
    401: Explained(
        "Signed out",
        "Open the link that gresque web has printed. It is good for one browser; each time one is "
        "used, a new one is printed.",
    ),
    403: Explained("Not allowed", "Your role does not allow this."),
    404: Explained("Not here", "There is no such page, or what it showed is gone."),
    405: Explained("Not allowed", "This address does not take that method."),
    409: Explained("Too late", "What this was about has changed meanwhile."),
    413: Explained("Too large", "The request is too large."),
    421: Explained(
        "Unknown host",
        "This dashboard is not known by that name. Add it: --allow-host, or WEB_HOSTS.",
    ),
    422: Explained("Not possible", "The values of the request do not go together."),
    429: Explained("Too many tries", "Wait a minute, then try again."),
    503: Explained("Redis does not answer", "The page shows everything again once it does."),
}
IN_PLAIN_TEXT = frozenset({"metrics", "stats"})
"""Names of the routes whose errors a scraper logs in one line."""
OTHER = Explained("Error", "Something went wrong in the dashboard; its log says what.")


def register_errors(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http)
    for kind in (redis.RedisError, RedisUnavailable):
        app.register_error_handler(kind, _redis)
    app.register_error_handler(GresqueError, _refused)
    app.register_error_handler(NoScheduleEntry, _missing)
    app.register_error_handler(Exception, _unexpected)


def _http(error: HTTPException) -> Any:
    code = error.code or 500
    if code < 400:
        return error  # a redirect of the router
    if code == 401 and (instead := signing_in.refuse_unknown()) is not None:
        return instead
    given = error.description if type(error).description != error.description else None
    response = _answer(code, given)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(error.valid_methods)
    return response


def _redis(error: Exception) -> BaseResponse:
    text = explain(site().store.server.url, error)
    log.warning("redis failed a request: %s", text, extra=fields("web_redis_failed"))
    if is_reply(error):
        return _answer(503, text, "Redis refuses this")
    return _answer(503, text if _is_for_a_program() else f"{text}. {TEXTS[503].text}")


def _refused(error: Exception) -> BaseResponse:
    return _answer(422 if is_of_api() else 400, str(error))


def _missing(error: Exception) -> BaseResponse:
    return _answer(404, str(error))


def _unexpected(error: Exception) -> BaseResponse:
    log.error(
        "cannot answer %s %s", request.method, value(request.path),
        exc_info=error, extra=fields("web_failed", path=request.path),
    )  # fmt: skip
    return _answer(500, None)


def _is_for_a_program() -> bool:
    return is_of_api() or request.endpoint in IN_PLAIN_TEXT


def _answer(code: int, given: str | None, called: str = "") -> BaseResponse:
    title, text = TEXTS.get(code, OTHER)
    title = called or title
    if given:
        text = given[:1].upper() + given[1:]
    if code == 401 and _is_for_a_program():
        title, text = "Not known", "Send a token that is known: Authorization: Bearer …"
    if is_of_api():
        problem = Problem(title, code, value(text, 1_000))
        response = Response(encode(problem), mimetype=PROBLEM)
    elif request.endpoint in IN_PLAIN_TEXT:
        response = Response(f"{title}: {value(text, 1_000)}\n", mimetype="text/plain")
    else:
        response = html("error.html", code=code, title=title, text=text)
    response.status_code = code
    if code == 401 and _is_for_a_program():
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
