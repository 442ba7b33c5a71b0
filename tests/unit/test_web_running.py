"""Running: its rows, its filter, and kills from it, with processes that the test plays."""

from __future__ import annotations

import html
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from flask.testing import FlaskClient

from benchmarks.held import hold, job_id, process_name
from gresque.inspector.audit import read_audit
from gresque.store.commands import Blocking, Command, Fate, KillAnswer, Running
from gresque.store.store import Store
from gresque.web import kills
from tests.support.web import SAME_ORIGIN, bearer, open_app, with_users

PROCESS = process_name(0)


@contextmanager
def answering(store: Store, client: redis.Redis, answer: object) -> Iterator[list[Command]]:
    """A process that gives this answer to the next command."""
    taken: list[Command] = []

    def play() -> None:
        asked = client.blpop([f"resque:commands:{PROCESS}"], 10)
        assert isinstance(asked, tuple | list)
        taken.append(Command.parse(asked[1]))
        store.commands.give_answer(taken[0].token, answer)

    thread = threading.Thread(target=play)
    thread.start()
    yield taken
    thread.join()


def rows(page: str) -> list[str]:
    """The ids of the jobs, from the top."""
    return re.findall(r'data-key="\S+ \d+ (\w+)"', page)


def test_rows_facets_and_filter(browser: FlaskClient, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 3)
    page = browser.get("/running").text
    assert rows(page)[:2] == [job_id(1, 2), job_id(0, 2)], "the oldest first"
    assert {"Class", "Queue", "Host"} <= set(re.findall(r"<h2><span>([^<]+)<", page))
    links = [html.unescape(each) for each in re.findall(r'href="(/running\?q=[^"]+)"', page)]
    (of_class,) = [each for each in links if each.startswith("/running?q=class")]
    assert rows(browser.get(of_class).text) == rows(page)
    none = browser.get("/running?q=class:Nope").text
    assert "No job of this filter" in none
    both = browser.get("/running?q=queue:mail&add=class:Nope").text
    assert 'name="q" value="queue:mail class:Nope"' in both


def test_a_filter_with_a_fault(browser: FlaskClient) -> None:
    page = browser.get("/running?add=>x")
    assert page.status_code == 200
    assert "is not an age" in page.text
    assert browser.get("/running/kill?q=>x").status_code == 400


def test_one_that_blocks_others(
    browser: FlaskClient, store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 1, 3)
    now = store.now()
    stack = ["/srv/shop/pdf.py:7:in `<b>'", "/v/site-packages/x/a.py:1:in `f'",
             "/v/site-packages/x/b.py:2:in `g'", "/v/gevent/hub.py:3:in `run'"]  # fmt: skip
    running = Running({"0": now - 90, "1": now - 5}, Blocking("1", now - 5, stack))
    redis_client.set(f"resque:running:{PROCESS}", running.encode())
    page = browser.get(f"/running?open={job_id(0, 1)}").text
    assert rows(page)[0] == job_id(0, 1)
    assert "holds the CPU; 2 others wait" in page
    assert (
        '<li class="own" title="/srv/shop/pdf.py:7:in `&lt;b&gt;&#39;">srv/shop/pdf.py:7 in' in page
    )
    assert "<summary>2 frames of x</summary>" in page
    assert "/v/site-packages/x/b.py:2:in `g&#39;" in page
    assert "gevent/hub.py" not in page


def test_an_open_row_asks_where_the_job_stands(
    browser: FlaskClient, store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 1, 1)
    greenlet = {"stack": ["/srv/shop/a.py:7:in `pull'"], "on_cpu": False, "waits_on": "recv x:443"}
    with answering(store, redis_client, [greenlet]) as taken:
        page = browser.get(f"/running?open={job_id(0, 0)}").text
    assert (taken[0].name, taken[0].argument) == ("stacks", job_id(0, 0))
    assert "shop/a.py:7 in pull" in page
    assert "waits on recv x:443" in page


def test_a_kill_and_its_outcome(
    browser: FlaskClient, store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 1, 3)
    wanted = job_id(0, 1)
    given = {"only": wanted, "back": "/running?q=>1s"}
    with answering(store, redis_client, KillAnswer(Fate.DEAD, in_failed=True)) as taken:
        answer = browser.post("/running/kill/jobs", data=given, headers=SAME_ORIGIN)
        assert (answer.status_code, answer.location) == (303, "/running?q=%3E1s")
    assert (taken[0].name, taken[0].argument) == ("kill", wanted)
    redis_client.hdel(f"resque:ledger:{PROCESS}", "1")
    redis_client.set(
        f"resque:running:{PROCESS}", Running({"2": store.now() - 9, "0": 1.0}).encode()
    )
    deadline = time.monotonic() + 10
    while "killed</b>" not in (page := browser.get("/running").text):
        assert time.monotonic() < deadline, page
        time.sleep(0.05)
    assert wanted in rows(page), "it stays in its place, with the outcome"
    for other in ("class:Other", "host:elsewhere"):
        assert "killed</b>" not in browser.get("/running", query_string={"q": other}).text
    deadline = time.monotonic() + 10
    while not (entries := read_audit(store, 5)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (entries[0].verb, entries[0].place) == ("kill", "web 127.0.0.1")


def test_a_kill_of_a_job_that_has_ended(browser: FlaskClient) -> None:
    given = {"only": "0" * 32}
    answer = browser.post("/running/kill/jobs", data=given, headers=SAME_ORIGIN)
    assert answer.status_code == 409
    assert "This job has ended" in answer.text
    answer = browser.post("/running/kill/jobs", headers=SAME_ORIGIN, follow_redirects=True)
    assert "No job was selected." in answer.text


class TestKillingAllThatMatch:
    def question(self, browser: FlaskClient, text: str) -> dict[str, str]:
        page = browser.get("/running/kill", query_string={"q": text}).text
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))

    def test_the_number_has_to_be_typed(
        self, browser: FlaskClient, redis_client: redis.Redis
    ) -> None:
        hold(redis_client, 1, 60)
        given = self.question(browser, "class:*")
        for typed in ("", "59"):
            answer = browser.post(
                "/running/kill", data=given | {"typed": typed}, headers=SAME_ORIGIN
            )
            assert answer.status_code == 400
            assert "nothing was killed" in answer.text
        assert not redis_client.exists(f"resque:commands:{PROCESS}")

    def test_only_what_was_shown(
        self,
        browser: FlaskClient,
        redis_client: redis.Redis,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(kills, "WAIT_SECONDS", 0)  # nobody answers
        hold(redis_client, 1, 3)
        given = self.question(browser, "")
        assert given["count"] == "3"
        for changed in ({"count": "2"}, {"count": ""}):
            answer = browser.post("/running/kill", data=given | changed, headers=SAME_ORIGIN)
            assert answer.status_code == 409
        later = given | {"before": "1", "count": "0"}
        answer = browser.post("/running/kill", data=later, headers=SAME_ORIGIN)
        assert answer.status_code == 303
        assert not redis_client.exists(f"resque:commands:{PROCESS}"), "all started after that"
        answer = browser.post("/running/kill", data=given, headers=SAME_ORIGIN)
        assert answer.status_code == 303
        deadline = time.monotonic() + 10
        while redis_client.llen(f"resque:commands:{PROCESS}") < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("settings", [{}, {"read_only": True}])
def test_a_reader_sees_no_button_and_may_not_kill(
    redis_url: str, redis_client: redis.Redis, settings: dict[str, bool]
) -> None:
    hold(redis_client, 1, 2)
    role = "admin" if settings else "read"
    with open_app(redis_url, **with_users(), **settings) as app:
        client = app.test_client()
        page = client.get("/running", headers=bearer(role)).text
        assert rows(page)
        assert "Kill" not in page
        assert client.get("/running/kill", headers=bearer(role)).status_code == 403
        answer = client.post("/running/kill/jobs", data={"only": "x"}, headers=bearer(role))
        assert answer.status_code == 403
