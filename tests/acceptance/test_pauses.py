"""Pauses, seen by what the server announces of every job that leaves a queue."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial

import psutil
import pytest

from tests.acceptance.flow import (
    DEATHS_ARE_NO_FAULT,
    JOBS,
    LONG_LIVED,
    connection,
    end_well,
    keep_full,
    kill_one,
    meanwhile,
)
from tests.process.support import ROOT, Bench, Master, wait_for

PAUSES = 100
PAIRS = 12


class Reservations:
    """Counts what leaves a queue, suspects included, in the order of the server: before a pause has
    returned, and after it."""

    def __init__(self, bench: Bench, queue: str) -> None:
        bench.redis.config_set("notify-keyspace-events", "Kl")
        self._client = connection(bench)
        self._events = self._client.pubsub()
        self._events.psubscribe("mark", f"__keyspace@*__:resque:*:{queue}")
        wait_for(lambda: self._events.get_message(timeout=1))
        wait_for(lambda: self._events.get_message(timeout=1))
        self._phase = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.found: Counter[str] = Counter()

    def mark(self, phase: str) -> None:
        """What comes from now on, in the order of the server, counts for this phase."""
        self._client.publish("mark", phase)

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._events.get_message(timeout=0.2)
            if message is None:
                continue
            if message["channel"] == b"mark":
                self._phase = message["data"].decode()
            elif message["data"] == b"lpop":
                self.found[self._phase] += 1

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._events.close()
        self._client.config_set("notify-keyspace-events", "")


def by_command(bench: Bench, command: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "gresque", command, *arguments],
        cwd=ROOT, env={**os.environ, "REDIS_URL": bench.redis_url}, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def kill_and_restart(bench: Bench, master: Master) -> None:
    """One of its processes dies, or all are replaced, or another master comes."""
    how = random.random()
    if how < 0.6:
        kill_one(master)
    elif how < 0.9:
        master.signal(signal.SIGHUP)
    else:
        bench.start("-q", "mail", "-t", "5", "-r", LONG_LIVED[-1], "--burst").wait(60)


@pytest.mark.parametrize("which", ["one queue", "all"])
def test_no_job_is_reserved_after_a_pause_has_returned(bench: Bench, which: str) -> None:
    """A hundred times, while worker processes die, are replaced, and new masters come."""
    master = bench.start(*("-q", "mail", "-w", "3", "-t", "20", *LONG_LIVED), **DEATHS_ARE_NO_FAULT)
    client, option = bench.client, "--all"
    pause, unpause = client.pause_all, client.unpause_all
    if which == "one queue":
        option = "mail"
        pause, unpause = partial(client.pause, "mail"), partial(client.unpause, "mail")
    seen = Reservations(bench, "mail")
    try:
        keep_full(bench, "mail", 500, 0.005)
        wait_for(lambda: bench.stat("processed"), 60)  # a HUP before would end the master
        with (
            meanwhile(lambda: keep_full(bench, "mail", 500, 0.005)),
            meanwhile(lambda: kill_and_restart(bench, master), pause_seconds=0.2),
        ):
            for n in range(PAUSES):
                before = bench.stat("processed")
                wait_for(lambda before=before: bench.stat("processed") > before, 60)
                if n % 10:
                    pause()
                else:
                    by_command(bench, "pause", option)
                seen.mark("paused")
                time.sleep(random.uniform(0, 0.4))  # nothing happens: no condition
                seen.mark("")
                assert unpause()
    finally:
        seen.close()
    print(f"{PAUSES} pauses: {seen.found['']:,} reservations between them")
    assert seen.found["paused"] == 0
    assert seen.found[""] > PAUSES
    wait_for(lambda: not bench.client.size("mail") and not bench.held(), 60)
    assert not bench.redis.exists("resque:policies", "resque:pause-all-workers")
    end_well(master)


def test_a_pause_of_ruby_stops_all(bench: Bench) -> None:
    """Resque's own key, which its page and its workers know."""
    master = bench.start("-q", "mail", "-t", "20", *LONG_LIVED)
    seen = Reservations(bench, "mail")
    try:
        with meanwhile(lambda: keep_full(bench, "mail", 200, 0.005)):
            wait_for(lambda: bench.stat("processed"))
            bench.redis.set("resque:pause-all-workers", "true")
            seen.mark("paused")
            time.sleep(1)  # nothing happens: no condition
            seen.mark("")
            bench.redis.delete("resque:pause-all-workers")
            before = bench.stat("processed")
            wait_for(lambda: bench.stat("processed") > before, 5)
    finally:
        seen.close()
    assert seen.found["paused"] == 0
    end_well(master)


def test_the_first_job_after_a_pause_comes_at_once(bench: Bench) -> None:
    """Less than 50 ms, with eight idle processes of two masters."""
    masters = [bench.start("-q", "mail", "-w", "4", "-t", "20", *LONG_LIVED) for _ in range(2)]
    wait_for(lambda: len(bench.client.store.processes.ids()) == 8, 60)
    late = []
    for n in range(20):
        bench.client.pause("mail")
        bench.client.enqueue_to("mail", "Began", str(n))
        time.sleep(random.uniform(0.3, 0.6))  # none begins meanwhile
        assert not bench.redis.exists(f"began:{n}")
        at = time.time()
        bench.client.unpause("mail")
        (began,) = wait_for(lambda n=n: bench.redis.lrange(f"began:{n}", 0, -1), 20)
        late.append(1000 * (float(began) - at))
    print(f"median {statistics.median(late):.1f} ms, at most {max(late):.1f}")
    assert statistics.median(late) < 20
    assert max(late) < 50
    for master in masters:
        end_well(master)


def fill_paused(bench: Bench) -> None:
    bench.client.pause("a")
    bench.client.enqueue_many("Nothing", [()] * 5000, queue="a")


def full_speed(bench: Bench, jobs: int = 100_000) -> float:
    before = bench.stat("processed")
    bench.client.pause_all()
    bench.client.enqueue_many("Nothing", [()] * jobs, queue="b")
    bench.client.unpause_all()
    wait_for(lambda: bench.stat("processed") > before, 20)
    started = time.monotonic()
    wait_for(lambda: bench.stat("processed") == before + jobs, 120)
    return jobs / (time.monotonic() - started)


def test_a_paused_queue_holds_up_no_other(bench: Bench) -> None:
    """`a` before `b` in priority: `b` runs at full speed, and idle processes stay idle."""
    # With fewer jobs for each process one of a pair of runs would have it replaced.
    master = bench.start("-q", "a,b", "-w", "2", "-t", "50", "-j", "100000000", "-r", JOBS)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 2, 60)
    full_speed(bench)
    ratios = []
    for n in range(PAIRS):
        speed = {}
        for paused in (n % 2 == 0, n % 2 == 1):
            if paused:
                fill_paused(bench)
            speed[paused] = full_speed(bench)
            if paused:
                assert bench.client.size("a") == 5000
                bench.client.remove_queue("a")
                bench.client.unpause("a")
        ratios.append(speed[True] / speed[False])
    middle = statistics.median(ratios)
    print(f"with a paused queue {middle:.3f} of without", *(f"{each:.2f}" for each in ratios))
    assert middle > 0.9

    fill_paused(bench)
    wait_until_idle(bench)
    assert_idle(master, bench)
    end_well(master)


def wait_until_idle(bench: Bench) -> None:
    """Until a second passes with hardly a script: no process is still on its way to sleep."""

    def is_idle() -> bool:
        before = turns_of(bench)
        time.sleep(1)
        return turns_of(bench) - before < 20

    wait_for(is_idle, 20)


def assert_idle(master: Master, bench: Bench, seconds: float = 10) -> None:
    """Its worker processes take less than 2 % of a core together, and send next to nothing."""
    processes = master.children()
    cpu = cpu_seconds(processes)
    turns = turns_of(bench)
    time.sleep(seconds)  # the cost is that of time
    used = 100 * (cpu_seconds(processes) - cpu) / seconds
    sent = (turns_of(bench) - turns) / seconds
    print(f"idle: {used:.2f} % of a core, {sent:.1f} scripts a second")
    assert used < 2
    assert sent < 20


def cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def turns_of(bench: Bench) -> int:
    stats = bench.redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))
