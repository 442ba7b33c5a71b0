"""Overview, with what stands in Redis."""

from __future__ import annotations

import json
import re

import pytest
import redis
from flask.testing import FlaskClient

from benchmarks.held import hold, job_id, process_name
from gresque.inspector.metrics import Point, Series, Step
from gresque.jobs import filter_args
from gresque.store.commands import Blocking, JobWait, Running, encode_waits
from gresque.store.metrics import Counts
from gresque.store.store import Store
from gresque.web.pages import throughput
from tests.support.views import OTHER, PROCESS, process
from tests.support.web import SAME_ORIGIN, come_in, open_app


def test_an_empty_system(browser: FlaskClient) -> None:
    page = browser.get("/").text
    assert "No worker runs" in page
    assert "No queue holds jobs." in page
    assert page.count("No job has ended in this time.") == 2


def test_numbers_and_queues(browser: FlaskClient, store: Store) -> None:
    store.enqueuer.push("mail", [b"{}"] * 1_234)
    store.enqueuer.push("web", [b"{}"])
    store.policies.pause("mail")
    page = browser.get("/").text
    assert re.search(r'Waiting</span><span class="v">1,235<', page)
    assert re.findall(r'data-key="q:(\w+)"', page) == ["mail", "web"]
    assert '<span class="tag still">paused</span>' in page
    assert "2 queues" in page


def test_what_waits_in_paused_queues_alone(browser: FlaskClient, store: Store) -> None:
    store.enqueuer.push("mail", [b"{}"])
    store.policies.pause("mail")
    assert "all in paused queues" in browser.get("/").text


def test_how_many_jobs_of_a_queue_run(browser: FlaskClient, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 3)
    page = browser.get("/").text
    row = re.search(r'<tr data-key="q:mail".*', page)
    assert row is not None and '<td class="n">6</td>' in row[0]
    assert browser.get("/api/queues").json == [browser.get("/api/queue?queue=mail").json]
    assert browser.get("/api/queues").json[0]["running"] == 6


def test_a_silent_process_is_not_counted(browser: FlaskClient, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS)
    process(redis_client, OTHER, beat_age=30)
    assert re.search(r'Processes</span><span class="v[^"]*">1<small>of', browser.get("/").text)


def test_an_action_is_seen_at_once(browser: FlaskClient, store: Store) -> None:
    store.enqueuer.push("mail", [b"{}"])
    for _ in range(3):
        assert 'tag still">paused' not in browser.get("/").text
        browser.post("/queues/mail/pause", headers=SAME_ORIGIN)
        assert 'tag still">paused' in browser.get("/").text
        browser.post("/queues/mail/unpause", headers=SAME_ORIGIN)


def test_a_job_that_blocks_others_is_named_with_a_button(
    browser: FlaskClient, store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 1, 3)
    now = store.now()
    running = Running({"1": now - 9}, Blocking("1", now - 9, ["/srv/shop/a.py:7:in `spin'"]))
    redis_client.set(f"resque:running:{process_name(0)}", running.encode())
    page = browser.get("/").text
    assert re.search(r"<h2>\d things? (is|are) wrong", page)
    assert "A job blocks its process" in page
    assert f'name="only" value="{job_id(0, 1)}" data-first>Kill</button>' in page
    assert f"/running?q=id:{job_id(0, 1)}&amp;open={job_id(0, 1)}" in page


def test_what_jobs_wait_on_and_what_is_hidden(
    redis_url: str, store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 1, 1)
    item = {"class": "Mail", "args": [{"pin_code": "hush"}, "shown"], "id": job_id(0, 0)}
    redis_client.hset(
        f"resque:ledger:{process_name(0)}", "0", f"17:resque:queue:mail{json.dumps(item)}"
    )
    running = Running({"0": store.now() - 9})
    waits = {"0": JobWait("recv x:443", 0.25, "a.py:7 f")}
    redis_client.set(f"resque:waits:{process_name(0)}", encode_waits(waits))
    redis_client.set(f"resque:running:{process_name(0)}", running.encode())
    with open_app(redis_url, filter_args=("pin_code",)) as app:
        page = come_in(app).get("/running").text
        filter_args.use(())
    assert "recv x:443" in page
    assert 'title="a.py:7 f"' in page
    assert "hush" not in page
    assert "shown" in page


def test_the_span_of_a_chart_stands_in_the_address(browser: FlaskClient) -> None:
    page = browser.get("/?span=1h&long=nonsense").text
    assert 'href="/?span=1h&amp;long=3d"' in page
    assert re.findall(r'aria-current="true">([^<]+)<', page) == ["1 h", "24 h"]


@pytest.mark.parametrize(("seconds", "last"), [(9, "1 k"), (10, "60")])
def test_the_current_minutes_count_once_there_are_some(seconds: int, last: str) -> None:
    points = (Point(0, 600, Counts(10_000)), Point(600, 600, Counts(10_000)),
              Point(1200, seconds, Counts(seconds)))  # fmt: skip
    drawn = throughput.chart("24h", Series(Step.TEN_MINUTES, points), (), 540)
    assert drawn is not None
    assert f"Done: now {last} /min" in drawn.replace("1,000", "1 k")


def test_a_long_series_is_thinned_by_means() -> None:
    assert throughput.thinned([1, 3, 5, 7, 9], 3) == [2, 6, 9]
    assert throughput.thinned([1, 2], 300) == [1, 2]
