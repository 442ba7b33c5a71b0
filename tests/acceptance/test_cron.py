"""An entry for every second, twenty masters, and the holder of the lease killed every 2 s."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.process.support import Bench, wait_for
from tests.process.test_cron import holder, ran, start
from tests.support.server import OwnServer

MASTERS = 20
SECONDS = 60


def test_each_second_once_and_none_over_6_s_late(bench: Bench) -> None:
    masters = [start(bench, "* * * * * *", "-j", "100000") for _ in range(MASTERS)]
    wait_for(lambda: all(master.maintenance() for master in masters), 120)
    first = int(time.time()) + 1
    kills, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(random.uniform(1.5, 2.5))  # at any point of a second
        held = holder(bench, masters)
        if held is not None:
            for process in held.maintenance():
                process.kill()
                kills += 1
    last = int(time.time())
    wait_for(lambda: any(each.tick > last + 2 for each in ran(bench)), 60)
    found = [each for each in ran(bench) if first <= each.tick <= last]
    late = sorted(each.enqueued - each.tick for each in found)
    print(f"{len(found)} ticks, {kills} kills, latest {late[-1]:.3f} s, median {late[30]:.3f} s")
    assert [each.tick for each in sorted(found)] == list(range(first, last + 1))
    assert kills >= SECONDS / 3
    assert late[0] >= -0.001 and late[-1] < 6


def test_redis_is_away_for_a_while(tmp_path: Path) -> None:
    """Restarted with its data: each second that it was away for is made up, once."""
    import redis

    own = OwnServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    bench = Bench(own.url, redis.Redis(unix_socket_path=str(own.socket)), tmp_path)
    try:
        start(bench)
        wait_for(lambda: len(ran(bench)) >= 2)
        own.kill()
        time.sleep(10)
        own.start()
        at = int(time.time())
        wait_for(lambda: any(each.tick > at for each in ran(bench)), 60)
        ticks = [each.tick for each in ran(bench)]
        assert sorted(ticks) == list(range(min(ticks), max(ticks) + 1))
    finally:
        bench.close()
        own.kill()
