"""No slot stays free and no job waits for the fallback poll, however policies change."""

from __future__ import annotations

import random
import time
from itertools import pairwise

from benchmarks.observer import Look, Watch
from tests.acceptance.flow import LONG_LIVED, end_well, observer
from tests.acceptance.test_pauses import assert_idle, cpu_seconds, turns_of
from tests.process.support import Bench, Master, wait_for

MASTERS, PROCESSES = 2, 4
IDLE = 200
LISTENING = 4
AT_ONCE = 1.0
"""Seconds. The fallback poll comes after five."""


def start(bench: Bench, queues: str) -> list[Master]:
    masters = [
        bench.start("-q", queues, "-w", str(PROCESSES), "-t", "5", *LONG_LIVED)
        for _ in range(MASTERS)
    ]
    wait_for(lambda: len(bench.client.store.processes.ids()) == MASTERS * PROCESSES, 60)
    return masters


def test_a_slot_that_is_freed_is_taken_at_once(bench: Bench) -> None:
    """A cap of one over eight processes: when a slot becomes free, one of them takes it."""
    bench.client.limit("one", concurrent=1)
    masters = start(bench, "one,other")
    for seconds in (0.0, 0.005, 0.03):
        bench.redis.delete("began:one")
        bench.client.enqueue_many("BeganNap", [("one", seconds)] * 300, queue="one")
        began = wait_for(
            lambda: len(found := bench.redis.lrange("began:one", 0, -1)) == 300 and found, 60
        )
        gaps = [float(second) - float(first) for first, second in pairwise(sorted(began))]
        print(f"jobs of {1000 * seconds:.0f} ms: {1000 * max(gaps):.0f} ms apart at most")
        assert max(gaps) < seconds + AT_ONCE
    wait_for(lambda: not bench.held())
    assert not bench.redis.exists("resque:inflight")
    for master in masters:
        assert_idle(master, bench, 5)
        end_well(master)


def test_policies_that_change_all_the_time_hold_up_nothing(bench: Bench) -> None:
    """As soon as a queue may run, it does; and the counts stay exact."""
    queues = ["a", "b", "c"]
    wrong: list[Look] = []

    def see(look: Look) -> None:
        if not look.is_exact:
            wrong.append(look)

    masters = start(bench, ",".join(queues))
    client, chosen = bench.client, random.Random(11)
    slowest = 0.0
    with Watch(observer(bench), see):
        for number in range(300):
            queue = chosen.choice(queues)
            how = chosen.choice(["pause", "cap", "cap", "rate", "none"])
            if how == "pause":
                client.pause(queue)
            else:
                cap = chosen.randrange(1, 6) if how == "cap" else None
                client.limit(queue, concurrent=cap, rate="100/s" if how == "rate" else None)
            if chosen.random() < 0.7:
                key = f"n{number}"
                client.enqueue_many(
                    "BeganNap", [(key, 0.005)] * chosen.randrange(1, 9), queue=queue
                )
            time.sleep(chosen.choice([0, 0, 0.01, 0.1]))
            if how != "pause":
                at = time.monotonic()
                client.unpause(queue)
                wait_for(lambda queue=queue: not client.size(queue), 20)
                slowest = max(slowest, time.monotonic() - at)
    print(f"the slowest queue was empty after {1000 * slowest:.0f} ms")
    assert slowest < AT_ONCE
    assert not wrong, wrong[0]
    for queue in queues:
        client.unpause(queue)
    wait_for(lambda: not any(map(client.size, queues)) and not bench.held(), 20)
    assert not bench.redis.exists("resque:inflight")
    for master in masters:
        end_well(master)


def test_of_two_hundred_idle_processes_four_listen(bench: Bench) -> None:
    """Beside queues that are paused, full, and wait for their rate: jobs there wake nobody, and one
    of a queue without limits wakes a few."""
    client, queues = bench.client, ("paused", "full", "dry", "free")
    masters = [
        bench.start("-q", ",".join(queues), "-w", str(IDLE // 2), "-t", "8", *LONG_LIVED)
        for _ in range(2)
    ]
    wait_for(lambda: len(client.store.processes.ids()) == IDLE, 120)
    wait_for(lambda: in_line(bench) == (LISTENING, IDLE - LISTENING), 60)
    plain = cost(bench, masters)

    client.pause("paused")
    client.limit("full", concurrent=LISTENING)
    client.limit("dry", rate="1/h")
    client.enqueue_many("BeganNap", [("full", 60.0)] * 100, queue="full")
    for queue in ("paused", "dry"):
        client.enqueue_many("Began", [(queue,)] * 100, queue=queue)
    wait_for(lambda: bench.redis.llen("began:full") == LISTENING and bench.stat("processed") == 1)
    wait_for(lambda: in_line(bench) == (LISTENING, IDLE - LISTENING), 60)
    limited = cost(bench, masters)

    woken, late = [], []
    for n in range(3):
        before = turns_of(bench)
        for queue in ("paused", "full", "dry"):
            for _ in range(100):
                bench.push_raw(queue, b'{"class":"Began","args":["no"]}')
        pushed = time.time()
        client.enqueue_many("Began", [(str(n),)], queue="free")
        (began,) = wait_for(lambda n=n: bench.redis.lrange(f"began:{n}", 0, -1))
        late.append(1000 * (float(began) - pushed))
        woken.append(turns_of(bench) - before)
    print(
        f"scripts a second and % of a core: {plain}, with limits {limited}; "
        f"{woken} scripts for 300 pushes and a job, that began after {max(late):.0f} ms at most"
    )
    assert max(late) < 100
    assert min(woken) < 60, "all processes poll every five seconds, which may come between"
    assert limited[0] < 1.2 * plain[0] + 2
    assert limited[1] < 1.5 * plain[1], "it is the pulse of 200 processes, ten times a second"
    assert not bench.redis.exists("began:no", "began:paused")

    client.unpause("paused")
    wait_for(lambda: not client.size("paused"), AT_ONCE)
    for master in masters:
        end_well(master)


def in_line(bench: Bench) -> tuple[int, int]:
    """How many processes listen, and how many wait."""
    listening, waiting = (
        sum(bench.redis.zcard(key) for key in bench.redis.keys(f"resque:{kind}:*"))
        for kind in ("listening", "waiting")
    )
    return listening, waiting


def cost(bench: Bench, masters: list[Master], seconds: float = 10) -> tuple[float, float]:
    """How many scripts a second, and how much of a core in %, while nothing is to be done."""
    processes = [child for master in masters for child in master.children()]
    cpu, turns, started = cpu_seconds(processes), turns_of(bench), time.monotonic()
    time.sleep(seconds)  # the cost is that of time
    past = time.monotonic() - started
    used = 100 * (cpu_seconds(processes) - cpu) / past
    return round((turns_of(bench) - turns) / past, 1), round(used, 2)
