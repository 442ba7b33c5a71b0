"""`gresque demo`, interrupted at its start and at its end, and helped by its user."""

from __future__ import annotations

import re
import signal
from contextlib import closing

import pytest
import redis

from gresque.control.kill import kill
from gresque.inspector.running import RunningJob
from gresque.store.store import Store
from tests.process.support import wait_for
from tests.process.test_demo import Sandbox, interrupt, read_until, sandbox

__all__ = ["sandbox"]


@pytest.mark.parametrize(
    ("number", "line"),
    [(signal.SIGINT, "  export REDIS_URL"), (signal.SIGHUP, "for comparison")],
    ids=["start", "comparison"],
)
def test_a_signal_leaves_nothing(
    sandbox: Sandbox,
    number: signal.Signals,
    line: str,
) -> None:
    interrupt(sandbox, number, line)


def test_a_hog_that_the_user_kills_is_no_fault(
    sandbox: Sandbox, redis_url: str, redis_client: redis.Redis
) -> None:
    demo = sandbox.start("--seconds", "2", "--threads", "1", "--redis", redis_url)
    shown = read_until(demo, "  export REDIS_URL")
    namespace = shown.partition("RESQUE_NAMESPACE=")[2].strip()
    read_until(demo, "a job that never waits")
    store = Store(redis_url, namespace)
    with closing(store):
        job = wait_for(lambda: [j for j in RunningJob.all(store) if j.item["class"] == "demo.Hog"])
        assert kill(store, job[0].item["id"], by="a test", wait_seconds=20)
    rest, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, rest
    assert re.search("it was killed from elsewhere|gresque kill [0-9a-f]+: (dead|ended)", rest)
    assert rest.endswith("; 0 lost\n")
