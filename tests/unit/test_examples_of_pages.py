"""The Python of the pages about the API, run block by block as it stands there, with a server."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import gresque
from gresque.client import default
from gresque.jobs.registry import registry
from gresque.schedule.declared import declared
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    "api",
    "enqueueing",
    "time",
    "flow",
    "from-celery",
    "from-rq",
    "from-resque",
    "middleware",
    "arguments",
    "activejob",
]
ELSEWHERE = ("# Celery\n", "# RQ\n")


@pytest.fixture(autouse=True)
def _own_jobs(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, own_middleware: None
) -> Iterator[None]:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setattr(default, "_default", None)
    before = dict(registry._definitions)
    yield
    gresque.default_client().close()
    declared.clear()
    registry._definitions.clear()
    registry._definitions.update(before)


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_run(page: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.M | re.S)
    ours = [block for block in blocks if not block.startswith(ELSEWHERE)]
    assert ours

    @gresque.job(queue="mail", name="mail.send")
    def send_email(user_id: int) -> None: ...

    # As a module, whose jobs have its name.
    module = ModuleType(f"page_{page}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = vars(module)
    names.update(gresque=gresque, redis_url=redis_url, send_email=send_email)
    for block in ours:
        registry._definitions.clear()
        exec(compile(block, f"{page}.md", "exec", dont_inherit=True), names)
