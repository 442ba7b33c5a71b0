"""A worker of stock Resque, as recorded: it lives in Redis beside a real `gresque work`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import redis

from gresque.processes.identity import host as this_host

RUBYS_PATTERN = re.compile(r"[r]esque:work|[r]esque:\sStarting|[r]esque-[0-9]")
"""By which Ruby finds the pids of the living workers of its host in `ps -A -o pid,command`."""
NEW_YORK = timezone(timedelta(hours=-5))
PRUNED_SECONDS = 300
ENDED = "Resque::PruneDeadWorkerDirtyExit"


class StockNeighbour:
    """What `rake resque:work` writes, with the heartbeats of a machine in New York.

    Its process is one that does nothing, with the title of a Ruby worker.
    """

    def __init__(self, client: redis.Redis, queue: str, host: str = "") -> None:
        self._redis = client
        self.queue = queue
        title = f"resque-3.0.0: Waiting for {queue}"
        code = "import time; time.sleep(600)"
        self.process = subprocess.Popen([title, "-c", code], executable=sys.executable)
        self.id = f"{host or this_host()}:{self.process.pid}:{queue}"

    def boot(self) -> list[str]:
        """Prune, and register; returns the ids of the pruned ones."""
        pruned = self.prune()
        self._redis.sadd("resque:workers", self.id)
        self._redis.set(f"resque:worker:{self.id}:started", self._time().strftime("%F %T %z"))
        self.beat()
        return pruned

    def beat(self, seconds_ago: float = 0) -> None:
        said = self._time(seconds_ago).isoformat()
        assert said.endswith("-05:00")
        self._redis.hset("resque:workers:heartbeat", self.id, said)

    def reserve(self) -> bool:
        """Take a job, and say so."""
        raw = self._redis.lpop(f"resque:queue:{self.queue}")
        if raw is None:
            return False
        job = {"queue": self.queue, "run_at": "2026-11-23T15:35:46Z", "payload": json.loads(raw)}
        self._redis.set(f"resque:worker:{self.id}", json.dumps(job))
        return True

    def done(self) -> None:
        self._redis.delete(f"resque:worker:{self.id}")
        for name in ("processed", f"processed:{self.id}"):
            self._redis.incr(f"resque:stat:{name}")

    def prune(self, *, shown_by_ps: bool = True, old_ones: bool = True) -> list[str]:
        """As Ruby does when a worker boots: those whose heartbeat is old, and those of this host
        and its queues that `ps` does not show."""
        pids, pruned = self._pids() if shown_by_ps else set(), []
        beats = self._redis.hgetall("resque:workers:heartbeat")
        for worker in map(bytes.decode, self._redis.smembers("resque:workers")):
            host, pid, queues = worker.split(":", 2)
            beat = beats.get(worker.encode())
            is_old = beat and self._time() - datetime.fromisoformat(beat.decode()) > timedelta(
                seconds=PRUNED_SECONDS
            )
            here = host == this_host() and int(pid) != self.process.pid
            if (is_old and old_ones) or (here and int(pid) not in pids and self._serves(queues)):
                self._unregister(worker)
                pruned.append(worker)
        return pruned

    def _serves(self, queues: str) -> bool:
        return self.queue == "*" or self.queue == queues.split(":")[0]

    def _unregister(self, worker: str) -> None:
        raw = self._redis.get(f"resque:worker:{worker}")
        if raw is not None:
            job = json.loads(raw)
            name = job["payload"]["class"]
            error = f"Worker {worker} did not gracefully exit while processing {name}"
            entry = {
                "failed_at": "2026/11/23 15:35:47 UTC", "payload": job["payload"],
                "exception": ENDED, "error": error,
                "backtrace": [], "worker": worker, "queue": job["queue"],
            }  # fmt: skip
            self._redis.rpush("resque:failed", json.dumps(entry))
        self._redis.srem("resque:workers", worker)
        self._redis.hdel("resque:workers:heartbeat", worker)
        names = (f"worker:{worker}", f"worker:{worker}:started", f"stat:processed:{worker}",
                 f"stat:failed:{worker}")  # fmt: skip
        self._redis.delete(*(f"resque:{name}" for name in names))

    def _pids(self) -> set[int]:
        lines = subprocess.run(
            ["ps", "-A", "-o", "pid,command"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        return {int(line.split()[0]) for line in lines if RUBYS_PATTERN.search(line)}

    def _time(self, seconds_ago: float = 0) -> datetime:
        seconds = int(self._redis.time()[0]) - seconds_ago
        return datetime.fromtimestamp(seconds, NEW_YORK)

    def is_intact(self) -> bool:
        """Whether all that it has written of itself stands there."""
        return bool(
            self._redis.sismember("resque:workers", self.id)
            and self._redis.hexists("resque:workers:heartbeat", self.id)
            and self._redis.exists(f"resque:worker:{self.id}:started")
        )

    def die(self) -> None:
        """By SIGKILL: nothing of it is removed."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
