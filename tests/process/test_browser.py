"""One real page in a real browser: a job that hogs the CPU is seen, and killed from its row."""

from __future__ import annotations

from pathlib import Path

from tests.process.support import PATIENCE_SECONDS, Bench, wait_for
from tests.support.browser import chromium, dashboard, needs_browser

pytestmark = needs_browser


def test_a_job_that_hogs_the_cpu_is_killed_from_its_row(bench: Bench, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    bench.client.enqueue_to("q", "Behave", "sleep", 600)
    bench.start("-q", "q", "-t", "4", "-j", "100")
    wait_for(lambda: bench.redis.llen("started") == 1, PATIENCE_SECONDS)
    bench.client.enqueue_to("q", "Behave", "spin")
    said: list[str] = []
    limit = PATIENCE_SECONDS * 1000
    with dashboard(bench.redis_url, tmp_path) as link, chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda message: said.append(f"{message.location['url']} {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(link, timeout=limit)
        page.goto(link.partition("/in?")[0] + "/running", timeout=limit)
        hog = page.locator("tr[data-row]", has_text='"spin"')
        sleeper = page.locator("tr[data-row]", has_text='"sleep"')
        expect(hog).to_contain_text("holds the CPU", timeout=limit)
        sleeper.locator("input[data-select]").check()
        number = page.locator('[data-part="live"]').get_attribute("data-number")
        expect(page.locator('[data-part="live"]')).not_to_have_attribute(
            "data-number", number or "", timeout=limit
        )
        expect(sleeper.locator("input[data-select]")).to_be_checked()
        hog.get_by_role("button", name="Kill").click()
        expect(hog.locator('[role="status"]')).to_contain_text("killed", timeout=limit)
    assert [entry.exception for entry in bench.failed()] == ["DirtyExit"]
    assert bench.held() == 1, "its neighbour goes on"
    assert said == []


def test_the_bar_of_the_shards_stands_in_the_middle_of_the_head(
    redis_url: str, tmp_path: Path
) -> None:
    """Wide and narrow; it used to fill the height, with its names at the top."""
    urls = f"a={redis_url}?db=0 b={redis_url}?db=1"
    with dashboard("", tmp_path, REDIS_URLS=urls) as link, chromium() as browser:
        page = browser.new_page()
        page.goto(link, timeout=PATIENCE_SECONDS * 1000)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 844})
            bar, name = (
                page.locator(f"nav.seg{inner}").first.bounding_box() for inner in ("", " a")
            )
            mark = page.locator(".top .mark").bounding_box()
            assert bar["height"] - name["height"] <= 2
            assert abs(bar["y"] + bar["height"] / 2 - mark["y"] - mark["height"] / 2) <= 2
