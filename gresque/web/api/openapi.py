"""The description of the API, OpenAPI 3.1, made from the table of routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from gresque.version import __version__
from gresque.web.api.endpoint import JSON, Shape

PROBLEM = "application/problem+json"
_REF = "#/components/schemas/{name}"


class Problem(msgspec.Struct):
    """Why a request failed (RFC 9457)."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


class Described(NamedTuple):
    """A route as the description needs it."""

    method: str
    path: str
    name: str
    role: str
    shape: Shape


_PROBLEMS = {
    400: "The request cannot be understood; the detail says which part.",
    401: "No token, or one that is not known.",
    403: "The role of the token does not allow this.",
    404: "What the request names is not there.",
    409: "What the request is about has changed meanwhile.",
    413: "The request is too large.",
    415: "The body is not JSON.",
    422: "The values are of the right types, but cannot be used; the detail says why.",
    421: "The dashboard is not known by that host name.",
    503: "Redis does not answer.",
}
_OF_A_BODY = {409, 413, 415}


def document(routes: Iterable[Described], prefix: str = "") -> dict[str, Any]:
    """The description, as JSON wants it. `prefix` is the path below which a proxy serves it."""
    described = list(routes)
    types = [Problem, *_types(described)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gresque",
            "version": __version__,
            "description": "Queues, jobs and workers: to be looked at and acted upon.",
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(routes: Sequence[Described]) -> Iterator[Any]:
    seen = set()
    for route in routes:
        for kind in (route.shape.query, route.shape.body, route.shape.returns):
            if kind is not None and _key(kind) not in seen:
                seen.add(_key(kind))
                yield kind


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(route: Described, known: dict[str, Any]) -> dict[str, Any]:
    shape = route.shape
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": shape.summary,
        "responses": {
            "200": {
                "description": "Done.",
                "content": {JSON: {"schema": known[_key(shape.returns)]}},
            },
            **_problems(route, known),
        },
    }
    if shape.description:
        found["description"] = f"{shape.description} Needs the role `{route.role}`."
    else:
        found["description"] = f"Needs the role `{route.role}`."
    if shape.query is not None:
        found["parameters"] = list(_parameters(shape.query))
    if shape.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": known[_key(shape.body)]}},
        }
    return found


def _problems(route: Described, known: dict[str, Any]) -> dict[str, Any]:
    content = {PROBLEM: {"schema": known[_key(Problem)]}}
    return {
        str(status): {"description": text, "content": content}
        for status, text in _PROBLEMS.items()
        if route.shape.body is not None or status not in _OF_A_BODY
    }


def _parameters(query: Any) -> Iterator[dict[str, Any]]:
    (schema,), _ = msgspec.json.schema_components([query], ref_template=_REF)
    name = schema["$ref"].rpartition("/")[2]
    _, components = msgspec.json.schema_components([query], ref_template=_REF)
    properties = components[name]["properties"]
    required = components[name].get("required", ())
    for field, its_schema in properties.items():
        parameter = {"name": field, "in": "query", "required": field in required}
        text = its_schema.pop("description", "")
        if text:
            parameter["description"] = text
        yield {**parameter, "schema": its_schema}
