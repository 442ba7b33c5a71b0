"""The API: what it reads, and its description, which says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from flask import Flask

from gresque.web.accounts import hash_password
from gresque.web.api.table import ENDPOINTS
from tests.support.cli import PROCESS, fail, register
from tests.support.web import bearer, open_app, with_users
from tests.unit.test_inspector_waiting import put

ME = bearer("read")


@pytest.fixture
def app(redis_url: str) -> Any:
    with open_app(redis_url, **with_users()) as app:
        yield app


def get(app: Flask, path: str, code: int = 200) -> Any:
    answer = app.test_client().get(path, headers=ME)
    assert answer.status_code == code, answer.text
    assert answer.mimetype == ("application/json" if code == 200 else "application/problem+json")
    return answer.json


def fill(client: redis.Redis) -> None:
    register(client, held=2)
    client.sadd("resque:queues", "mail", "odd \x01", b"\xff")
    client.rpush("resque:queue:mail", '{"class":"A","args":[]}', '{"class":"B","args":[]}')
    client.rpush(b"resque:queue:\xff", "x")
    fail(client, 1, 2, 3)
    client.hset("resque:policies", "mail", "p c5 r100/60000b10")


def test_the_numbers(app: Flask, redis_client: redis.Redis) -> None:
    fill(redis_client)
    found = get(app, "/api/overview")
    assert (found["waiting"], found["running"], found["kept_failed"]) == (3, 2, 3)
    assert found["trouble"] is None
    by_name = {each["name"]: each for each in get(app, "/api/queues")}
    assert set(by_name) == {"mail", "odd \x01", "\udcff"}, "a stray byte travels as an escape"
    assert by_name["mail"]["is_paused"]
    assert get(app, "/api/queue?queue=mail") == by_name["mail"]
    (process,) = get(app, "/api/processes")
    assert process["held"] == 2
    assert get(app, "/api/other_workers") == []
    assert "no right" not in str(get(app, "/api/redis/keys"))
    assert get(app, "/api/redis")["server"] == "Valkey"


def test_workers_of_other_programs(app: Flask, redis_client: redis.Redis) -> None:
    fill(redis_client)
    redis_client.sadd("resque:workers", "ny:1:low,mail")
    redis_client.hset("resque:workers:heartbeat", "ny:1:low,mail", "2026-11-26T07:55:36-05:00")
    (found,) = get(app, "/api/other_workers")
    assert found.pop("heartbeat_age_seconds") > 0
    assert found == {
        "id": "ny:1:low,mail", "host": "ny", "queues": "low,mail", "seems_dead": True,
    }  # fmt: skip


def test_limits_locks_and_schedules(app: Flask, redis_client: redis.Redis) -> None:
    fill(redis_client)
    lock = {"id": "one", "mode": "both", "class": "A", "key": "A []", "queue": "q", "since": "1000"}
    redis_client.hset("resque:unique:" + "0" * 32, mapping=lock)
    (queue,) = get(app, "/api/limits")["queues"]
    assert (queue["concurrent"], queue["rate"], queue["paused"]) == (5, "100/m", True)
    found = get(app, "/api/locks")
    assert (found["locks"][0]["job_id"], found["cursor"]) == ("one", 0)
    assert get(app, "/api/cron") == []


def test_pages_and_filters_of_waiting_jobs(app: Flask, store: Any) -> None:
    for number in range(4):
        put(store, number, is_retry=number == 3)
    first = get(app, "/api/delayed?count=2")
    assert [each["job_class"] for each in first["jobs"]] == ["Job0", "Job1"]
    rest = get(app, f"/api/delayed?count=2&offset={first['next']}")
    assert [each["args"] for each in rest["jobs"]] == [[2]]
    found = get(app, "/api/delayed?filter=class:Job1")
    assert [each["job_class"] for each in found["jobs"]] == ["Job1"]
    (retry,) = get(app, "/api/retries")["jobs"]
    assert (retry["exception"], retry["attempt"]) == ("ValueError", 2)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/queue", "missing required field `queue`"),
        ("/api/queue?queue=none", "No job was ever put into queue none"),
        ("/api/delayed?count=x", "Expected `int`"),
        ("/api/delayed?count=0", ">= 1"),
        ("/api/delayed?size=5", "unknown field `size`"),
        ("/api/delayed?filter=host:x", "host"),
        ("/api/none", "no such page"),
        ("/api/locks?cursor=99999999999999999999", "Expected `int`"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(app: Flask, path: str, words: str) -> None:
    answer = app.test_client().get(path, headers=ME)
    assert answer.status_code in (400, 404, 422)
    assert answer.mimetype == "application/problem+json"
    assert answer.json["status"] == answer.status_code
    assert words in answer.json["detail"]


def post(app: Flask, path: str, body: Any, code: int = 200, role: str = "act") -> Any:
    answer = app.test_client().post(path, json=body, headers=bearer(role))
    assert answer.status_code == code, answer.text
    return answer.json


def test_actions(app: Flask, redis_client: redis.Redis, store: Any) -> None:
    fill(redis_client)
    assert post(app, "/api/queue/unpause", {"queue": "mail"})["count"] == 1
    assert post(app, "/api/queue/pause", {"queue": "mail"})["message"] == "paused"
    assert post(app, "/api/queue/pause", {"queue": "mail"})["count"] == 0
    post(app, "/api/queue/limit", {"queue": "mail", "concurrent": 3}, 403)
    body = {"queue": "mail", "concurrent": 3.0, "no_rate": True}
    found = post(app, "/api/queue/limit", body, role="admin")
    assert found == {"count": 1, "message": "paused, at most 3 jobs at once"}
    assert post(app, "/api/limits/verify", {})["count"] >= 0
    put(store, 100, is_retry=False)
    put(store, 101, is_retry=False)
    ids = [f"{number:032x}" for number in (100, 101)]
    assert post(app, "/api/delayed/run", {"ids": ids[:1]})["count"] == 1
    assert post(app, "/api/delayed/cancel", {"ids": ids}) == {"count": 1, "message": "1 of 2 jobs"}
    assert "none of these" in post(app, "/api/delayed/run", {"ids": ids}, 404)["detail"].lower()
    assert (
        "None of these jobs runs" in post(app, "/api/running/kill", {"ids": ["x"]}, 404)["detail"]
    )
    assert "no schedule entry" in post(app, "/api/cron/run", {"name": "x"}, 404)["detail"].lower()
    lock = {"digest": "0" * 32, "job_id": "x"}
    assert post(app, "/api/locks/release", lock, 409)["title"] == "Too late"
    found = get(app, "/api/audit")
    assert [entry["verb"] for entry in reversed(found)][:2] == ["unpause", "pause"]
    assert {entry["by"] for entry in found} == {"act", "admin"}


@pytest.mark.parametrize(
    ("body", "words"),
    [({}, "missing required field"), ({"ids": []}, "length >= 1"), ({"ids": [1]}, "Expected `str`"),
     ([], "Expected `object`"), ({"ids": ["x"], "y": 1}, "unknown field")],
)  # fmt: skip
def test_a_wrong_body_says_what_is_wrong(app: Flask, body: Any, words: str) -> None:
    assert words in post(app, "/api/running/kill", body, 400)["detail"]


@pytest.mark.parametrize(
    ("values", "words"),
    [({}, "give a limit"), ({"burst": 2}, "belongs to a rate"), ({"rate": "fast"}, "fast"),
     ({"concurrent": 2, "no_concurrent": True}, "both set and removed")],
)  # fmt: skip
def test_values_that_do_not_go_together(app: Flask, values: dict[str, Any], words: str) -> None:
    found = post(app, "/api/queue/limit", {"queue": "mail", **values}, 422, role="admin")
    assert words in found["detail"].lower()


def test_a_wrong_method_gets_the_right_ones(app: Flask) -> None:
    answer = app.test_client().open("/api/queue/pause", method="TRACE", headers=ME)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_body_is_json(app: Flask) -> None:
    answer = app.test_client().post("/api/running/kill", data="x", headers=bearer("act"))
    assert answer.status_code == 415


def test_running_and_failed_jobs(app: Flask, redis_client: redis.Redis) -> None:
    fill(redis_client)
    redis_client.set(f"resque:running:{PROCESS}", json.dumps({"since": {"0": 1}}))
    found = get(app, "/api/running")
    assert (found["held"], found["matching"], found["jobs"][0]["id"]) == (2, 1, "id0")
    found = get(app, "/api/failed?count=2")
    assert (found["total"], len(found["jobs"])) == (3, 2)
    assert found["jobs"][0]["error"] == "error 3"


def test_groups_of_failed_jobs(app: Flask, redis_client: redis.Redis) -> None:
    fail(redis_client, 1, 2, 3)
    found = get(app, "/api/failed/groups")
    assert (found["counted"], found["total"]) == (3, 3)
    assert sum(each["count"] for each in found["groups"]) == 3
    first = found["groups"][0]
    assert first["exception"] and not first["is_rest"]
    narrow = get(app, "/api/failed/groups?filter=class:no.such")
    assert narrow["groups"] == []
    assert "no texts" in get(app, "/api/failed/groups?filter=word", 422)["detail"]


def test_failed_jobs_are_retried_and_removed(app: Flask, redis_client: redis.Redis) -> None:
    fail(redis_client, 1, 2, 3)
    names = [each["reference"] for each in get(app, "/api/failed")["jobs"]]
    post(app, "/api/failed/retry", {"references": names}, 403, role="read")
    found = post(app, "/api/failed/retry", {"references": names[:2]})
    assert found == {"count": 2, "message": "2 of 2 failed jobs retried"}
    assert [each["retried"] for each in get(app, "/api/failed")["jobs"]] == [True, True, False]
    found = post(app, "/api/failed/remove", {"references": [*names[1:], "9-x"]})
    assert found == {"count": 2, "message": "2 of 3 failed jobs removed"}
    assert get(app, "/api/failed")["total"] == 1
    gone = post(app, "/api/failed/remove", {"references": names[1:]}, 404)
    assert "in its place" in gone["detail"]


def test_one_job(app: Flask, redis_client: redis.Redis) -> None:
    fill(redis_client)
    running = get(app, "/api/job?id=id0")
    assert (running["state"], running["process"]) == ("running", PROCESS)
    (failed,) = get(app, "/api/failed?count=1")["jobs"]
    found = get(app, f"/api/job?id={failed['id']}")
    assert (found["state"], found["failed"], found["is_searched"]) == ("failed", failed, True)
    assert [step["text"] for step in found["steps"]][-1].startswith("failed: ")
    assert get(app, "/api/job?id=no-such")["state"] == "gone"


def test_the_verdict(app: Flask, redis_client: redis.Redis) -> None:
    assert get(app, "/api/verdict")["lines"] == []
    assert "namespace resque has no queues" in get(app, "/api/verdict")["calm"]
    fill(redis_client)
    app.extensions["gresque"].collector.renew()
    found = get(app, "/api/verdict")
    assert found["count"] == len(found["lines"]) > 0
    assert found["calm"] == ""
    assert all(line["severity"] in ("stopped", "silent", "failing", "late")
               for line in found["lines"])  # fmt: skip
    assert {"verb", "target", "label"} <= set(found["lines"][0]["actions"][0])


def test_without_a_token_there_is_no_form(redis_url: str) -> None:
    users = f"ana:{hash_password('a long password')}:read"
    with open_app(redis_url, users=users) as app:
        client = app.test_client()
        for answer in client.get("/api/overview"), client.post("/api/queue/pause", json={}):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "Authorization: Bearer" in answer.json["detail"]


def test_the_description_has_every_route(app: Flask) -> None:
    found = get(app, "/api/openapi.json")
    described = {
        (method.upper(), path) for path, methods in found["paths"].items() for method in methods
    }
    assert described == {(route.method, route.path) for route in ENDPOINTS}
    refs = set(json.dumps(found).split('"$ref": "')[1:])
    names = {ref.split('"')[0].rpartition("/")[2] for ref in refs}
    assert names <= set(found["components"]["schemas"])
    (parameter,) = found["paths"]["/api/queue"]["get"]["parameters"]
    assert (parameter["name"], parameter["required"]) == ("queue", True)


def test_without_redis_every_route_says_503() -> None:
    with open_app("redis://127.0.0.1:1", **with_users()) as app:
        browser = app.test_client()
        needed = {"/api/queue": "?queue=a", "/api/job": "?id=a"}
        for route in ENDPOINTS:
            if route.method == "GET":
                path = route.path + needed.get(route.path, "")
                answer = browser.get(path, headers=ME)
                assert answer.status_code == 503, (path, answer.text)
                assert answer.json["title"] == "Redis does not answer"
        assert browser.get("/healthz").status_code == 503
