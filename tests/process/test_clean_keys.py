"""What is left in Redis after a long life: no key that grows, none that nobody would delete."""

from __future__ import annotations

import json
import signal

from gresque.control.flow import pause
from gresque.control.marks import mark
from gresque.store.store import Store
from tests.process.support import PATIENCE_SECONDS, Bench, wait_for

JOBS = 15_000
JOBS_PER_FORK = 150
CRASHING = 3
BULK = 1_000

LASTING = {
    "resque:queues", "resque:failed", "resque:stat:processed", "resque:stat:failed",
}  # fmt: skip
"""One key each, however much was done. `failed` is for people to read and to clear."""

SHOWN = {
    "resque:metrics:second", "resque:metrics:minute", "resque:metrics:ten", "resque:metrics:times",
    "resque:metrics:depth", "resque:heads", "resque:marks", "resque:logs", "resque:log",
}  # fmt: skip
"""What pages show of the past."""
THREE_DAYS = 3 * 86_400


def lasting_keys(bench: Bench) -> set[str]:
    """All keys but those that expire by themselves."""
    found = bench.keys()
    return {key for key in found if bench.redis.ttl(key) < 0}


def test_15_000_jobs_and_a_hundred_processes_leave_nothing_behind(bench: Bench) -> None:
    """tests/acceptance has ten times as many."""
    live_for(bench, JOBS)


def live_for(bench: Bench, jobs: int) -> None:
    """Run this number of jobs, and see what is left."""
    item = b'{"class":"Nothing","args":[%d],"id":"%032x","generation":1}'
    for start in range(0, jobs, BULK):
        bench.push_raw("q", *(item % (n, n) for n in range(start, start + BULK)))
        if start % (jobs // CRASHING) == 0:
            bench.push_raw("q", b'{"class":"Poison","args":[]}')
    master = bench.start("-q", "q", "-w", "2", "-t", "50", "-j", str(JOBS_PER_FORK))
    sizes: list[int] = []

    def is_done() -> bool:
        sizes.append(len(bench.keys()))
        return bench.stat("processed") == jobs + CRASHING

    wait_for(is_done, 240)
    wait_for(lambda: not bench.held())
    # While it works there are a few keys for each of its processes: as many at the end as before.
    assert max(sizes) < 50
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert lasting_keys(bench) == LASTING
    assert bench.keys() - LASTING == {"resque:recoveries"}
    assert bench.stat("failed") == bench.redis.llen("resque:failed") == CRASHING
    log = [json.loads(entry) for entry in bench.redis.lrange("resque:recoveries", 0, -1)]
    assert 3 <= len(log) <= 3 * CRASHING
    assert sum(entry["poison"] for entry in log) == CRASHING
    assert f"= {jobs:,} done + {CRASHING} failed" in master.log


def test_what_pages_show_of_the_past_ends_by_itself(bench: Bench) -> None:
    """Keys of minutes and of jobs; the audit log is one key of bounded length."""
    bench.push_raw("foreign", b'{"class":"Nothing","args":[]}')
    for number in range(3):
        bench.client.enqueue_to("q", "Nothing", number)
        bench.client.enqueue_to("q", "LogsAndFails")
    store = Store(bench.redis_url, bench.namespace)
    mark(store, "deploy", by="ana")
    pause(store, "other", by="ana")
    store.close()
    master = bench.start("-r", "tests.process.logging_jobs", "-q", "q", "-t", "2", "-j", "100")

    def shown() -> set[str]:
        names = {key.decode().rstrip("0123456789abcdef") for key in bench.redis.keys("resque:*")}
        return {name.rstrip(":") for name in names} & SHOWN

    wait_for(lambda: shown() == SHOWN, PATIENCE_SECONDS)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert bench.stat("failed") == 3
    assert lasting_keys(bench) == LASTING | {
        "resque:queue:foreign", "resque:policies", "resque:audit",
    }  # fmt: skip
    ending = [key for key in bench.redis.keys("resque:*") if bench.redis.ttl(key) >= 0]
    assert len(ending) >= len(SHOWN)
    assert all(bench.redis.ttl(key) <= THREE_DAYS for key in ending)
