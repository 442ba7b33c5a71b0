"""The page of failed jobs: what it shows, and what it does to them."""

from __future__ import annotations

import html
import json
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from gresque.web.failures import Failures
from gresque.web.frames import Fold, Frame, own_first, short_place
from tests.process.support import wait_for
from tests.support.failed_jobs import FAILED, Redis, entry, numbers
from tests.support.web import SAME_ORIGIN, bearer, come_in, open_app, with_users

FRAMES = [
    "/venv/lib/python3.13/site-packages/requests/api.py:3:in `get'",
    f"{__file__}:1:in `pull'",
    "caused by OSError: <b>",
]


def fail(client: Redis, count: int = 6) -> None:
    for number in range(count):
        found = json.loads(entry(number, queue="ab"[number % 2], error=f"<i>e{number}</i>"))
        client.rpush(FAILED, json.dumps(found | {"backtrace": FRAMES}))


def failures(app: Flask) -> Failures:
    found: Failures = app.extensions["gresque"].failures
    return found


@pytest.fixture
def browser(app: Flask, redis_client: Redis) -> FlaskClient:
    fail(redis_client)
    failures(app).index.wait(60)
    return come_in(app)


def references(page: str) -> list[str]:
    return re.findall(r'name="at" value="([^"]+)"', page)


def test_groups_left_and_entries_right(browser: FlaskClient) -> None:
    page = browser.get("/failed").text
    assert "2 groups" in page
    assert "6 failed jobs" in page
    assert "&lt;i&gt;e5&lt;/i&gt;" in page
    assert "<i>e5" not in page
    assert short_place(FRAMES[1]) in page
    assert len(references(page)) == 6
    group = re.search(r'href="(/failed\?class=[^"]+queue=b[^"]*)"', page)
    assert group is not None
    shown = browser.get(html.unescape(group[1])).text
    assert "3 failed jobs" in shown
    assert "Retry 3…" in shown
    assert [each.partition("-")[0] for each in references(shown)] == ["5", "3", "1"]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("e4", ["4"]),
        ("queue:a", ["4", "2", "0"]),
        ("queue:a e2 ", ["2"]),
        ("id:id3", ["3"]),
        ("queue:nowhere", []),
    ],
)
def test_filters(browser: FlaskClient, query: str, shown: list[str]) -> None:
    page = browser.get("/failed", query_string={"q": query}).text
    assert [each.partition("-")[0] for each in references(page)] == shown


def test_a_filter_that_cannot_be_read(browser: FlaskClient) -> None:
    page = browser.get("/failed", query_string={"q": 'host:"'}).text
    assert "quotation mark" in page
    assert references(page) == []


def test_nothing_new_is_not_sent(browser: FlaskClient, redis_client: Redis, app: Flask) -> None:
    number = re.search(r'data-number="([^"]+)"', browser.get("/failed").text)
    assert number is not None
    assert browser.get(f"/failed?live={number[1]}").status_code == 204
    fail(redis_client, 1)
    failures(app).index.follow()
    assert browser.get(f"/failed?live={number[1]}").status_code == 200


def test_one_failed_job(browser: FlaskClient) -> None:
    at = references(browser.get("/failed").text)[0]
    page = browser.get("/failed/entry", query_string={"at": at}).text
    assert "&lt;i&gt;e5&lt;/i&gt;" in page
    assert short_place(FRAMES[1]) in page
    assert "The page of failed jobs: what it shows" in page  # the line of the source
    assert "1 frame of requests" in page
    assert "caused by OSError: &lt;b&gt;" in page
    assert page.count('<li><a href="/failed/entry?at=') == 4


def test_an_entry_is_found_where_it_has_moved_to(browser: FlaskClient, redis_client: Redis) -> None:
    first, second, *_ = references(browser.get("/failed").text)
    redis_client.lpop(FAILED)
    assert "e5" in browser.get("/failed/entry", query_string={"at": first}).text
    redis_client.rpop(FAILED)
    assert browser.get("/failed/entry", query_string={"at": first}).status_code == 404
    assert browser.get("/failed/entry", query_string={"at": "x"}).status_code == 404
    answer = browser.post(
        "/failed/selected", data={"do": "retry", "at": [first, second]}, headers=SAME_ORIGIN
    )
    assert answer.status_code == 303
    assert "1 failed job retried; 1 not in its place" in browser.get("/failed").text
    assert numbers(redis_client.lrange("resque:queue:a", 0, -1)) == [4]
    again = browser.post(
        "/failed/selected", data={"do": "remove", "at": first}, headers=SAME_ORIGIN
    )
    assert again.status_code == 409


def test_retry_and_remove_what_is_selected(browser: FlaskClient, redis_client: Redis) -> None:
    at = references(browser.get("/failed").text)
    browser.post("/failed/selected", data={"retry": at[1]}, headers=SAME_ORIGIN)
    assert numbers(redis_client.lrange("resque:queue:a", 0, -1)) == [4]
    # Its bytes are others now, and it still is the same failed job.
    browser.post("/failed/selected", data={"do": "remove", "at": at[:2]}, headers=SAME_ORIGIN)
    assert numbers(redis_client.lrange(FAILED, 0, -1)) == [0, 1, 2, 3]


def test_edit_and_retry(browser: FlaskClient, redis_client: Redis) -> None:
    at = references(browser.get("/failed").text)[0]
    form = browser.get("/failed/edit", query_string={"at": at}).text
    assert "[\n  5\n]" in form
    given = {"at": at, "queue": "c", "class": "Other", "args": "[7, 8]", "kwargs": '{"x": 1}'}
    for name, wrong in (("args", "[7"), ("args", "{}"), ("kwargs", "[]"), ("queue", "")):
        answer = browser.post("/failed/edit", data=given | {name: wrong}, headers=SAME_ORIGIN)
        assert answer.status_code == 400
    assert browser.post("/failed/edit", data=given, headers=SAME_ORIGIN).status_code == 303
    item = json.loads(redis_client.lindex("resque:queue:c", 0))
    assert (item["class"], item["args"]) == ("Other", [7, 8, {"x": 1, "_kwargs": True}])
    assert item["id"] != "id5"
    assert "retried_at" in json.loads(redis_client.lindex(FAILED, 5))
    gone = browser.post("/failed/edit", data=given | {"at": "1-x"}, headers=SAME_ORIGIN)
    assert gone.status_code == 409


def test_retry_all_that_match(browser: FlaskClient, redis_client: Redis, app: Flask) -> None:
    asked = browser.get("/failed/retry", query_string={"q": "queue:b", "class": "Noop"}).text
    assert "Retry 3 failed jobs?" in asked
    given = dict(re.findall(r'name="(\w+)" value="([^"]*)"', asked))
    assert given["q"] == "queue:b"
    assert given["class"] == "Noop"
    answer = browser.post("/failed/retry", data=given, headers=SAME_ORIGIN)
    assert answer.status_code == 303
    bulks = app.extensions["gresque"].bulks
    wait_for(lambda: all(bulk.is_over for bulk in bulks.shown()))
    page = browser.get("/failed").text
    assert "3 failed jobs retried" in page
    assert numbers(redis_client.lrange("resque:queue:b", 0, -1)) == [1, 3, 5]
    token = bulks.shown()[0].token
    assert browser.post(f"/failed/bulk/{token}/cancel", headers=SAME_ORIGIN).status_code == 409


def test_many_are_confirmed_by_their_number(
    browser: FlaskClient, redis_client: Redis, app: Flask
) -> None:
    fail(redis_client, 60)
    failures(app).index.follow()
    asked = browser.get("/failed/remove").text
    assert "Type 66 to confirm" in asked
    for typed in ("", "6", "67"):
        answer = browser.post(
            "/failed/remove", data={"count": "66", "typed": typed}, headers=SAME_ORIGIN
        )
        assert answer.status_code == 400
    browser.post("/failed/remove", data={"count": "66", "typed": "66"}, headers=SAME_ORIGIN)
    wait_for(lambda: redis_client.llen(FAILED) == 0)


def test_a_long_action_is_cancelled_while_another_holds_the_lock(
    browser: FlaskClient, redis_client: Redis, app: Flask
) -> None:
    redis_client.set("resque:failed_sweep", "another", px=60_000)
    browser.post("/failed/retry", data={"q": "queue:a"}, headers=SAME_ORIGIN)
    bulks = app.extensions["gresque"].bulks
    (bulk,) = bulks.shown()
    wait_for(lambda: bulk.is_waiting)
    assert "waits for another command" in browser.get("/failed").text
    browser.post(f"/failed/bulk/{bulk.token}/cancel", headers=SAME_ORIGIN)
    wait_for(lambda: bulk.is_over)
    assert "cancelled: 0 failed jobs retried" in browser.get("/failed").text
    assert redis_client.llen("resque:queue:a") == 0


def test_download(browser: FlaskClient) -> None:
    answer = browser.get("/failed/download", query_string={"queue": "a"})
    assert answer.mimetype == "application/x-ndjson"
    assert [json.loads(line)["error"] for line in answer.text.splitlines()] == [
        "<i>e4</i>", "<i>e2</i>", "<i>e0</i>",
    ]  # fmt: skip


def test_who_may_only_read_sees_no_buttons(redis_url: str, redis_client: Redis) -> None:
    fail(redis_client)
    with open_app(redis_url, **with_users()) as app:
        failures(app).index.wait(60)
        page = app.test_client().get("/failed", headers=bearer("read")).text
        assert "6 failed jobs" in page
        assert "Retry" not in page
        assert "Remove" not in page
        page = app.test_client().get("/failed", headers=bearer("act")).text
        assert "Remove" in page


def test_the_users_own_frames_come_first() -> None:
    shown = own_first([FRAMES[0], *FRAMES])
    assert [type(each) for each in shown] == [Frame, Fold, Frame]
    assert isinstance(shown[0], Frame)
    assert (shown[0].name, shown[0].line) == ("pull", 1)
    assert isinstance(shown[1], Fold)
    assert (len(shown[1].frames), shown[1].packages) == (2, "requests")
    assert own_first([]) == []


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/x.py", "/tmp/../etc/passwd", "/a\0b.py"])
def test_no_file_is_read_that_is_not_this_programs(path: str) -> None:
    (shown,) = own_first([f"{path}:1:in `x'"])
    assert isinstance(shown, Frame)
    assert shown.is_own
    assert shown.source == ""


def test_a_group_whose_failures_have_no_class_means_no_others(
    app: Flask, redis_client: Redis
) -> None:
    """A field without a value would mean any."""
    fail(redis_client, 4)
    for raw in redis_client.lrange(FAILED, 0, 1):
        redis_client.rpush(FAILED, json.dumps(json.loads(raw) | {"payload": None, "backtrace": []}))
    failures(app).index.wait(60)
    browser = come_in(app)
    links = re.findall(r'href="(/failed\?[^"]*none=[^"]*)"', browser.get("/failed").text)
    assert len(links) == 2
    for link in links:
        shown = browser.get(html.unescape(link)).text
        assert "1 failed job" in shown and "Retry 1…" in shown
        assert [int(each.partition("-")[0]) >= 4 for each in references(shown)] == [True]
