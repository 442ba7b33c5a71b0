"""`gresque top` as a command."""

from __future__ import annotations

import sys

import pytest
import redis

from tests.support.cli import Call
from tests.support.top import fill


def test_once(call: Call, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(redis_client)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    answer = call("top", "--once")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert len(lines) <= 23
    assert lines[0].startswith("gresque top  resque")
    assert any("reports.BuildPdf(8812" in line for line in lines)
    assert "\x1b" not in answer.out
    assert "quit" not in answer.out, "no keys where there are none to press"


def test_it_needs_a_terminal(call: Call) -> None:
    answer = call("top")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "gresque: gresque top needs a terminal; --once prints one frame without one\n"
    )


def test_the_missing_extra(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    answer = call("top")
    assert (answer.code, answer.err) == (
        2, "gresque: gresque top needs Textual: pip install 'gresque[top]'\n"
    )  # fmt: skip


def test_no_redis(call: Call) -> None:
    answer = call("top", "--once", "--redis", "redis://127.0.0.1:1/0")
    assert answer.code == 1
    assert answer.err.startswith("gresque: no answer from Redis at ")
    assert answer.err.count("\n") == 1
