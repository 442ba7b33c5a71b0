"""A stock worker's life beside a real `gresque work`: both are intact at its end."""

from __future__ import annotations

import json
import signal
import time

from tests.process.support import Bench, wait_for
from tests.support.cli import in_a_process
from tests.support.stock_neighbour import ENDED, StockNeighbour

MORE_JOBS = 25


def soak(bench: Bench, seconds: float, jobs_per_fork: int) -> None:
    """gresque works long and short jobs of `q` meanwhile; the neighbours have queues of their own,
    though one of them prunes as if it served all."""
    redis = bench.redis
    ruby, dead = StockNeighbour(redis, "*"), StockNeighbour(redis, "rb", "elsewhere")
    try:
        dead.boot()
        assert ruby.boot() == []
        for number in range(3):
            bench.push_raw("*", b'{"class":"Archive","args":[%d]}' % number)
        bench.push_raw("rb", b'{"class":"Archive","args":["lost"]}')
        assert dead.reserve()
        dead.die()
        dead.beat(seconds_ago=600)
        bench.client.enqueue_to("q", "CountWhenLet", "long")
        master = bench.start("-q", "q", "-t", "5", "-j", str(jobs_per_fork))
        wait_for(lambda: bench.begun() == 1)
        own = next(w.decode() for w in redis.smembers("resque:workers") if b":q:" in w)
        short, until = 0, time.monotonic() + seconds
        while time.monotonic() < until or short < 10:
            assert ruby.reserve() or short
            # It beats every 90 s: the last one may be as old as that at any moment.
            ruby.beat(seconds_ago=89)
            assert ruby.prune(old_ones=False) == [], "gresque's masters stand in ps"
            bench.client.enqueue_to("q", "Count", str(short % 10))
            short += 1
            wait_for(lambda: bench.client.size("q") == 0)
            ruby.done()
            assert ruby.is_intact() and dead.is_intact(), "gresque judges none but its own"
            assert redis.exists(f"resque:worker:{dead.id}")
            time.sleep(seconds / 150)
        _is_seen_again(bench, ruby, own)
        _prune_by_hand(bench, dead, ruby)
        bench.let()
        wait_for(lambda: bench.held() == 0 and bench.client.size("q") == 0)
        assert sum(bench.runs().values()) == short + MORE_JOBS + 1
        master.signal(signal.SIGQUIT)
        assert master.wait() == 0, master.log
        assert redis.smembers("resque:workers") == {ruby.id.encode()}
        assert ruby.is_intact()
    finally:
        for neighbour in (ruby, dead):
            neighbour.die()


def _is_seen_again(bench: Bench, ruby: StockNeighbour, own: str) -> None:
    """Without titles Ruby does not find gresque in ps: it is back with the next heartbeat, or the
    next process."""
    started = bench.redis.get(f"resque:worker:{own}:started")
    count = int(bench.redis.get(f"resque:stat:processed:{own}") or 0)
    assert ruby.prune(shown_by_ps=False, old_ones=False) == [own]
    for number in range(MORE_JOBS):
        bench.client.enqueue_to("q", "Count", str(number % 10))
    wait_for(lambda: bench.redis.sismember("resque:workers", own))
    assert bench.redis.get(f"resque:worker:{own}:started") == started
    wait_for(lambda: int(bench.redis.get(f"resque:stat:processed:{own}") or 0) >= count)


def _prune_by_hand(bench: Bench, dead: StockNeighbour, ruby: StockNeighbour) -> None:
    options = ("--redis", bench.redis_url, "--yes")
    assert in_a_process(bench.redis_url, "workers", "prune", ruby.id, "--yes").code == 1
    for code in (0, 1):
        assert in_a_process(bench.redis_url, "workers", "prune", dead.id, *options).code == code
    (entry,) = map(json.loads, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry["exception"], entry["payload"]["args"]) == (ENDED, ["lost"])
    assert not dead.is_intact()
    assert ruby.is_intact()
