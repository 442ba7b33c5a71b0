"""Every value is hostile: no page makes an element or an attribute of one."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import redis
from flask.testing import FlaskClient

from gresque.web.routes import ROUTES
from tests.support.hostile import PAYLOADS, Made, plant

PAGES = [
    route.path
    for route in ROUTES
    if route.method == "GET" and "<" not in route.path and route.role is not None
]


@pytest.mark.parametrize("text", PAYLOADS)
def test_a_value_stays_a_text(browser: FlaskClient, redis_client: redis.Redis, text: str) -> None:
    known = plant(redis_client, text)
    asked = [
        *PAGES,
        *(f"{page}?live=-" for page in ("/running", "/scheduled", "/")),
        *(f"{page}?{urlencode({'q': text})}" for page in ("/running", "/failed", "/audit")),
        f"/running?{urlencode({'open': known})}",
        f"/cron?{urlencode({'open': text})}",
        f"/waiting/cancel?{urlencode({'job': text, 'of': text})}",
        f"/login?{urlencode({'next': text})}",
        f"/{urlencode({text: text})}",
    ]
    for path in asked:
        answer = browser.get(path)
        assert answer.status_code != 500, path
        if answer.mimetype == "text/html":
            made = Made()
            made.feed(answer.text)
            assert made.found == [], path
            if "?" not in path:  # else a field shows what its user has typed
                assert "\x00" not in answer.text and "\u202e" not in answer.text, path
        else:
            assert answer.mimetype in (
                "application/json", "application/problem+json", "text/plain",
                "application/x-ndjson",
            ), path  # fmt: skip
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_parser_sees_what_data_makes() -> None:
    for text in ("<x55>", "<b x55=1>", "<b onclick=1>", "<a href=' javascript:1'>", "<script>"):
        made = Made()
        made.feed(text)
        assert made.found, text
