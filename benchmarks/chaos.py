"""Kill worker processes and masters at random while they work, and count what became of each job.

    python benchmarks/chaos.py                       # 12,000 jobs of 20 ms, two masters
    python benchmarks/chaos.py --jobs 50000 --seed 7

Every job counts its own runs in Redis. At the end every job must have run at least once (else it is
lost), and at most as many ran twice as were in flight when something was killed. One JSON line on
stdout; exit 1 when a job was lost or something is left in a ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import redis

import gresque
from gresque.store.url import resolve_url

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=12_000)
    parser.add_argument("--seconds", type=float, default=0.02, help="of each job")
    parser.add_argument("--masters", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=0.4, help="seconds, a worker process")
    parser.add_argument("--kill-master-every", type=float, default=3.0, help="seconds")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds until it is given up")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--redis", default="embedded://", help="flushed at the start!")
    chaos = Chaos(parser.parse_args())
    result = chaos.run()
    print(json.dumps(result))
    sys.exit(1 if result["lost"] or result["left_in_ledgers"] else 0)


class Chaos:
    """One run. Its life: enqueue, start the masters, kill until all is done, count."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._url = resolve_url(options.redis)
        self._redis = redis.Redis.from_url(self._url)
        self._client = gresque.Client(self._url)
        self._masters: list[subprocess.Popen[bytes]] = []
        self._kills = {"processes": 0, "masters": 0}
        self._in_flight_at_kills = 0

    def run(self) -> dict[str, Any]:
        options = self._options
        self._redis.flushall()
        jobs = ((f"job-{n}", options.seconds) for n in range(options.jobs))
        self._client.enqueue_many("Tally", jobs, queue="bench")
        started = time.monotonic()
        self._masters = [self._start() for _ in range(options.masters)]
        self._kill_until_done(started + options.limit)
        for master in self._masters:
            master.terminate()
        for master in self._masters:
            master.wait(60)
        return self._count(time.monotonic() - started)

    def _start(self) -> subprocess.Popen[bytes]:
        tiers = ("-w", "3", "-t", "20", "-j", "500")
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gresque",
                "work",
                "-q",
                "bench",
                "-r",
                "benchmarks.jobs",
                *tiers,
            ],
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": self._url},
            stderr=subprocess.DEVNULL,
        )

    def _kill_until_done(self, deadline: float) -> None:
        next_process = next_master = time.monotonic() + 1.0
        while time.monotonic() < deadline and not self._is_done():
            now = time.monotonic()
            if now >= next_process:
                self._kill_a_process()
                next_process = now + self._options.kill_every
            if now >= next_master:
                self._kill_a_master()
                next_master = now + self._options.kill_master_every
            time.sleep(0.05)

    def _is_done(self) -> bool:
        """Every queue and every ledger is empty. What a dead master's last process left behind
        waits for the heartbeats to miss it, a minute."""
        return not self._redis.llen("resque:queue:bench") and not self._held()

    def _held(self) -> int:
        store = self._client.store
        return sum(len(store.ledger(process).entries) for process in store.process_ids())

    def _kill_a_process(self) -> None:
        children = [
            child
            for master in self._masters
            if psutil.pid_exists(master.pid)
            for child in psutil.Process(master.pid).children()
        ]
        if children:
            self._in_flight_at_kills += self._held()
            self._kills["processes"] += 1
            self._random.choice(children).kill()

    def _kill_a_master(self) -> None:
        victim = self._random.randrange(len(self._masters))
        self._kills["masters"] += 1
        self._masters[victim].kill()
        self._masters[victim].wait()
        self._masters[victim] = self._start()

    def _count(self, seconds: float) -> dict[str, Any]:
        runs = [int(count) for count in self._redis.hvals("tally")]
        return {
            "jobs": self._options.jobs,
            "lost": self._options.jobs - len(runs),
            "run_twice_or_more": sum(count > 1 for count in runs),
            "in_flight_at_kills": self._in_flight_at_kills,
            "failed": int(self._redis.llen("resque:failed")),
            "left_in_ledgers": self._held(),
            "killed": self._kills,
            "seconds": round(seconds, 1),
        }


if __name__ == "__main__":
    main()
