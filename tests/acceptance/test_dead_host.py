"""A host dies while the others perform one job a process: with the times of production."""

from __future__ import annotations

import time

from tests.process.support import Bench, wait_for

DEAD = "gone:1:q:1:1:1"


def test_the_dead_of_another_host_are_recovered_within_70_s(bench: Bench) -> None:
    """No process of the host that is left lives long enough to beat."""
    bench.start("-q", "q")

    def keep_busy(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if bench.redis.llen("resque:queue:q") < 20:
                bench.client.enqueue_to("q", "Behave", "ok")
            time.sleep(0.002)

    keep_busy(60)  # the maintenance process judges nobody in its first minute
    raw = b'{"class":"Count","args":["found"]}'
    bench.redis.hset("resque:masters", DEAD, "2026-01-01 00:00:00 +0000")
    entry = b"%d:resque:queue:q%s" % (len(b"resque:queue:q"), raw)
    bench.redis.hset(f"resque:ledger:{DEAD}:2:3", mapping={"state": "1 1 0 0 0 0", "0": entry})
    bench.redis.zadd("resque:ledgers", {f"{DEAD}:2:3": 1000})
    died = time.monotonic()
    while bench.redis.zscore("resque:ledgers", f"{DEAD}:2:3") is not None:
        assert time.monotonic() - died < 70
        keep_busy(0.5)
    assert time.monotonic() - died >= 60
    wait_for(lambda: bench.runs() == {"found": 1})
    assert bench.stat("processed") > 500
