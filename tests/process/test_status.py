"""Three faults at once, and `gresque status` on a terminal of 80 × 24."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.process.support import ROOT, Bench, wait_for


def old_item(age: float) -> bytes:
    """The id of a job that was enqueued so many seconds ago."""
    job_id = f"{int((time.time() - age) * 1000):012x}7000{'8' * 16}"
    return json.dumps({"class": "Until", "args": ["never"], "id": job_id}).encode()


@pytest.fixture
def growing(bench: Bench) -> Iterator[str]:
    """A queue whose only thread is taken, and to which jobs come without end."""
    over = threading.Event()
    bench.redis.sadd("resque:queues", "slow")
    bench.redis.rpush("resque:queue:slow", *[old_item(300)] * 50)

    def grow() -> None:
        while not over.wait(0.02):
            bench.client.enqueue_to("slow", "Until", "never")

    thread = threading.Thread(target=grow)
    thread.start()
    yield "slow"
    over.set()
    thread.join()


def on_a_terminal(bench: Bench, *arguments: str) -> tuple[int, list[str]]:
    """Its exit code and its lines, on a terminal of its own."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "REDIS_URL": bench.redis_url, "COLUMNS": "80", "LINES": "24"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "gresque", *arguments],
        env=env, cwd=ROOT, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL,
    ) as command:  # fmt: skip
        os.close(theirs)
        out = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            out += part
        code = command.wait(30)
    os.close(ours)
    return code, out.decode().replace("\r", "").splitlines()


def test_three_faults(bench: Bench, growing: str) -> None:
    for number in range(30):
        bench.client.enqueue_to("q", "Boom", f"no route to host {number}")
    bench.client.enqueue_to("q", "Behave", "sleep", 60)
    bench.start("-q", "q", "-t", "5", "-j", "100000")
    bench.start("-q", growing, "-t", "1", "-j", "100000")
    wait_for(lambda: bench.stat("failed") == 30)
    blocking = bench.client.enqueue_to("q", "Behave", "spin")
    assert blocking is not None
    wait_for(
        lambda: any(b'"blocking":{' in (bench.redis.get(key) or b"")
                    for key in bench.redis.keys("resque:running:*"))
    )  # fmt: skip
    wanted = [
        'Behave("spin")',
        f"gresque kill {blocking[-8:]}",
        "Boom failed 30 times in 5 min with ValueError",
        "queue slow grows by",
        "\x1b[31m✕",
    ]
    shown: list[str] = []

    def in_its_first_lines() -> bool:
        code, shown[:] = on_a_terminal(bench, "status")
        return code == 1 and all(each in "\n".join(shown[:12]) for each in wanted)

    try:
        wait_for(in_its_first_lines)  # a first look may come before the queue has grown for long
    except AssertionError:
        pytest.fail("\n".join(shown))
    assert len(shown) <= 24

    code, lines = on_a_terminal(bench, "kill", blocking[-8:])
    assert code == 0, lines
    wait_for(lambda: "is blocked" not in "\n".join(on_a_terminal(bench, "status")[1]))
