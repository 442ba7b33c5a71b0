"""`gresque stacks`, as a user calls it, with processes that the test plays."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from benchmarks.held import hold, process_name
from gresque.store.commands import Command
from gresque.store.store import Store
from tests.support.cli import Call

STACK = ["/v/gevent/hub.py:1:in `sleep'", "/app/jobs.py:7:in `fetch\x1b[2J'"]


def greenlets(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"Fetch({number})", "class": "Fetch", "on_cpu": False, "seconds": 5.0,
         "waits_on": "a lock", "stack": STACK}
        for number in range(count)
    ]  # fmt: skip


@contextmanager
def answering(store: Store, client: redis.Redis, count: int, silent: int = -1) -> Iterator[None]:
    """Each process answers with so many greenlets; but for one."""
    over = threading.Event()

    def play() -> None:
        while not over.is_set():
            for number in range(2):
                raw = client.lpop(f"resque:commands:{process_name(number)}")
                if isinstance(raw, bytes) and number != silent:
                    store.commands.give_answer(Command.parse(raw).token, greenlets(count))
            time.sleep(0.005)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_equal_ones_are_one(call: Call, store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 1)
    with answering(store, redis_client, 75):
        answer = call("stacks")
    assert answer.code == 0
    title, *frames = answer.out.splitlines()
    assert title.startswith("150 × Fetch in vm:5000 (75), vm:5001 (75), the longest for 5.0 s")
    assert frames == [r"    /app/jobs.py:7:in `fetch\x1b[2J'"]


def test_each(call: Call, store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 1)
    with answering(store, redis_client, 2):
        out = call("stacks", "--each", "vm:5001").out
        found = json.loads(call("stacks", "--json").out)
    assert out.splitlines()[:2] == [
        process_name(1), "  Fetch(0), for 5.0 s, waits on a lock",
    ]  # fmt: skip
    assert len(out.splitlines()) == 5
    assert [each["greenlets"][0]["stack"] for each in found] == [STACK, STACK]


@pytest.mark.parametrize("flags", [[], ["--each"]], ids=str)
def test_one_that_does_not_answer(
    call: Call, store: Store, redis_client: redis.Redis, flags: list[str]
) -> None:
    hold(redis_client, 2, 1)
    with answering(store, redis_client, 0, silent=1):
        answer = call("stacks", "--wait", "2", *flags)
    assert answer.code == 1
    assert "did not answer" in answer.out
    assert "no jobs are running" in answer.out
