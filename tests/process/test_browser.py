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
