"""The dashboard within a Django and a Flask program, below a prefix, called by WSGI."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
import redis
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from gresque.web.accounts import hash_password
from tests.support.web import SAME_ORIGIN, open_app

PASSWORD = "correct horse"
ADDRESSES = re.compile(r'(?:href|src|action|formaction|value|data-base)="(/[^"]*)"')
PAUSE = re.compile(r'action="([^"]*/queues/mail/pause)"[^\0]*?name="back"[^>]* value="([^"]*)"')


def flask_program() -> Any:
    program = Flask("shop")
    program.add_url_rule("/", view_func=lambda: "the shop")
    return program.wsgi_app


def django_program() -> Any:
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    def shop(request: Any) -> HttpResponse:
        return HttpResponse("the shop")

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(path("", shop),), SECRET_KEY="s")
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


@pytest.fixture(params=[flask_program, django_program], ids=["flask", "django"])
def client(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Client]:
    users = f"ana:{hash_password(PASSWORD)}:admin"
    with open_app(redis_url, users=users) as dashboard:
        yield Client(DispatcherMiddleware(request.param(), {"/ops/jobs": dashboard}))


def test_it_lives_below_its_prefix(client: Client, redis_client: redis.Redis) -> None:
    redis_client.sadd("resque:queues", "mail")
    redis_client.rpush("resque:queue:mail", json.dumps({"class": "A", "args": []}))
    assert client.get("/").text == "the shop"
    asked = client.get("/ops/jobs/queues?sort=age")
    assert asked.location == "/ops/jobs/login?next=/ops/jobs/queues?sort%3Dage"
    assert 'action="/ops/jobs/login"' in client.get(asked.location).text
    given = {"name": "ana", "password": PASSWORD, "next": "/ops/jobs/queues?sort=age"}
    answer = client.post("/ops/jobs/login", data=given, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.location) == (303, given["next"])
    assert answer.headers["Set-Cookie"].endswith("Path=/ops/jobs/; SameSite=Lax")
    for path in ("/", "/running", "/queues/mail", "/failed", "/limits", "/keys", "/queues"):
        page = client.get(f"/ops/jobs{path}")
        assert page.status_code == 200
        addresses = ADDRESSES.findall(page.text)
        assert len(addresses) > 10
        assert [each for each in addresses if not each.startswith("/ops/jobs/")] == []
    files = {each for each in addresses if "/static/" in each}
    assert {client.get(unescape(each)).status_code for each in files} == {200}
    found = PAUSE.search(page.text)
    assert found
    acted = client.post(found[1], data={"back": unescape(found[2])}, headers=SAME_ORIGIN)
    assert (acted.status_code, acted.location) == (303, "/ops/jobs/queues")
    assert "Queue mail is paused" in client.get(acted.location).text
    assert redis_client.hget("resque:policies", "mail") == b"p"
