"""`gresque status`, as a user calls it; with real workers in tests/process/test_status.py."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
import redis

from gresque.cli import status
from gresque.cli.main import run
from gresque.cli.table import width
from tests.support.cli import Call
from tests.support.views import PROCESS, fail, item, process, wait


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "BETWEEN_SECONDS", 0.0)


class Screen(io.StringIO):
    """A stdout that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_a_terminal(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lines on a terminal of 80 × 24."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str) -> tuple[int, list[str]]:
        screen = Screen()
        monkeypatch.setattr(sys, "stdout", screen)
        return run(["status", *arguments]), screen.getvalue().splitlines()

    return call


def break_it(client: redis.Redis, classes: int) -> None:
    process(client, PROCESS, item("A"), runs={"0": 5})
    for number in range(classes):
        fail(client, f"jobs.Class{number:03}WithALongName" + "x" * 40, 20)


def test_all_is_well(call: Call, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"))
    answer = call("status")
    assert answer.code == 0
    first, empty, *totals = answer.out.splitlines()
    assert first.startswith("all is well at ")
    assert (empty, len(totals)) == ("", 3)
    assert totals[0] == "done     0/s, 0 in all; failed 0/s, 0 in all, 0 kept"
    assert totals[1:] == [
        "waiting  0 jobs in 0 queues",
        "running  1 job in 1 process of 1 worker",
    ]
    assert call("status", "--strict").code == 0


def test_a_warning(call: Call, redis_client: redis.Redis) -> None:
    process(redis_client, state="paused")
    wait(redis_client, "mail", item("A"))
    answer = call("status")
    assert answer.code == 0
    first, second, third, *_ = answer.out.splitlines()
    assert first.startswith("1 warning at ")
    assert second.startswith("▲ queue mail is paused")
    assert third == "    kill -CONT 10"
    assert call("status", "--strict").code == 1


def test_something_is_broken(call: Call, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"), runs={"0": 9}, blocks=("0", 9), state="paused")
    wait(redis_client, "mail", item("A"))
    wait(redis_client, "web", item("A", age=60))
    answer = call("status")
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0].startswith("2 things are broken, 1 warning at ")
    assert [line[:1] for line in lines if line and line[0] in "✕▲"] == ["✕", "✕", "▲"]
    found = json.loads(call("status", "--json").out)
    assert found["ok"] is False
    assert [each["kind"] for each in found["findings"]] == ["blocked", "unserved", "paused"]
    assert found["totals"]["queues"] == {"mail": 1, "web": 1}
    assert found["findings"][1]["commands"] == ["gresque work -q web"]
    assert call("status", "--json").code == 1


def test_commands_for_the_same_server(
    call: Call, redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_client.sadd("n s:queues", "web")
    redis_client.rpush("n s:queue:web", "{}")
    out = call("status", "--redis", redis_url, "--namespace", "n s").out
    assert f"    gresque work -q web --redis {redis_url} --namespace 'n s'\n" in out
    monkeypatch.setenv("RESQUE_NAMESPACE", "n s")
    secret = redis_url.replace("unix://", "unix://default:secret@")
    out = call("status", "--redis", secret).out
    assert "    gresque work -q web\n" in out


def test_a_screen_holds_it(on_a_terminal: Any, redis_client: redis.Redis) -> None:
    break_it(redis_client, 30)
    code, lines = on_a_terminal()
    assert code == 1
    assert len(lines) <= 23
    assert all(width(line) <= 80 for line in lines)
    assert lines[1].startswith("✕ jobs.Class")
    assert lines[3].startswith("    gresque failed list --class jobs.Class")
    assert lines[-5].endswith(" more: gresque status | less")
    assert lines[-1].startswith("running  1 job")


def test_a_terminal_that_knows_only_ascii(
    on_a_terminal: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Screen, "encoding", "ascii")
    break_it(redis_client, 3)
    _, lines = on_a_terminal()
    assert lines[1].startswith("x jobs.Class")
    assert "\n".join(lines).isascii()
    assert all(width(line) <= 80 for line in lines)


def test_a_pipe_gets_all_of_it(call: Call, redis_client: redis.Redis) -> None:
    break_it(redis_client, 30)
    lines = call("status").out.splitlines()
    assert sum(line.startswith("✕") for line in lines) == 30
    assert "more: " not in lines[-5]


@pytest.mark.parametrize("flags", [["--json"], []], ids=str)
def test_watch_needs_a_terminal(call: Call, flags: list[str]) -> None:
    answer = call("status", "--watch", *flags)
    assert answer.code == 2
    assert "leave it out" in answer.err


def test_watch_until_ctrl_c(
    on_a_terminal: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(redis_client, "Broken", 20)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if pauses.count(status.WATCH_SECONDS) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    code, lines = on_a_terminal("--watch")
    assert code == 0
    assert sum(line.startswith("\x1b[H\x1b[2J1 thing is broken") for line in lines) == 2


def test_watch_while_redis_is_away(on_a_terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    code, lines = on_a_terminal("--watch")
    assert code == 0
    assert lines[0].startswith("\x1b[H\x1b[2J✕ no answer from Redis at 127.0.0.1:1")


def test_redis_is_away(call: Call) -> None:
    answer = call("status", "--redis", "redis://127.0.0.1:1/0")
    assert answer.code == 1
    assert "no answer from Redis" in answer.err
