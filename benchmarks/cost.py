"""What one no-op job costs in a worker process and in Redis, part by part; and what whole jobs
cost: plain, delayed, retried, failed.

    python -m benchmarks.cost
    python -m benchmarks.cost --only jobs       # thread, turn, jobs; repeatable

A profiler would slow what it measures, and most of these parts take less than a clock does to read.
So the real code runs again and again with one part taken out of its text, in turns with the whole;
the difference is what the part costs. A part whose text has changed since is reported, not guessed.

1. The loop of a WorkerThread (`worker/threads/thread.py`), with jobs handed to it by the hundred.
2. A turn of the cycle (`worker/turns/cycle.py`): the client's side, against a real server.
3. The same turn in the server (`store/lua/cycle.lua`), by the server's own clock.
4. Whole jobs (`whole_jobs.py`): all CPU from enqueue to the last end.
"""

from __future__ import annotations

import inspect
import statistics
import textwrap
import time
from collections import deque
from typing import Any

import gresque.worker.threads.thread as thread_module
from benchmarks import harness
from benchmarks.harness import Results, Server
from benchmarks.jobs import noop
from benchmarks.parts import SCRIPT_PARTS, THREAD_PARTS, changed
from benchmarks.whole_jobs import whole_jobs
from gresque.connection.scripts import Script, script
from gresque.failure.failure_reporter import FailureReporter
from gresque.jobs import payload
from gresque.jobs.ends import EndRules
from gresque.jobs.ids import new_id
from gresque.jobs.registry import registry
from gresque.queue_list import QueueList
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.threads.outcome import Outcome
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from gresque.worker.turns.wakeup import Wakeup

BATCH = 100
BATCHES = 300


def main() -> None:
    parser = harness.parser(__doc__)
    choices = ["thread", "turn", "jobs"]
    parser.add_argument("--only", choices=choices, action="append", help="repeatable")
    options = parser.parse_args()
    wanted = options.only or choices
    server = Server(options.redis)
    results = Results("cost", "µs a job")
    batches = max(10, int(BATCHES * options.scale))
    for _ in range(options.runs):
        if "thread" in wanted:
            loop_parts(results, batches)
        if "turn" in wanted:
            turn_parts(server, results, batches)
        if "jobs" in wanted:
            whole_jobs(server, results, options.scale)
    results.print_table()


def differences(
    results: Results, where: str, whole: Any, parts: dict[str, Any], measure: Any
) -> None:
    """Note what the whole costs, and each part: the median of pairs measured in turns."""
    costs = [measure(whole) for _ in range(9)]
    results.note(f"{where}: all of it", statistics.median(costs))
    for name, without in parts.items():
        if without is None:
            print(f"{where}: {name}: the code has changed, not measured", flush=True)
            continue
        saved = [measure(whole) - measure(without) for _ in range(9)]
        results.note(f"{where}: {name}", statistics.median(saved))


# The loop of a thread


def loop_parts(results: Results, batches: int) -> None:
    source = textwrap.dedent(inspect.getsource(WorkerThread._work))
    raw = payload.encode("Noop", (1,), {}, new_id())
    space = vars(thread_module) | {
        "CALL": payload.read_call(raw),
        "DEFINITION": registry.get("Noop"),
    }

    def compiled(text: str | None) -> Any:
        if text is None:
            return None
        made: dict[str, Any] = {}
        exec(compile(text, "<variant>", "exec"), space, made)
        return made["_work"]

    parts = {name: compiled(changed(source, parts)) for name, parts in THREAD_PARTS.items()}
    jobs: list[ReservedJob] = [(str(slot).encode(), "bench", raw) for slot in range(BATCH)]
    loop = Loop()
    differences(results, "thread", compiled(source), parts, lambda v: loop.run(v, jobs, batches))


class Loop:
    """WorkerThreads without a cycle: jobs come by the batch, ends are thrown away."""

    def run(self, work: Any, jobs: list[ReservedJob], batches: int) -> float:
        """µs of CPU for each job, with this `_work`."""
        original, WorkerThread._work = WorkerThread._work, work  # type: ignore[method-assign]
        try:
            in_flight, wakeup = InFlight(Totals(0, 0, 0, 0), Keys("resque")), Wakeup()
            outcome = Outcome(in_flight, FailureReporter("redis"), "w", EndRules(Keys("resque")))
            pool = ThreadPool(
                1, in_flight, wakeup, registry, outcome, memoryview(bytearray(8)).cast("Q")
            )
            started = time.thread_time()
            for _ in range(batches):
                pool.wake_at = len(jobs)
                in_flight.ready.extend(jobs)
                in_flight.ended = []
                pool.wake_one()
                while in_flight.ready:
                    wakeup.wait(None)
            spent = time.thread_time() - started  # the thread stays parked, for good
        finally:
            WorkerThread._work = original  # type: ignore[method-assign]
        return 1e6 * spent / (batches * len(jobs))


# A turn of the cycle


def turn_parts(server: Server, results: Results, batches: int) -> None:
    """One process's turns of 100 jobs, all of which have ended by the next one."""
    whole = script("cycle")
    parts = {
        name: _script(changed(whole.text.decode(), parts)) for name, parts in SCRIPT_PARTS.items()
    }
    for lua in (whole, *parts.values()):
        if lua is not None:
            server.redis.script_load(lua.text)
    client: list[float] = []

    def measure(lua: Script) -> float:
        found = turns(server, lua, batches)
        if lua is whole:
            client.append(found[0])
        return found[1]

    differences(results, "server", whole, parts, measure)
    results.note("client: a turn, redis-py included", statistics.median(client))


def _script(text: str | None) -> Script | None:
    import hashlib

    if text is None:
        return None
    raw = text.encode()
    return Script(raw, hashlib.sha1(raw, usedforsecurity=False).hexdigest().encode())


def turns(server: Server, lua: Script, batches: int) -> tuple[float, float]:
    """µs for each job: CPU of the client, and what the server spent in the script."""
    server.empty()
    keys = Keys("resque")
    in_flight = InFlight(Totals(0, 0, 0, 0), Keys("resque"))
    cycle = Cycle(
        server.url,
        keys,
        in_flight,
        "w",
        "p",
        QueueList.parse("bench"),
        BATCH,
        pause=lambda _: False,
        revive=lambda *_: False,
        running=list,
    )
    cycle._session._script = lua
    cycle.connect()
    server.redis.hset(keys.ledger("p"), "state", "0 0 0 0 0 0")
    harness.enqueue(server, noop, range(batches * BATCH))
    before, started = _script_seconds(server), time.thread_time()
    for _ in range(batches):
        cycle.turn(BATCH)
        in_flight.done += len(in_flight.ready)
        in_flight.ended = [job[0] for job in in_flight.ready]
        in_flight.ready = deque()
    jobs = batches * BATCH
    spent = time.thread_time() - started
    cycle.connection.close()
    return 1e6 * spent / jobs, 1e6 * (_script_seconds(server) - before) / jobs


def _script_seconds(server: Server) -> float:
    stats = server.redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("usec", 0) for name in ("evalsha",)) / 1e6


if __name__ == "__main__":
    main()
