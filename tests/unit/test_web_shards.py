"""The dashboard of several shards: what adds up, what leads to one, and one that is away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from flask.testing import FlaskClient

from benchmarks.held import hold, job_id, process_name
from gresque.inspector import collector
from gresque.inspector.audit import read_audit
from gresque.store.store import Store
from gresque.web.kills import Kills
from tests.process.support import wait_for
from tests.support.cli import fail
from tests.support.server import OwnServer
from tests.support.web import SAME_ORIGIN, come_in, open_app


@pytest.fixture
def other_url(redis_url: str) -> str:
    return f"{redis_url}?db=1"


@pytest.fixture
def other(redis_client: redis.Redis, other_url: str) -> Iterator[redis.Redis]:
    """A plain client to the second shard."""
    with closing(redis.Redis.from_url(other_url)) as client:
        yield client


@pytest.fixture
def browser(redis_url: str, other_url: str, other: redis.Redis) -> Iterator[FlaskClient]:
    urls = (f"one={redis_url}", f"two={other_url}")
    with open_app("", redis_urls=urls) as app:
        yield come_in(app)


def push(client: redis.Redis, queue: str, *numbers: int) -> None:
    client.sadd("resque:queues", queue)
    for number in numbers:
        item = {"class": "Greet", "args": [number], "id": f"{number:032x}"}
        client.rpush(f"resque:queue:{queue}", json.dumps(item))


class TestSums:
    def test_overview_and_queues(
        self, browser: FlaskClient, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        push(redis_client, "mail", 1, 2, 3)
        push(other, "mail", 4, 5)
        push(other, "low", 6)
        fail(redis_client, 1)
        fail(other, 2, 3)
        other.set("resque:stat:processed", 7)
        redis_client.set("resque:stat:processed", 5)
        found = browser.get("/api/overview").json
        assert (found["waiting"], found["kept_failed"], found["processed"]) == (6, 3, 12)
        sizes = {each["name"]: each["waiting"] for each in browser.get("/api/queues").json}
        assert sizes == {"mail": 5, "low": 1}
        page = browser.get("/").text
        assert "No worker runs" in page
        assert re.search(r'<td class="n">5</td>', browser.get("/queues").text)

    def test_running_jobs_of_both_are_one_list(
        self, browser: FlaskClient, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        hold(redis_client, 1, 2)
        hold(other, 2, 2)
        other.zrem("resque:ledgers", process_name(0))
        shown = re.findall(r'data-key="\S+ \d+ (\w+)"', browser.get("/running").text)
        # The oldest first; those of one slot began within the time of this test.
        assert {*shown[:2]} == {job_id(0, 1), job_id(1, 1)}
        assert {*shown[2:]} == {job_id(0, 0), job_id(1, 0)}
        found = browser.get("/api/running").json
        processes = {each["process"] for each in found["jobs"]}
        assert processes == {process_name(0), process_name(1)}

    def test_metrics_have_the_shard_as_a_label(
        self, browser: FlaskClient, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        push(redis_client, "mail", 1, 2)
        push(other, "mail", 3)
        lines = browser.get("/metrics").text.splitlines()
        assert 'gresque_queue_length{queue="mail",shard="one"} 2.0' in lines
        assert 'gresque_queue_length{queue="mail",shard="two"} 1.0' in lines
        assert 'gresque_shard_up{shard="two"} 1.0' in lines
        assert len([line for line in lines if line == "# TYPE gresque_queue_length gauge"]) == 1

    def test_the_numbers_of_resque(
        self, browser: FlaskClient, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        push(redis_client, "mail", 1, 2)
        push(other, "mail", 3)
        lines = browser.get("/stats.txt").text.splitlines()
        assert {"resque.pending=3", "queues.mail=3"} <= {*lines}

    def test_the_rest_of_the_api_answers_by_shard(
        self, browser: FlaskClient, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        fail(other, 2)
        found = browser.get("/api/failed").json
        assert found["missing"] == {}
        assert found["shards"]["one"]["jobs"] == []
        assert [job["id"] for job in found["shards"]["two"]["jobs"]] == [f"{2:032x}"]
        described = browser.get("/api/openapi.json").json
        answer = described["paths"]["/api/failed"]["get"]["responses"]["200"]
        assert "ByShard" in json.dumps(answer)
        assert browser.get("/api/failed?count=x").status_code == 400


class TestOneShard:
    def test_it_has_a_dashboard_of_its_own(
        self, browser: FlaskClient, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        fail(other, 2)
        page = browser.get("/failed").text
        (href,) = re.findall(r'<a class="name" href="(/shard/1/failed)">two<', page)
        wait_for(lambda: "error 2" in browser.get(href).text)  # it is searched meanwhile
        assert "error 2" not in browser.get("/shard/0/failed").text
        assert browser.get("/shard/2/failed").status_code == 404
        # Every link of it stays there, but for those to the others and to all.
        links = set(re.findall(r'href="(/[^"]*)"', browser.get("/shard/1/workers").text))
        assert links - {each for each in links if each.startswith("/shard/1/")} == {
            "/workers", "/shard/0/workers",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "path", ["/scheduled", "/retries", "/cron", "/ledger", "/limits", "/redis", "/audit"]
    )
    def test_pages_that_do_not_add_up_list_the_shards(
        self, browser: FlaskClient, path: str
    ) -> None:
        page = browser.get(f"{path}?q=x").text
        assert f'href="/shard/0{path}?q=x"' in page
        assert f'href="/shard/1{path}?q=x"' in page
        assert browser.get(f"/shard/1{path}").status_code == 200

    def test_a_queue_and_a_job_lead_to_their_shard(
        self, browser: FlaskClient, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        push(redis_client, "mail", 1, 2)
        push(other, "mail", 3)
        page = browser.get("/queues/mail").text
        assert 'href="/shard/1/queues/mail"' in page
        answer = browser.get(f"/jobs/{3:032x}")
        assert (answer.status_code, answer.location) == (303, f"/shard/1/jobs/{3:032x}")
        assert "waits in mail" in browser.get(answer.location).text

    def test_one_sign_in_is_good_for_all(self, redis_url: str, other_url: str) -> None:
        with open_app("", redis_urls=(redis_url, other_url), prefix="/ops") as app:
            client = app.test_client()
            assert client.get("/ops/shard/1/").status_code == 401
            token = app.extensions["gresque"].link.new()
            answer = client.get("/ops/shard/1/in", query_string={"token": token})
            assert "Path=/ops/;" in answer.headers["Set-Cookie"]
            assert client.get("/ops/").status_code == 200
            page = client.get("/ops/shard/0/").text
            assert 'href="/ops/shard/1/"' in page
            assert 'href="/ops/shard/0/running"' in page


class TestActs:
    def test_a_pause_is_one_of_all_shards(
        self, browser: FlaskClient, store: Store, redis_client: redis.Redis, other: redis.Redis
    ) -> None:
        push(redis_client, "mail", 1)
        answer = browser.post("/queues/mail/pause", headers=SAME_ORIGIN)
        assert answer.status_code == 303
        for client in (redis_client, other):
            assert client.hlen("resque:policies") == 1
        assert [each.verb for each in read_audit(store, 9)] == ["pause"]
        browser.post("/queues/mail/unpause", headers=SAME_ORIGIN)
        for client in (redis_client, other):
            assert client.hlen("resque:policies") == 0

    def test_a_kill_goes_to_the_shard_of_the_job(
        self,
        browser: FlaskClient,
        monkeypatch: pytest.MonkeyPatch,
        redis_client: redis.Redis,
        other: redis.Redis,
    ) -> None:
        hold(redis_client, 1, 1)
        hold(other, 2, 1)
        other.zrem("resque:ledgers", process_name(0))
        asked: list[tuple[str, list[str]]] = []

        def start(kills: Kills, jobs: list, by: str) -> int:  # type: ignore[type-arg]
            asked.append((kills._store.server.url, [job.item["id"] for job in jobs]))
            return len(jobs)

        monkeypatch.setattr(Kills, "start", start)
        browser.get("/running")
        form = {"job": [job_id(0, 0), job_id(1, 0)]}
        assert browser.post("/running/kill/jobs", data=form, headers=SAME_ORIGIN).status_code == 303
        assert sorted(ids for _, ids in asked) == [[job_id(0, 0)], [job_id(1, 0)]]
        (of_second,) = [ids for url, ids in asked if url.endswith("db=1")]
        assert of_second == [job_id(1, 0)]

    def test_what_is_of_one_shard_says_so(self, browser: FlaskClient) -> None:
        answer = browser.post("/queues/mail/clear", headers=SAME_ORIGIN)
        assert answer.status_code == 409
        assert "done on one shard" in answer.text


def test_one_that_hangs_is_named(
    redis_url: str, redis_client: redis.Redis, own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(redis_client, "mail", 1, 2)
    urls = (f"one={redis_url}", f"two={own.url}")
    with open_app("", redis_urls=urls) as app:
        browser = come_in(app)
        assert browser.get("/api/overview").json["waiting"] == 2
        monkeypatch.setattr(collector, "SILENT_SECONDS", 0.5)
        own.stop()
        for _ in range(100):
            page = browser.get("/").text
            if "its numbers are missing" in page:
                break
        assert "its numbers are missing" in page
        assert browser.get("/api/overview").json["waiting"] == 2
        (line,) = [
            each for each in browser.get("/api/verdict").json["lines"] if each["kind"] == "shard"
        ]
        assert line["sentence"].startswith("Shard two does not answer")
        assert "does not answer, its numbers are missing" in browser.get("/failed").text
        assert browser.get("/healthz").status_code == 200
        assert 'gresque_shard_up{shard="two"} 0.0' in browser.get("/metrics").text
        answer = browser.post("/queues/mail/pause", headers=SAME_ORIGIN, follow_redirects=True)
        assert "Shard two does not answer" in answer.text
        own.resume()
        for _ in range(100):
            if "its numbers are missing" not in browser.get("/").text:
                break
        assert "its numbers are missing" not in browser.get("/").text
