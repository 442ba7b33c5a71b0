"""Shut a worker down at random moments under load, again and again, and check its account.

    python benchmarks/shutdowns.py                 # 200 rounds, about 4 minutes
    python benchmarks/shutdowns.py --rounds 20 --seed 7

In each round a master works a full queue; some USR1, HUP, pauses and kill -9 of processes later, it
gets TERM, INT or QUIT, sometimes in the middle of its boot, sometimes twice. Then every sum must
hold: what was taken from the queue is done, failed or back in it; the master's last line says the
same; no process is left, and no key of the worker. One JSON line a round on stdout, the sums on
stderr; exit 1 at the first round that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis

import gresque
from gresque.connection.topology import resolve_url

ROOT = Path(__file__).parents[1]
QUEUE_SIZE = 3_000
TIERS = (("-w", "2", "-t", "20", "-j", "300"), ("-w", "2", "-t", "1", "-j", "2"))
"""A round has one of them. With the second one processes stand by."""

_ACCOUNT = re.compile(
    r"stopped: reserved ([\d,]+) = ([\d,]+) done \+ ([\d,]+) failed \+ ([\d,]+) requeued"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--redis", default="embedded://", help="flushed at the start!")
    options = parser.parse_args()
    rounds = Rounds(resolve_url(options.redis), random.Random(options.seed))
    totals: dict[str, int] = {}
    for number in range(options.rounds):
        result = rounds.run()
        print(json.dumps({"round": number, **result}), flush=True)
        if result["faults"]:
            sys.exit(f"round {number} does not hold: {'; '.join(result['faults'])}")
        for name in ("reserved", "done", "failed", "requeued"):
            totals[name] = totals.get(name, 0) + result[name]
    sums = ", ".join(f"{number:,} {name}" for name, number in totals.items())
    print(f"{options.rounds} rounds, every sum holds: {sums}", file=sys.stderr)


class Rounds:
    """The rounds share one queue and one failed list, which the next round goes on with."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._url = url
        self._redis = redis.Redis.from_url(url)
        self._redis.flushall()
        self._client = gresque.Client(url)
        self._chance = chance
        self._enqueued = 0

    def run(self) -> dict[str, Any]:
        """Fill up, work, shut down, check."""
        self._fill_up()
        before = self._counts()
        tiers = self._chance.choice(TIERS)
        master = subprocess.Popen(
            [
                *(sys.executable, "-m", "gresque", "work", "-q", "bench", "-r", "benchmarks.jobs"),
                *tiers,
            ],
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": self._url},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        sent = self._make_trouble(master)
        try:
            _, log = master.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(master.pid, signal.SIGKILL)
            return {"sent": sent, "faults": ["it did not end within 60 s"]}
        return {"tiers": "x".join(tiers[1::2]), "sent": sent, **self._check(master, log, before)}

    def _fill_up(self) -> None:
        missing = QUEUE_SIZE - self._client.size("bench")
        calls = ((f"{self._enqueued + n}", self._chance.random() * 0.04) for n in range(missing))
        self._client.enqueue_many("Tally", calls, queue="bench")
        self._enqueued += missing

    def _make_trouble(self, master: subprocess.Popen[str]) -> list[str]:
        chance, sent = self._chance, []
        if chance.random() < 0.1:  # in the middle of its start, once it handles signals
            self._await_master(master)
        else:
            self._await_work()
            for _ in range(chance.randrange(4)):
                time.sleep(chance.random() * 0.2)
                sent.append(self._disturb(master))
            time.sleep(chance.random() * 0.3)
        ends = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT)
        for number in chance.sample(ends, k=chance.choice((1, 1, 1, 2))):
            sent.append(number.name)
            master.send_signal(number)
        return sent

    def _await_master(self, master: subprocess.Popen[str]) -> None:
        """Python handles signals as soon as the master has forked."""
        while master.poll() is None and not psutil.Process(master.pid).children():
            time.sleep(0.001)

    def _await_work(self) -> None:
        before = self._counts()
        deadline = time.monotonic() + 20
        while self._counts() == before and time.monotonic() < deadline:
            time.sleep(0.005)

    def _disturb(self, master: subprocess.Popen[str]) -> str:
        chance = self._chance
        what = chance.choice(("USR1", "HUP", "USR2 CONT", "kill -9", "QUIT", "TERM"))
        if what in ("USR1", "HUP"):
            master.send_signal(getattr(signal, f"SIG{what}"))
        elif what == "USR2 CONT":
            master.send_signal(signal.SIGUSR2)
            time.sleep(chance.random() * 0.05)
            master.send_signal(signal.SIGCONT)
        elif children := psutil.Process(master.pid).children():
            victim = chance.choice(children)
            name = "SIGKILL" if what == "kill -9" else f"SIG{what}"
            with suppress(psutil.NoSuchProcess):  # it has just left
                victim.send_signal(getattr(signal, name))
            what += " of one process"
        return what

    def _counts(self) -> tuple[int, int]:
        processed, failed = self._redis.mget("resque:stat:processed", "resque:stat:failed")
        return int(processed or 0), int(failed or 0)

    def _check(
        self, master: subprocess.Popen[str], log: str, before: tuple[int, int]
    ) -> dict[str, Any]:
        account = _ACCOUNT.search(log)
        if account is None:
            return {"faults": [f"it gave no account: {log[-2000:]}"]}
        reserved, done, failed, requeued = (int(n.replace(",", "")) for n in account.groups())
        processed_now, failed_now = self._counts()
        waiting, entries = self._client.size("bench"), self._redis.llen("resque:failed")
        all_done = processed_now - failed_now
        left = [
            key.decode()
            for key in self._redis.keys("resque:*")
            if key not in KEPT and not key.startswith(EXPIRING)
        ]
        survivors = [p.pid for p in psutil.process_iter() if _is_of_session(p, master.pid)]
        checks = {
            f"exit code {master.returncode}": master.returncode == 0,
            "its account does not add up": reserved == done + failed + requeued,
            f"{done + failed} ended by its account, {processed_now - before[0]} by Redis":
                done + failed == processed_now - before[0],
            f"{failed} failed by its account, {failed_now - before[1]} by Redis":
                failed == failed_now - before[1],
            f"{self._enqueued} enqueued, {all_done} done, {failed_now} failed, {waiting} waiting":
                self._enqueued == all_done + failed_now + waiting,
            f"{failed_now} failed, {entries} in the failed list": failed_now == entries,
            f"keys are left: {left}": not left,
            f"processes are left: {survivors}": not survivors,
            f"it crashed: {log[-2000:]}": "Traceback" not in log,
        }  # fmt: skip
        return {
            "reserved": reserved, "done": done, "failed": failed, "requeued": requeued,
            "faults": [fault for fault, holds in checks.items() if not holds],
        }  # fmt: skip


KEPT = {
    b"resque:queues", b"resque:queue:bench", b"resque:failed", b"resque:stat:processed",
    b"resque:stat:failed", b"resque:suspects", b"resque:recoveries",
}  # fmt: skip
EXPIRING = (
    b"resque:producer:",
    b"resque:fenced",
    b"resque:metrics:",
    b"resque:heads",
    b"resque:log",
)
"""They go by themselves."""


def _is_of_session(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess, PermissionError):
        return False


if __name__ == "__main__":
    main()
