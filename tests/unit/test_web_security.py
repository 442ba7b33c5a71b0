"""What every request must pass, and what every answer carries."""

from __future__ import annotations

import socket

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from gresque.web.accounts import hash_password
from gresque.web.security import HEADERS
from tests.support.web import SAME_ORIGIN, TOKENS, bearer, come_in, open_app, with_users

PASSWORD = "correct horse"


@pytest.mark.parametrize("path", ["/", "/nope", "/login", "/static/gresque.js", "/in?token=x"])
def test_every_answer_has_the_headers(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    kept = answer.headers["Cache-Control"]
    assert kept.startswith("public") if "static" in path else kept == "no-store"


class TestHosts:
    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:80", "127.0.0.1:5678", "10.0.0.9", "[::1]:5678",
                 socket.gethostname(), "jobs.example.org:8000"],
    )  # fmt: skip
    def test_known(self, redis_url: str, host: str) -> None:
        with open_app(redis_url, hosts=("jobs.example.org",)) as app:
            assert app.test_client().get("/", headers={"Host": host}).status_code == 401

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "a b"]
    )
    def test_unknown(self, app: Flask, host: str) -> None:
        answer = app.test_client().get("/login", headers={"Host": host})
        assert answer.status_code in (400, 421)
        if answer.status_code == 421:
            assert "--allow-host" in answer.text


class TestOrigins:
    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({"Sec-Fetch-Site": "same-origin"}, 303),
            ({"Origin": "http://localhost"}, 303),
            ({}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "http://localhost:81"}, 403),
            ({"Origin": "null"}, 403),
            ({"Referer": "http://localhost/"}, 403),
        ],
    )
    def test_posts(self, browser: FlaskClient, headers: dict[str, str], code: int) -> None:
        assert browser.post("/logout", headers=headers).status_code == code

    def test_a_program_with_a_token_has_none(self, redis_url: str) -> None:
        with open_app(redis_url, **with_users()) as app:
            client = app.test_client()
            assert client.post("/logout", headers=bearer("read")).status_code == 303
            wrong = {"Authorization": "Bearer wrong"}
            assert client.get("/", headers=wrong).status_code == 401
            basic = {"Authorization": f"Basic {TOKENS['admin']}"}
            assert client.get("/", headers=basic).status_code == 401


class TestLink:
    def test_it_lets_one_browser_in(self, app: Flask) -> None:
        link, used = app.extensions["gresque"].link, []
        link.on_use = lambda: used.append(link.token)
        token = link.new()
        first, second = app.test_client(), app.test_client()
        assert first.get("/").status_code == 401
        answer = first.get("/in", query_string={"token": token})
        assert (answer.status_code, answer.location) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
        assert first.get("/").status_code == 200
        assert second.get("/in", query_string={"token": token}).status_code == 401
        assert second.get("/").status_code == 401
        assert used == [link.token] != [token]

    def test_there_is_none_before_it_is_made(self, app: Flask) -> None:
        assert app.test_client().get("/in?token=").status_code == 401

    def test_signing_out(self, browser: FlaskClient) -> None:
        assert browser.post("/logout", headers=SAME_ORIGIN).status_code == 303
        assert browser.get("/").status_code == 401

    def test_a_forged_cookie(self, app: Flask, redis_url: str) -> None:
        with open_app(redis_url) as other:
            theirs = come_in(other).get_cookie("gresque-5678")
        browser = app.test_client()
        assert theirs is not None
        browser.set_cookie("gresque-5678", theirs.value)
        assert browser.get("/").status_code == 401


class TestUsers:
    def test_signing_in(self, redis_url: str) -> None:
        with open_app(redis_url, users=f"ana:{hash_password(PASSWORD)}:read") as app:
            browser = app.test_client()
            asked = browser.get("/queues?live=", query_string=None)
            assert asked.status_code == 401, "a script gets no form"
            asked = browser.get("/queues?sort=age")
            assert asked.location == "/login?next=/queues?sort%3Dage"
            form = browser.get(asked.location)
            assert 'value="/queues?sort=age"' in form.text
            given = {"name": "ana", "password": "wrong", "next": "/queues"}
            answer = browser.post("/login", data=given, headers=SAME_ORIGIN)
            assert answer.status_code == 401
            assert "password is wrong" in answer.text
            given["password"] = PASSWORD
            answer = browser.post("/login", data=given, headers=SAME_ORIGIN)
            assert (answer.status_code, answer.location) == (303, "/queues")
            assert browser.get("/queues").status_code == 200

    def test_a_new_password_ends_the_session(self, redis_url: str) -> None:
        given = {"name": "ana", "password": PASSWORD}
        users = [f"ana:{hash_password(PASSWORD)}:read" for _ in range(2)]
        with open_app(redis_url, users=users[0], secret="s") as app:
            browser = app.test_client()
            browser.post("/login", data=given, headers=SAME_ORIGIN)
            assert browser.get("/").status_code == 200
            cookie = browser.get_cookie("gresque-5678")
        assert cookie is not None
        for user, code in ((users[0], 200), (users[1], 302)):
            with open_app(redis_url, users=user, secret="s") as app:
                browser = app.test_client()
                browser.set_cookie("gresque-5678", cookie.value)
                assert browser.get("/").status_code in (code, code + 1)

    @pytest.mark.parametrize(
        "place", ["//evil.example/", "https://evil.example/", "/\\evil.example", "evil", "/\n/x"]
    )
    def test_no_way_out(self, redis_url: str, place: str) -> None:
        with open_app(redis_url, users=f"ana:{hash_password(PASSWORD)}:read") as app:
            given = {"name": "ana", "password": PASSWORD, "next": place}
            answer = app.test_client().post("/login", data=given, headers=SAME_ORIGIN)
            assert answer.location == "/"

    def test_five_tries_a_minute(self, redis_url: str) -> None:
        with open_app(redis_url, users=f"ana:{hash_password(PASSWORD)}:read") as app:
            browser = app.test_client()
            codes = [
                browser.post("/login", data={"name": "x"}, headers=SAME_ORIGIN).status_code
                for _ in range(6)
            ]
            assert codes == [401] * 5 + [429]
            other = {"REMOTE_ADDR": "10.0.0.9"}
            answer = browser.post("/login", headers=SAME_ORIGIN, environ_base=other)
            assert answer.status_code == 401

    def test_roles_and_read_only(self, redis_url: str) -> None:
        from gresque.web.security import check_request

        for read_only in (False, True):
            with open_app(redis_url, **with_users(), read_only=read_only) as app:
                allowed = {}
                for role in TOKENS:
                    for needed in ("read", "act", "admin"):
                        with app.test_request_context(headers=bearer(role)):
                            try:
                                check_request(needed)
                                allowed[role, needed] = True
                            except Exception as error:
                                assert getattr(error, "code", None) == 403
                yes = {("read", "read"), ("act", "read"), ("admin", "read")}
                if not read_only:
                    yes |= {("act", "act"), ("admin", "act"), ("admin", "admin")}
                assert set(allowed) == yes


def test_a_mounted_dashboard_keeps_to_its_prefix(app: Flask) -> None:
    browser = app.test_client()
    link = app.extensions["gresque"].link
    mounted = {"SCRIPT_NAME": "/admin/jobs"}
    answer = browser.get("/in", query_string={"token": link.new()}, environ_overrides=mounted)
    assert answer.location == "/admin/jobs/"
    assert "Path=/admin/jobs/" in answer.headers["Set-Cookie"]
    browser = come_in(app)
    page = browser.get("/queues", environ_overrides=mounted).text
    links = [part.split('"')[0] for part in page.split('href="')[1:] + page.split('src="')[1:]]
    inner = [link for link in links if not link.startswith(("data:", "#"))]
    assert len(inner) > 4
    assert all(link.startswith("/admin/jobs/") for link in inner), inner


def test_a_proxy_is_believed_only_where_asked(redis_url: str) -> None:
    forwarded = {"X-Forwarded-Host": "jobs.example.org", "X-Forwarded-Prefix": "/q"}
    for trust_proxy, code in ((False, 401), (True, 421)):
        with open_app(redis_url, trust_proxy=trust_proxy) as app:
            assert app.test_client().get("/", headers=forwarded).status_code == code


def test_an_error_is_a_page_without_a_traceback(
    browser: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ValueError("secret <b>")

    monkeypatch.setitem(app.view_functions, "queues", fail)
    answer = browser.get("/queues")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_without_redis() -> None:
    with open_app("redis://127.0.0.1:1") as app:
        answer = come_in(app).get("/queues")
        assert answer.status_code == 503
        assert "Redis does not answer" in answer.text
        assert "127.0.0.1:1" in answer.text


def test_what_redis_refuses_is_named(
    browser: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(queue: str) -> None:
        raise redis.ReadOnlyError("You can't write against a read only replica.")

    monkeypatch.setitem(app.view_functions, "queue_pause", fail)
    answer = browser.post("/queues/mail/pause", headers=SAME_ORIGIN)
    assert answer.status_code == 503
    assert "Redis refuses this" in answer.text
    assert "give the URL of the primary" in answer.text
    assert "does not answer" not in answer.text
