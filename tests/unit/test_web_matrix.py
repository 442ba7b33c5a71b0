"""Who may do what: every route of the table for every kind of user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from gresque.web.route import Route
from gresque.web.routes import ROUTES
from tests.support.web import SAME_ORIGIN, bearer, come_in, open_app, with_users

ROLES = ("read", "act", "admin")
WHO = ("nobody", "wrong token", *ROLES)
CLOSED = [route for route in ROUTES if route.role is not None]
CHANGING = [route for route in ROUTES if route.method == "POST"]

each_closed = pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.name)


@pytest.fixture(scope="module")
def apps(server: Any) -> Iterator[dict[str, Flask]]:
    url = f"unix://{server.unix_socket_path}"
    with (
        open_app(url, **with_users()) as usual,
        open_app(url, **with_users(), read_only=True) as read_only,
    ):
        yield {"usual": usual, "read only": read_only}


@pytest.fixture(scope="module")
def signed_in(server: Any) -> Iterator[FlaskClient]:
    """A browser whose cookie allows everything."""
    with open_app(f"unix://{server.unix_socket_path}") as local:
        yield come_in(local)


def path_of(route: Route) -> str:
    """With some name in place of what the path leaves open."""
    parts = [
        "missing" if part.startswith("<") and part.endswith(">") else part
        for part in route.path.split("/")
    ]
    return "/".join(parts)


def ask(app: Flask, route: Route, headers: dict[str, str]) -> Any:
    body = {"json": {}} if route.path.startswith("/api") and route.method == "POST" else {}
    return app.test_client().open(path_of(route), method=route.method, headers=headers, **body)


def headers_of(who: str) -> dict[str, str]:
    if who == "nobody":
        return SAME_ORIGIN
    return {"Authorization": "Bearer wrong"} if who == "wrong token" else bearer(who)


@pytest.mark.parametrize("who", WHO)
@each_closed
def test_a_route_asks_for_its_role(apps: dict[str, Flask], route: Route, who: str) -> None:
    answer = ask(apps["usual"], route, headers_of(who))
    if who not in ROLES:
        refused = answer.status_code in (401, 302, 303)
        assert refused, answer.status_code
        if answer.status_code != 401:
            assert answer.location.startswith("/login")
    elif ROLES.index(who) < ROLES.index(route.role or "read"):
        assert answer.status_code == 403
    else:
        assert answer.status_code < 500, answer.text
        assert answer.status_code not in (401, 403)


@each_closed
def test_read_only_refuses_whoever_asks(apps: dict[str, Flask], route: Route) -> None:
    answer = ask(apps["read only"], route, bearer("admin"))
    assert (answer.status_code == 403) == (route.role != "read")


@pytest.mark.parametrize("route", CHANGING, ids=lambda route: route.name)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_another_site_changes_nothing(
    signed_in: FlaskClient, route: Route, headers: dict[str, str]
) -> None:
    assert signed_in.post(path_of(route), headers=headers).status_code == 403


@each_closed
def test_an_unknown_host_is_refused(apps: dict[str, Flask], route: Route) -> None:
    headers = {**bearer("admin"), "Host": "evil.example"}
    assert ask(apps["usual"], route, headers).status_code == 421


def test_what_changes_something_is_a_post_that_asks_for_more_than_read() -> None:
    for route in CHANGING:
        assert route.role in ("act", "admin") or route.name in ("sign_in_post", "sign_out")


def test_names_and_addresses_are_those_of_one_route() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
