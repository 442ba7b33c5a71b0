"""The page of one job, wherever it is."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta

import pytest
import redis
from flask.testing import FlaskClient

import gresque
from benchmarks.held import hold, job_id, process_name
from gresque.client import job_search
from gresque.inspector.job_places import find_waiting
from gresque.jobs.ids import new_id
from gresque.store.commands import Command
from gresque.store.store import Store
from tests.support.client_jobs import noop


def state(page: str) -> str:
    (found,) = re.findall(r'<span class="tag \w+">([^<]+)<', page)
    return found


def test_one_that_runs(browser: FlaskClient, store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 1, 3)
    greenlet = {"stack": ["/srv/shop/a.py:7:in `pull'"], "on_cpu": False, "waits_on": "recv x:443"}

    def play() -> None:
        asked = redis_client.blpop([f"resque:commands:{process_name(0)}"], 10)
        assert isinstance(asked, tuple | list)
        store.commands.give_answer(Command.parse(asked[1]).token, [greenlet])

    thread = threading.Thread(target=play)
    thread.start()
    page = browser.get(f"/jobs/{job_id(0, 2)}").text
    thread.join()
    assert state(page) == "▶ runs"
    assert "taken by vm:5000" in page
    assert "shop/a.py:7 in pull" in page
    assert "waits on recv x:443" in page
    assert f'name="only" value="{job_id(0, 2)}"' in page


def test_one_that_waits(browser: FlaskClient, store: Store) -> None:
    wanted = new_id()
    item = json.dumps({"class": "Mail", "args": ["<b>"], "id": wanted}).encode()
    store.enqueuer.push("mail", [b"{}", item])
    page = browser.get(f"/jobs/{wanted}").text
    assert state(page) == "waits"
    assert "waits in mail, 1 before it" in page
    assert "enqueued" in page
    assert "&lt;b&gt;" in page


def test_how_far_a_queue_is_looked_into(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_search, "MOST_LOOKED_AT", 2)
    monkeypatch.setattr(job_search, "PAGE", 1)
    items = [b'{"class": "A", "args": [], "id": "%d"}' % number for number in range(4)]
    store.enqueuer.push("long", items[:3])
    store.enqueuer.push("short", items[3:])
    waiting = {"short": 1, "long": 3}
    found = find_waiting(store, "1", waiting)
    assert found is not None
    assert (found.queue, found.position) == ("long", 1)
    assert find_waiting(store, "2", waiting) is None
    assert find_waiting(store, "3", waiting) is None


def test_one_that_waits_for_its_time(browser: FlaskClient, client: gresque.Client) -> None:
    wanted = client.enqueue_in(timedelta(hours=1), noop)
    page = browser.get(f"/jobs/{wanted}").text
    assert state(page) == "waits for its time"


def test_one_that_failed(browser: FlaskClient, redis_client: redis.Redis) -> None:
    wanted = new_id()
    entry = {
        "failed_at": "2026/11/23 15:33:14 UTC", "queue": "mail", "worker": "vm:1:mail",
        "payload": {"class": "Mail", "args": [], "id": wanted},
        "exception": "ValueError", "error": "no <i>", "backtrace": [],
    }  # fmt: skip
    redis_client.rpush("resque:failed", json.dumps(entry))
    page = browser.get(f"/jobs/{wanted}").text
    assert state(page) == "▲ failed"
    assert "failed: ValueError" in page
    assert "no &lt;i&gt;" in page
    assert re.search(r'name="at" value="0-[0-9a-f]{16}"', page)


def test_one_that_is_nowhere(browser: FlaskClient) -> None:
    page = browser.get("/jobs/a%2F~2fb")
    assert page.status_code in (200, 404)
    page = browser.get(f"/jobs/{new_id()}")
    assert state(page.text) == "not found"
    assert "Of jobs that succeed nothing is kept, unless they are tracked." in page.text


def test_a_tracked_one(browser: FlaskClient, redis_client: redis.Redis) -> None:
    wanted = new_id()
    details = {
        "class": "Mail", "queue": "mail", "attempt": 2, "started": 5000, "ended": 6000,
        "progress": [3, 4, "<i>"], "value": {"url": "<b>"},
    }  # fmt: skip
    fields = {"s": "done", "d": json.dumps(details)}
    redis_client.hset(f"resque:job:{wanted}", mapping=fields)
    page = browser.get(f"/jobs/{wanted}").text
    assert state(page) == "done"
    assert "began, attempt 2" in page
    assert "3 of 4, &lt;i&gt;" in page
    assert "&lt;b&gt;" in page
    assert "Mail" in page
    found = browser.get(f"/api/job?id={wanted}").get_json()
    assert (found["state"], found["job_class"], found["queue"]) == ("done", "Mail", "mail")
    assert found["progress"] == [3, 4, "<i>"]
    assert found["result"] == {"url": "<b>"}
    lost = new_id()
    details = {"error": ["ValueError", "no <u>", "a"], "ended": 6000}
    fields = {"s": "failed", "d": json.dumps(details)}
    redis_client.hset(f"resque:job:{lost}", mapping=fields)
    page = browser.get(f"/jobs/{lost}").text
    assert state(page) == "▲ failed"
    assert "ValueError: no &lt;u&gt;" in page


def test_the_keys(browser: FlaskClient) -> None:
    page = browser.get("/keys").text
    assert 'data-part="dialog"' in page
    assert "next and previous row" in page
