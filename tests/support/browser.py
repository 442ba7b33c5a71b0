"""Debian's Chromium, and the dashboard that it opens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.process.support import PATIENCE_SECONDS, ROOT, wait_for
from tests.support.server import free_port

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
"""It runs as root, without a screen, and asks no server but that of the test."""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None,
    reason="no browser: install Debian's package chromium",
)


@contextmanager
def dashboard(redis_url: str, directory: Path, **env: str) -> Iterator[str]:
    """`gresque web` on this Redis; the link that lets a browser in."""
    output = directory / "web.log"
    with output.open("wb") as log:
        command = [sys.executable, "-m", "gresque", "web", "--bind", f"127.0.0.1:{free_port()}"]
        env = {**os.environ, "REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1", **env}
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        yield wait_for(lambda: _link(output), PATIENCE_SECONDS)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        print(output.read_text())


def _link(output: Path) -> str:
    return next((w for w in output.read_text().split() if "/in?token=" in w), "")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
