"""An entry for every second, twenty masters, and the holder of the lease killed every 2 s."""

from __future__ import annotations

import json
import random
import time
from datetime import datetime
from pathlib import Path

from gresque.jobs.ids import enqueued_at
from tests.process.support import Bench, Master, wait_for
from tests.process.test_cron import MODULE, SECONDLY, holder, ran, start
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


def test_each_second_once_while_hosts_die(bench: Bench) -> None:
    """All processes of a master at once, so that nobody gives the lease back. The worker processes
    serve another queue: what is counted is what was enqueued, not what a kill has cut short."""

    def boot() -> Master:
        return bench.start(*MODULE, "-q", "other", "-t", "2", TEST_CRON=SECONDLY)

    masters = [boot() for _ in range(MASTERS)]
    wait_for(lambda: all(master.maintenance() for master in masters), 120)
    first = int(time.time()) + 1
    kills, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(random.uniform(1.5, 2.5))
        held = holder(bench, masters)
        if held is not None:
            held.kill()
            masters[masters.index(held)] = boot()
            kills += 1
    last = int(time.time())
    wait_for(lambda: any(tick > last + 2 for tick, _ in enqueued(bench)), 60)
    found = [each for each in enqueued(bench) if first <= each[0] <= last]
    late = sorted(at - tick for tick, at in found)
    print(f"{len(found)} ticks, {kills} hosts, latest {late[-1]:.3f} s, median {late[30]:.3f} s")
    assert [tick for tick, _ in found] == list(range(first, last + 1))
    assert kills >= SECONDS / 12, "one holds the lease again within 6 s"
    assert late[0] >= -0.001 and late[-1] < 6


def enqueued(bench: Bench) -> list[tuple[int, float]]:
    """The tick of each job that waits, and when it was enqueued."""
    found = []
    for raw in bench.redis.lrange("resque:queue:ticks", 0, -1):
        item = json.loads(raw)
        tick = datetime.fromisoformat(item["gresque"]["scheduled_for"]).timestamp()
        found.append((int(tick), enqueued_at(item["id"]) or 0.0))
    return found


def test_redis_is_away_for_a_while(tmp_path: Path) -> None:
    """Restarted with its data: each second that it was away for is made up, once."""
    import redis

    own = OwnServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    bench = Bench(own.url, redis.Redis(unix_socket_path=str(own.socket)), tmp_path)
    try:
        start(bench)
        wait_for(lambda: len(ran(bench)) >= 2)
        own.kill()
        time.sleep(10)  # ten ticks are missed
        own.start()
        at = int(time.time())
        wait_for(lambda: any(each.tick > at for each in ran(bench)), 60)
        ticks = [each.tick for each in ran(bench)]
        assert sorted(ticks) == list(range(min(ticks), max(ticks) + 1))
    finally:
        bench.close()
        own.kill()
