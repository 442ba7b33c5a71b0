"""MAX_RSS_MB: a process above it is replaced, and what it runs goes on."""

from __future__ import annotations

import signal

import psutil
import pytest

from gresque.failure.entry import decode_entry
from tests.process.support import Bench, wait_for

LIMITED = ("-q", "q", "-t", "5", "-j", "100000", "--max-rss-mb", "200")


@pytest.mark.parametrize("spin_seconds", [0, 6])
def test_a_process_above_it_is_replaced_and_its_jobs_go_on(
    bench: Bench, spin_seconds: float
) -> None:
    bench.client.enqueue_to("q", "Until", "long")
    master = bench.start(*LIMITED)
    wait_for(lambda: bench.held() == 1)
    (first,) = master.children()
    bench.client.enqueue_to("q", "Allocate", 250, spin_seconds)
    # The successor is there although a job blocks the loop, and the long one still runs.
    wait_for(lambda: len(master.children()) == 2)
    bench.client.enqueue_to("q", "WhoRuns")
    (pid,) = wait_for(lambda: bench.redis.lrange("pids", 0, -1))
    assert int(pid) not in (first.pid, master.process.pid)
    assert first.is_running()
    bench.redis.rpush("long", "end")
    wait_for(lambda: bench.runs() == {"long": 1, "allocate": 1})
    wait_for(lambda: [child.pid for child in master.children()] == [int(pid)])
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert "stopped: reserved 3 = 3 done + 0 failed + 0 requeued" in master.log
    assert master.log.count("above MAX_RSS_MB=200: this process takes no more jobs") == 1
    assert "the limit may be too low" in master.log


def test_an_idle_process_above_it_leaves_at_once(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Allocate", 250)
    master = bench.start(*LIMITED)
    wait_for(lambda: bench.redis.exists("allocated"))
    old = psutil.Process(int(bench.redis.get("allocated")))
    wait_for(lambda: not old.is_running())
    bench.client.enqueue_to("q", "Count", "by the next one")
    wait_for(lambda: "by the next one" in bench.runs())
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_a_limit_below_what_a_process_starts_with_makes_no_fork_storm(
    bench: Bench, preload: str
) -> None:
    master = bench.start("-q", "q", "-t", "5", "-j", "100000", "--max-rss-mb", "10", preload)
    wait_for(lambda: "MAX_RSS_MB=10 is ignored: this process had" in master.log)
    first = {child.pid for child in master.children()}
    for _ in range(3):
        bench.client.enqueue_to("q", "CountSlowly", "slowly", 1.1)
        wait_for(lambda: bench.client.size("q") == 0 and bench.held() == 0)
    assert {child.pid for child in master.children()} == first
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert master.log.count("is ignored") == 1


def test_large_items_are_taken_one_at_a_time(bench: Bench) -> None:
    """Ten items of 9 MB: eight come in the first reply, which is more than 64 MB."""
    large = [b'{"class":"Count","args":[%d,"%b"]}' % (n, b"x" * 9_000_000) for n in range(9)]
    bench.push_raw("q", *large, b"\xff" * 9_000_000)
    bench.client.enqueue_to("q", "Count", "small")
    master = bench.run("-q", "q", "-t", "20", "-j", "1000", "--burst")
    assert bench.runs() == {"small": 1}
    assert master.log.count("this process asks for one job at a time") == 1
    assert "10 failed" in master.log.split("stopped: ")[1]
    items = [decode_entry(raw).item() for raw in bench.redis.lrange("resque:failed", 0, -1)]
    assert sorted(items) == sorted([*large, b"\xff" * 9_000_000])
