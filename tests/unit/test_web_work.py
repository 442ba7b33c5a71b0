"""The pages of queues, workers and the ledger: what they show, and what they do."""

from __future__ import annotations

import json
import re

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from gresque.web import worker_actions
from gresque.web.pages import workers
from tests.process.support import wait_for
from tests.support.captures import put
from tests.support.web import SAME_ORIGIN, bearer, open_app, with_users

Redis = redis.Redis


def push(client: Redis, queue: str, count: int) -> None:
    client.sadd("resque:queues", queue)
    for number in range(count):
        item = {"class": f"jobs.<b>{queue}", "args": [f"shop-{number}"], "id": f"id{number}"}
        client.rpush(f"resque:queue:{queue}", json.dumps(item))


def shops(client: Redis, queue: str) -> list[str]:
    raws = client.lrange(f"resque:queue:{queue}", 0, -1)
    return [json.loads(raw)["args"][0] for raw in raws]


def rows(page: str) -> list[str]:
    return re.findall(r'data-key="q:([^"]+)" data-row', page)


def post(browser: FlaskClient, path: str, **data: str) -> int:
    return browser.post(path, data=data, headers=SAME_ORIGIN).status_code


class TestQueues:
    def test_list(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "a<i>", 3)
        push(redis_client, "mail", 5)
        page = browser.get("/queues").text
        assert "2 queues" in page
        assert "8 jobs wait" in page
        assert page.count("no worker") == 2
        assert rows(browser.get("/queues?sort=name").text) == ["a&lt;i&gt;", "mail"]
        assert rows(browser.get("/queues?sort=waiting").text) == ["mail", "a&lt;i&gt;"]
        assert rows(browser.get("/queues?q=MAI").text) == ["mail"]
        assert "No queue has that" in browser.get("/queues?q=x").text

    def test_one(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "a/<i>", 60)
        page = browser.get("/queues/a~2f%3Ci%3E").text
        assert "<h1>a/&lt;i&gt;" in page
        assert "60 jobs.&lt;b&gt;a/&lt;i&gt;" in page
        assert page.count('name="at"') == 50
        assert "shop-49" in page
        further = browser.get("/queues/a~2f%3Ci%3E?from=50").text
        assert further.count('name="at"') == 10
        found = browser.get("/queues/a~2f%3Ci%3E?q=SHOP-5").text
        assert "looked at 60 of 60" in found
        assert found.count('name="at"') == 11

    def test_one_that_is_not_there(self, browser: FlaskClient) -> None:
        assert browser.get("/queues/nowhere").status_code == 404

    def test_pause(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "mail", 1)
        assert post(browser, "/queues/mail/pause") == 303
        page = browser.get("/queues/mail").text
        assert "Queue mail is paused" in page
        assert "Go on" in page
        assert post(browser, "/queues/mail/unpause") == 303
        assert "Queue mail goes on." in browser.get("/queues/mail").text

    def test_limit(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "mail", 1)
        assert post(browser, "/queues/mail/limit", cap="20", rate="100/m") == 303
        assert "at most 20 jobs at once, 100/m" in browser.get("/queues/mail").text
        assert post(browser, "/queues/mail/limit", cap="", rate="") == 303
        assert "Queue mail: no limits." in browser.get("/queues/mail").text
        assert post(browser, "/queues/mail/limit", cap="many") == 400
        assert post(browser, "/queues/mail/limit", rate="fast") == 400

    def test_remove_one(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "mail", 3)
        second = re.findall(r'name="at" value="([^"]+)"', browser.get("/queues/mail").text)[1]
        redis_client.lpop("resque:queue:mail")
        assert post(browser, "/queues/mail/remove", at=second) == 303
        assert shops(redis_client, "mail") == ["shop-2"]
        assert post(browser, "/queues/mail/remove", at=second) == 409
        assert post(browser, "/queues/mail/remove", at="x") == 409

    def test_move_and_change_one(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "mail", 3)
        at = re.findall(r'name="at" value="([^"]+)"', browser.get("/queues/mail").text)
        page = browser.get("/queues/mail/item", query_string={"at": at[1]}).text
        assert "jobs.&lt;b&gt;mail" in page
        assert "shop-1" in page
        given = {"at": at[0], "args": '["x"]', "kwargs": '{"y": 1}'}
        assert post(browser, "/queues/mail/item/edit", **given | {"args": "{}"}) == 400
        assert post(browser, "/queues/mail/item/edit", **given) == 303
        assert shops(redis_client, "mail") == ["shop-1", "shop-2", "x"]
        assert post(browser, "/queues/mail/item/move", at=at[1], target="mail") == 400
        assert post(browser, "/queues/mail/item/move", at=at[1], target="low") == 303
        assert shops(redis_client, "low") == ["shop-1"]
        assert post(browser, "/queues/mail/item/move", at=at[1], target="low") == 409
        gone = browser.get("/queues/mail/item", query_string={"at": at[1]})
        assert gone.status_code == 404

    def test_clear(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "mail", 3)
        assert "Remove 3 jobs of mail for good?" in browser.get("/queues/mail/clear").text
        assert post(browser, "/queues/mail/clear", typed="mai") == 400
        assert shops(redis_client, "mail") == ["shop-0", "shop-1", "shop-2"]
        assert post(browser, "/queues/mail/clear", typed="mail") == 303
        wait_for(lambda: "3 jobs removed" in browser.get("/queues").text)
        assert shops(redis_client, "mail") == []

    def test_move(self, browser: FlaskClient, redis_client: Redis) -> None:
        push(redis_client, "mail", 3)
        assert "Move 3 jobs of mail?" in browser.get("/queues/mail/move").text
        assert post(browser, "/queues/mail/move", target="mail") == 400
        assert post(browser, "/queues/mail/move", target="low") == 303
        wait_for(lambda: "3 jobs moved" in browser.get("/queues").text)
        assert shops(redis_client, "low") == ["shop-0", "shop-1", "shop-2"]

    def test_who_may_only_read_sees_no_buttons(self, redis_url: str, redis_client: Redis) -> None:
        push(redis_client, "mail", 3)
        with open_app(redis_url, **with_users()) as app:
            for path in ("/queues", "/queues/mail"):
                page = app.test_client().get(path, headers=bearer("read")).text
                assert "Pause</button>" not in page
                assert 'method="post" action="/queues' not in page.replace(
                    'action="/queues/mail/remove"', ""
                )
                assert "Remove" not in page


class TestWorkers:
    def test_host_master_and_process(self, browser: FlaskClient, db: Redis) -> None:
        process = db.zrange("resque:ledgers", 0, -1)[0].decode()
        page = browser.get("/workers").text
        assert "1 process" in page
        assert "reserved = " in page
        assert process in page
        assert "No host, queue or process" in browser.get("/workers?q=nowhere").text

    def test_none(self, browser: FlaskClient) -> None:
        assert "No worker runs" in browser.get("/workers").text
        assert browser.get("/workers/x/stacks").status_code == 404

    def test_stacks_of_a_process_that_does_not_answer(
        self, browser: FlaskClient, db: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers, "STACK_SECONDS", 0.0)
        link = re.search(r'href="(/workers/[^"]+/stacks)"', browser.get("/workers").text)
        assert link is not None
        assert "did not answer" in browser.get(link[1]).text

    def test_stacks(self, browser: FlaskClient, db: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        greenlet = {
            "name": "jobs.pull(<i>)", "seconds": 61.0, "on_cpu": False, "waits_on": "a lock",
            "stack": ["/lib/python3.13/x.py:1:in `a'", "/srv/jobs.py:2:in `b'"],
        }  # fmt: skip
        monkeypatch.setattr(workers, "ask_stacks", lambda store, ids, **_: {ids[0]: [greenlet]})
        link = re.search(r'href="(/workers/[^"]+/stacks)"', browser.get("/workers").text)
        assert link is not None
        page = browser.get(link[1]).text
        assert "jobs.pull(&lt;i&gt;)" in page
        assert "for 1 min 01 s, waits on a lock" in page
        assert "jobs.py:2 in b" in page

    def test_orders(self, browser: FlaskClient, db: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker_actions, "WAIT_SECONDS", 0.02)
        process = re.findall(r'name="process" value="([^"]+)"', browser.get("/workers").text)[0]
        assert post(browser, "/workers/order", do="explode", process=process) == 400
        assert post(browser, "/workers/order", do="drain", process="gone") == 409
        assert post(browser, "/workers/order", do="drain", process=process) == 303
        assert "did not answer" in browser.get("/workers").text
        assert db.llen(f"resque:commands:{process}") == 1

    def test_workers_of_other_programs(self, browser: FlaskClient, redis_client: Redis) -> None:
        db = redis_client
        put(db, "stock_worker_running")
        db.sadd("resque:workers", "node:1:low")
        stock = "vm:12225:py"
        db.hset("resque:workers:heartbeat", stock, "2026-11-26T07:55:36-05:00")
        page = browser.get("/workers").text
        assert "2 workers of other programs" in page
        assert page.count("Prune</button>") == 1, "nothing shows that Node's is dead"
        assert post(browser, "/workers/prune", worker=stock) == 303
        page = browser.get("/workers").text
        assert f"{stock} is pruned; 1 job of it failed" in page
        assert "1 worker of other programs" in page
        assert db.llen("resque:failed") == 1
        assert post(browser, "/workers/prune", worker=stock) == 303
        assert "no worker &#39;vm:12225:py&#39;" in browser.get("/workers").text


class TestLedger:
    def test_it_accounts_for_every_job(self, app: Flask, browser: FlaskClient, db: Redis) -> None:
        recovery = {
            "at": "2026-11-23T15:33:10+00:00", "process": "web-07:1:q:1:1:1:99:1795447990000",
            "cause": "<b>killed", "by": "web-08:3", "requeued": 7, "failed": 1, "poison": 0,
        }  # fmt: skip
        db.rpush("resque:recoveries", json.dumps(recovery))
        db.sadd("resque:suspects", "mail")
        db.rpush("resque:suspects:1:mail", "{}")
        page = browser.get("/ledger").text
        assert "0 in flight" in page
        assert "in 1 process" in page
        assert "&lt;b&gt;killed" in page
        assert '<a class="name" href="/queues/mail">mail</a>' in page
