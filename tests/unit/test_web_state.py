"""Scheduled, Retries, Cron, Limits and locks, Redis, Audit: what they show, and acting there."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import redis
from flask.testing import FlaskClient

from gresque.client.schedules import Schedules
from gresque.store.store import Store
from tests.support.web import SAME_ORIGIN
from tests.unit.test_inspector_waiting import put


def post(browser: FlaskClient, path: str, code: int = 303, **form: str) -> str:
    """The text of the page on which it ends."""
    answer = browser.post(path, data=form, headers=SAME_ORIGIN)
    assert answer.status_code == code, answer.text
    return browser.get(answer.location).text if code == 303 else answer.text


@pytest.fixture
def waiting(store: Store) -> Store:
    for number in range(4):
        put(store, number + 100, is_retry=number == 3)
    return store


def id_of(number: int) -> str:
    return f"{number + 100:032x}"


def test_scheduled_jobs_are_run_and_removed(browser: FlaskClient, waiting: Store) -> None:
    page = browser.get("/scheduled").text
    assert page.index("Job100(100)") < page.index("Job101(101)") < page.index("Job102(102)")
    assert "Job103" not in page, "that is a retry"
    assert "Job101" not in browser.get("/scheduled?q=class:Job100").text
    assert "1 job put into its queue." in post(browser, "/waiting", only=id_of(0))
    assert waiting.queues.size("mail") == 1
    asked = browser.get(f"/waiting/cancel?job={id_of(1)}&of=scheduled").text
    assert "Remove 1 job for good?" in asked
    assert "1 job removed." in post(browser, "/waiting", job=id_of(1), act="cancel")
    assert waiting.later.count() == 2
    assert "It does not wait for its time" in post(browser, "/waiting", 409, only=id_of(1))
    assert "No job was selected." in post(browser, "/waiting")


def test_retries_say_why_they_wait(browser: FlaskClient, waiting: Store) -> None:
    page = browser.get("/retries").text
    assert "Job103(103)" in page
    assert "ValueError: no" in page
    assert "1 job put into its queue." in post(browser, "/waiting", only=id_of(3), of="retries")
    assert "No job waits to run again." in browser.get("/retries").text
    (entry,) = [line for line in browser.get("/audit").text.splitlines() if "Job103" in line]
    assert "retries run" in entry


def test_a_filter_that_is_wrong_is_said_so(browser: FlaskClient) -> None:
    answer = browser.get("/scheduled?q=host:x")
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text.split('id="wrong"')[1][:40]


def test_schedule_entries(browser: FlaskClient, store: Store) -> None:
    schedules = Schedules(lambda: nullcontext(store))
    schedules.set("night <1>", cron="0 9 * * *", tz="Europe/Berlin", job="A", queue="q")
    name = {"name": "night <1>"}
    opened = browser.get("/cron", query_string={"open": "night <1>"}).text
    assert opened.count(" 09:00:00+0") >= 8
    assert "is enqueued." in post(browser, "/cron", act="run", **name)
    assert store.queues.size("q") == 1
    first = schedules.next("night <1>", 1)[0]
    assert "does not run at" in post(browser, "/cron", act="skip", **name)
    assert schedules.next("night <1>", 1)[0] > first
    assert "is paused." in post(browser, "/cron", act="pause", **name)
    assert "has no next time" in post(browser, "/cron", 409, act="skip", **name)
    assert "goes on." in post(browser, "/cron", act="resume", **name)
    assert "is no action" in post(browser, "/cron", 400, act="x", **name)
    assert "No schedule entry is named" in post(browser, "/cron", 404, act="run", name="x")
    assert browser.get("/audit").text.count("schedule night &lt;1&gt;") >= 4


def test_limits(browser: FlaskClient, store: Store) -> None:
    given = {"queue": "mail", "concurrent": "5", "rate": "100/m", "burst": "10"}
    text = post(browser, "/limits/change", act="set", **given)
    assert "mail: at most 5 jobs at once, 100/m in bursts of 10." in text
    assert "mail is paused." in post(browser, "/limits", act="pause", queue="mail")
    assert store.policies.read().policy("mail").paused
    assert "mail: paused, 100/m" in post(browser, "/limits/change", act="no_cap", queue="mail")
    assert "mail goes on." in post(browser, "/limits", act="unpause", queue="mail")
    assert "mail: no limits." in post(browser, "/limits/change", act="no_rate", queue="mail")
    assert "All queues are paused." in post(browser, "/limits/change", act="pause_all")
    assert "Go on with all queues" in browser.get("/limits").text
    assert "All queues go on." in post(browser, "/limits/change", act="unpause_all")
    text = post(browser, "/limits", act="verify")
    assert "No count of jobs in flight had to be corrected." in text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"queue": "mail"}, "give how many run at once"),
        ({"queue": "mail", "concurrent": "x"}, "x is no number"),
        ({"queue": "mail", "concurrent": "0"}, "a pause"),
        ({"queue": "mail", "rate": "fast"}, "is no rate"),
        ({"queue": "", "concurrent": "1"}, "is not the name of a queue"),
    ],
)
def test_wrong_limits(browser: FlaskClient, form: dict[str, str], words: str) -> None:
    text = post(browser, "/limits/change", 400, act="set", **form)
    assert words.lower() in text.lower()


def test_a_lock_is_released(browser: FlaskClient, redis_client: redis.Redis) -> None:
    digest = "0" * 32
    lock = {"id": "one", "mode": "both", "class": "A", "key": 'A ["x"]', "queue": "q", "since": "1"}
    redis_client.hset(f"resque:unique:{digest}", mapping=lock)
    assert "A [&#34;x&#34;]" in browser.get("/limits").text
    post(browser, "/locks/release", 409, digest=digest, job="two")
    assert "is released." in post(browser, "/locks/release", digest=digest, job="one")
    assert not redis_client.exists(f"resque:unique:{digest}")


def test_redis(browser: FlaskClient, redis_client: redis.Redis) -> None:
    redis_client.rpush("resque:failed", "x" * 1000)
    text = browser.get("/redis").text
    assert "failed jobs" in text
    assert "resque:failed" in text
    assert "Valkey 9" in text


def test_a_page_beyond_all_jobs_is_empty(browser: FlaskClient) -> None:
    assert browser.get("/scheduled?from=99999999999999999999999").status_code == 200
