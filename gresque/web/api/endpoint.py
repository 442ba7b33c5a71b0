"""A route of the API: a function whose annotations are what it takes and returns.

    def queue(query: NamedQueue) -> QueueDetails:
        '''One queue.'''

    endpoint("GET", "/api/queue", "api_queue", queue, "read")

`query` is made of the query string, `body` of the JSON of a request, by their types. The
description of the API is made of the same annotations and of the docstring.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, get_type_hints

import msgspec
from flask import Response, abort, request

JSON = "application/json"
BEGINNING = "/api/"


def is_of_api() -> bool:
    """Whether the request came by an address of the API: from a program, not from a page."""
    return request.path.startswith(BEGINNING)


class Shape(NamedTuple):
    """The types of an endpoint; None where it takes no such thing."""

    query: Any
    body: Any
    returns: Any
    summary: str
    description: str


def shape_of(function: Callable[..., Any]) -> Shape:
    hints = get_type_hints(function, include_extras=True)
    text = inspect.getdoc(function) or ""
    summary, _, description = text.partition("\n\n")
    return Shape(
        hints.get("query"),
        hints.get("body"),
        hints["return"],
        " ".join(summary.split()),
        " ".join(description.split()),
    )


def answering(function: Callable[..., Any]) -> Callable[..., Response]:
    """The view of such a function."""
    shape = shape_of(function)

    @wraps(function)
    def view() -> Response:
        given: dict[str, Any] = {}
        if shape.query is not None:
            given["query"] = _query(shape.query)
        if shape.body is not None:
            given["body"] = _body(shape.body)
        return json_response(function(**given))

    view.shape = shape  # type: ignore[attr-defined]
    return view


def json_response(found: Any) -> Response:
    return Response(encode(found), mimetype=JSON)


def encode(found: Any) -> bytes:
    """As JSON. A stray byte in a name of another program, which UTF-8 cannot carry, becomes an
    escape."""
    try:
        return msgspec.json.encode(found)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(found, str_keys=True)).encode()


def _query(kind: Any) -> Any:
    try:
        return msgspec.convert(request.args.to_dict(), kind, strict=False)
    except msgspec.ValidationError as error:
        abort(400, f"the query string: {error}")


def _body(kind: Any) -> Any:
    if request.mimetype != JSON:
        abort(415, f"send the body as {JSON}")
    try:
        given = msgspec.json.decode(request.get_data())
        if isinstance(given, dict):
            given = {name: _whole(each) for name, each in given.items()}
        return msgspec.convert(given, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        abort(400, f"the body: {error}")


def _whole(given: Any) -> Any:
    """To JSON Schema 5.0 is an integer, to msgspec it is none."""
    return int(given) if isinstance(given, float) and given.is_integer() else given
