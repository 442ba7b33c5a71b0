"""Overview, with what stands in Redis."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from gresque.store.store import Store
from gresque.web.pages import throughput


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


def test_the_span_of_a_chart_stands_in_the_address(browser: FlaskClient) -> None:
    page = browser.get("/?span=1h&long=nonsense").text
    assert 'href="/?span=1h&amp;long=3d"' in page
    assert re.findall(r'aria-current="true">([^<]+)<', page) == ["1 h", "24 h"]


def test_a_long_series_is_thinned_by_means() -> None:
    assert throughput.thinned([1, 3, 5, 7, 9], 3) == [2, 6, 9]
    assert throughput.thinned([1, 2], 300) == [1, 2]
