"""Kills from the page of running jobs, in a browser, by keyboard, with real workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.process.support import Bench, wait_for
from tests.support.browser import chromium, dashboard, needs_browser

KINDS = {
    "sleep": ("killed", (600,)),
    "socket": ("killed", ()),
    "swallow": ("killed", (600,)),
    "finally": ("killed", ()),
    "spin": ("killed", ()),
    "hold the GIL": ("killed with its process", ()),
    "immortal": ("killed with its process", (False,)),
    "catch": ("ended by itself", ()),
}
"""How a job behaves -> its outcome, and arguments."""
MANY = 1207
MANY_SECONDS = 30
PATIENCE_MS = 60_000

pytestmark = needs_browser


@contextmanager
def running_page(bench: Bench, directory: Path) -> Iterator[Any]:
    with dashboard(bench.redis_url, directory) as link, chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(link)
        page.keyboard.press("g")
        page.keyboard.press("r")
        page.wait_for_url("**/running")
        yield page


def press_kill(page: Any, row: Any) -> float:
    """Go to the row and press K; when that was."""
    row.wait_for()
    for _ in range(20):
        page.keyboard.press("j")
        if row.evaluate("row => row.contains(document.activeElement)"):
            break
    page.keyboard.press("K")
    return time.monotonic()


@pytest.mark.parametrize("how", KINDS)
def test_each_kind_of_job_is_killed_by_key(bench: Bench, tmp_path: Path, how: str) -> None:
    from playwright.sync_api import expect

    outcome, arguments = KINDS[how]
    bench.start("-q", "q", "-t", "10", "-j", "1000")
    for number in range(3):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 15)
    wait_for(lambda: bench.begun() == 3)
    bench.client.enqueue_to("q", "Behave", how, *arguments)
    with running_page(bench, tmp_path) as page:
        row = page.locator("tr[data-row]", has_text=f'"{how}"')
        pressed = press_kill(page, row)
        expect(row.locator('[role="status"]')).to_contain_text(outcome, timeout=PATIENCE_MS)
        print(f"{how}: {outcome} after {time.monotonic() - pressed:.2f} s")
    wait_for(lambda: bench.runs() == {str(number): 1 for number in range(3)}, 60)


def test_one_in_a_critical_section_dies_at_its_end(bench: Bench, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    bench.start("-q", "q", "-t", "3", "-j", "1000")
    bench.client.enqueue_to("q", "Guarded", "over", "until")
    with running_page(bench, tmp_path) as page:
        row = page.locator("tr[data-row]", has_text="Guarded")
        press_kill(page, row)
        status = row.locator('[role="status"]')
        expect(status).to_contain_text("uninterruptible", timeout=PATIENCE_MS)
        bench.redis.set("over", 1)
        expect(status).to_contain_text("killed", timeout=PATIENCE_MS)


def test_all_that_match_are_killed(bench: Bench, tmp_path: Path) -> None:
    bench.start("-q", "q,other", "-w", "2", "-t", "1000", "-j", "100000")
    bench.client.enqueue_many("Behave", [("sleep", 600)] * MANY, queue="q")
    bench.client.enqueue_to("other", "CountSlowly", "neighbour", 40)
    wait_for(lambda: bench.redis.llen("started") == MANY, 60)
    wait_for(lambda: bench.begun() == 1, 60)
    with running_page(bench, tmp_path) as page:
        page.keyboard.press("/")
        page.keyboard.type("class:Behave")
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")  # out of the field, or keys would be text
        page.get_by_role("link", name=f"Kill all {MANY:,}").wait_for()
        page.keyboard.press("A")
        page.get_by_label("Type the number of jobs").wait_for()
        page.keyboard.type(str(MANY))
        page.keyboard.press("Enter")
        pressed = time.monotonic()
        wait_for(lambda: bench.redis.llen("resque:failed") == MANY, 60)
        seconds = time.monotonic() - pressed
        print(f"{MANY:,} jobs killed after {seconds:.1f} s")
        page.locator("section").get_by_text("No job of this filter").wait_for()
    assert seconds < MANY_SECONDS
    assert {entry.exception for entry in bench.failed()} == {"DirtyExit"}
    wait_for(lambda: bench.runs() == {"neighbour": 1}, 60)
