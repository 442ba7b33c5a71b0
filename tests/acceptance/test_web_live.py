"""A page that is watched for long: what a poll must not disturb, what it says, when it stops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.test_web_pages import Site, busy_site, signed_in
from tests.support.browser import needs_browser

POLLS = 60
LIVE = '[data-part="live"]'
HIDE = """is => {
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => is});
    document.dispatchEvent(new Event('visibilitychange')); }"""
SPOKEN = """() => { window.spoken = [];
    new MutationObserver(() => window.spoken.push(document.querySelector('#say').textContent))
        .observe(document.querySelector('#say'), {childList: true, characterData: true,
                                                  subtree: true}); }"""

pytestmark = needs_browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with busy_site(tmp_path_factory.mktemp("live")) as site:
        yield site


@pytest.fixture(scope="module")
def new_context(site: Site) -> Iterator[Any]:
    with signed_in(site) as new_context:
        yield new_context


def polls_of(page: Any) -> list[str]:
    """Grows by the address of each poll that was answered."""
    polls: list[str] = []
    page.on("response", lambda answer: "live=" in answer.url and polls.append(answer.url))
    return polls


def wait_for_polls(page: Any, polls: list[str], count: int) -> None:
    for _ in range(600):
        if len(polls) >= count:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{len(polls)} polls of {count}")


def test_a_poll_disturbs_nothing(site: Site, new_context: Any) -> None:
    with new_context(viewport={"width": 1280, "height": 700}) as context:
        page = context.new_page()
        polls = polls_of(page)
        page.goto(site.address("/running"))
        rows = page.locator("tr[data-row]")
        rows.nth(0).locator("a.name").click()
        page.locator("tr.detail").wait_for()
        keys = [rows.nth(number).get_attribute("data-key") for number in range(2, 6)]
        box = page.locator(f'tr[data-key="{keys[1]}"] input[data-select]')
        box.check()
        link = page.locator(f'tr[data-key="{keys[2]}"] a.name')
        link.focus()
        page.evaluate("scrollTo(0, 300)")
        first = page.locator(LIVE).get_attribute("data-number")
        polls.clear()
        wait_for_polls(page, polls, POLLS)
        assert page.locator(LIVE).get_attribute("data-number") != first
        assert page.locator("input[data-select]:checked").count() == 1
        assert box.is_checked()
        assert link.evaluate("link => link === document.activeElement")
        assert page.evaluate("scrollY") == 300
        assert page.locator("tr.detail").count() == 1
        # While one is ticked rows keep their order.
        assert [rows.nth(n).get_attribute("data-key") for n in range(2, 6)] == keys


def test_a_hidden_tab_asks_nothing(site: Site, new_context: Any) -> None:
    with new_context() as context:
        page = context.new_page()
        polls = polls_of(page)
        page.goto(site.address("/"))
        wait_for_polls(page, polls, 2)
        page.evaluate(HIDE, True)
        page.wait_for_timeout(1500)  # one may be under way
        polls.clear()
        page.wait_for_timeout(4000)
        assert polls == []
        with page.expect_response(lambda answer: "live=" in answer.url, timeout=1000):
            page.evaluate(HIDE, False)


def test_only_a_new_trouble_is_spoken(site: Site, new_context: Any) -> None:
    from playwright.sync_api import expect

    with new_context() as context:
        page = context.new_page()
        polls = polls_of(page)
        page.goto(site.address("/"))
        page.evaluate(SPOKEN)
        wait_for_polls(page, polls, 6)
        assert page.evaluate("spoken") == []
        late = (int(site.client.time()[0]) - 60) * 1000
        site.client.zadd("resque:later", {next(iter(site.client.hkeys("resque:later:jobs"))): late})
        expect(page.locator("#say")).not_to_be_empty(timeout=20_000)
        said = page.evaluate("spoken")
        assert "Scheduled jobs are late" in said[0]
        wait_for_polls(page, polls, len(polls) + 5)
        assert page.evaluate("spoken") == said == [said[0]]


def test_motion_and_colours_of_the_user(site: Site, new_context: Any) -> None:
    moves = "document.getAnimations().length"
    with new_context(reduced_motion="no-preference") as context:
        page = context.new_page()
        page.goto(site.address("/"))
        assert page.evaluate(moves) == 1
    with new_context(reduced_motion="reduce", forced_colors="active") as context:
        page = context.new_page()
        page.goto(site.address("/"))
        assert page.evaluate(moves) == 0
        # What is only colour elsewhere has a sign and words.
        for line in page.locator("[data-trouble]").all():
            assert line.locator(".g").inner_text() in "✕▲◆◌"
            assert line.locator("h3").inner_text()
        page.goto(site.address("/running"))
        drawn = "bar => getComputedStyle(bar).fill"
        assert page.locator(".facets .bar").first.evaluate(drawn) != page.evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
