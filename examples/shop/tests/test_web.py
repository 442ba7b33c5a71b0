"""Both programs enqueue the same jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from shop import fastapi_app, flask_app, outbox
from shop.jobs import ask_for_review, confirm, deliver

from gresque.testing import FakeJobs, approx

ORDER = {"to": "ada@example.com", "items": ["book", "lamp"]}

Post = Callable[[str], int]


def post_to_fastapi(path: str) -> int:
    return TestClient(fastapi_app.app).post(path, json=ORDER).status_code


def post_to_flask(path: str) -> int:
    return flask_app.app.test_client().post(path, json=ORDER).status_code


@pytest.fixture(params=[post_to_fastapi, post_to_flask])
def post(request: pytest.FixtureRequest) -> Post:
    found: Post = request.param
    return found


def test_an_order_is_confirmed_and_delivered(post: Post, gresque_fake: FakeJobs) -> None:
    assert post("/orders/7") == 202
    gresque_fake.assert_enqueued(confirm, "ada@example.com", 7, items=["book", "lamp"])
    gresque_fake.assert_enqueued(deliver, "ada@example.com", 7, queue="web")
    assert outbox.sent == []


def test_a_week_later_there_is_a_question(post: Post, gresque_fake: FakeJobs) -> None:
    post("/orders/7")
    gresque_fake.drain()
    gresque_fake.assert_enqueued(
        ask_for_review, "ada@example.com", 7, at=approx(timedelta(days=7), seconds=10)
    )
    gresque_fake.advance(timedelta(days=7))
    gresque_fake.drain()
    assert [mail.text for mail in outbox.sent] == ["order 7: book, lamp", "how was order 7?"]


@pytest.mark.usefixtures("gresque_inline")
def test_at_once(post: Post) -> None:
    post("/orders/7")
    assert len(outbox.sent) == 2
