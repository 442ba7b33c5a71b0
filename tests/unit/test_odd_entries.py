"""Failed jobs as programs in other languages write them: every view takes them for failed jobs."""

from __future__ import annotations

import json

import pytest
import redis
from flask.testing import FlaskClient

from gresque.failure.well_formed import well_formed
from tests.support.cli import Call
from tests.support.failed_jobs import odd_entries

HTML = {"Accept": "text/html"}


@pytest.fixture
def failed(redis_client: redis.Redis) -> list[bytes]:
    raws = odd_entries()
    redis_client.rpush("resque:failed", *raws)
    redis_client.sadd("resque:queues", "py")
    return raws


def test_commands_list_show_group_retry_and_remove_them(
    call: Call, failed: list[bytes], redis_client: redis.Redis
) -> None:
    listed = json.loads(call("failed", "list", "--json", "--count", "50").out)
    assert [json.loads(well_formed(raw)) for raw in reversed(failed)] == [
        {name: value for name, value in each.items() if name != "index"} for each in listed
    ]
    plain = call("failed", "list", "--count", "50").out
    assert plain.count("Odd") == len(failed) and "not an entry" not in plain
    assert plain.count("2026/11/23 15:33:14") >= len(failed) - 1, "one has no time"
    for index in range(len(failed)):
        shown = call("failed", "show", str(index)).out
        assert "class" in shown and "Odd" in shown and "is not one of a failed job" not in shown
    groups = json.loads(call("failed", "groups", "--json").out)
    assert sum(each["count"] for each in groups) == len(failed)
    assert {each["job_class"] for each in groups} == {"Odd"}
    assert call("failed", "retry", "--class", "Odd").code == 0
    items = redis_client.lrange("resque:queue:py", 0, -1)
    assert len(items) == len(failed)
    assert {json.loads(item)["class"] for item in items} == {"Odd"}
    assert call("failed", "remove", "--class", "Odd", "--yes").code == 0
    assert redis_client.llen("resque:failed") == 0


def test_the_dashboard_shows_them(browser: FlaskClient, failed: list[bytes]) -> None:
    page = browser.get("/failed", headers=HTML).get_data(as_text=True)
    assert page.count("Odd") >= 1 and "an item that is no job" not in page
    found = browser.get("/api/failed?count=50").get_json()
    rows = found["jobs"] if isinstance(found, dict) else found
    assert [each["job_class"] for each in rows] == ["Odd"] * len(failed)
    assert all(isinstance(each["error"], str) for each in rows)
    for each in rows:
        answer = browser.get(f"/failed/entry?at={each['reference']}", headers=HTML)
        assert answer.status_code == 200 and "Odd" in answer.get_data(as_text=True)
