"""What looking at many workers costs, and killing one of their jobs.

    python -m benchmarks.inspecting

Redis holds 50 processes with 400 jobs each and 1,000,000 failed jobs; the processes only stand
there, and this program answers a kill in the place of the one that is asked. Of each look: its
round trips, the bytes that Redis sent, the CPU time of this process and the time in all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis

import gresque
from benchmarks import harness
from benchmarks.harness import Results, Server
from benchmarks.held import hold, job_id, process_name
from gresque.control.kill import kill
from gresque.failure.entry import encode_entry
from gresque.inspector.processes import ProcessStatus
from gresque.inspector.running import RunningJob
from gresque.inspector.stats import read_summary
from gresque.inspector.workers import WorkerStatus
from gresque.store.commands import Command, Fate, KillAnswer
from gresque.store.store import Store

PROCESSES = 50
JOBS = 400
FAILED = 1_000_000
BATCH = 10_000
LONGEST = 100


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    server.empty()
    hold(server.redis, PROCESSES, JOBS)
    fail(server.redis, int(FAILED * options.scale))
    store = Store(server.url, "resque")
    client = gresque.Client(server.url)
    results = Results("inspecting", "ms")
    payloads = PROCESSES * JOBS
    for _ in range(options.runs):
        # What an answer without payloads may have: the names of the processes, and numbers.
        names = PROCESSES * 100 + 5_000
        look(server, results, "info", client.info, most_bytes=names)
        look(server, results, "stats", lambda: read_summary(store, "redis"), most_bytes=names)
        look(server, results, "workers", lambda: WorkerStatus.all(store))
        look(server, results, "processes", lambda: ProcessStatus.all(store))
        look(
            server, results, f"the {LONGEST} longest running of {payloads:,}",
            lambda: RunningJob.longest(store, LONGEST), most_cpu_ms=40,
        )  # fmt: skip
        look(server, results, f"all {payloads:,} running", lambda: RunningJob.all(store))
        look_at_kills(server, results, store)
    results.print_table()


def fail(client: redis.Redis, count: int) -> None:
    """Failed jobs of 700 bytes each."""
    raw = b'{"class":"Fetch","args":["' + b"x" * 400 + b'"],"id":"%032x"}'
    for start in range(0, count, BATCH):
        entries = [
            encode_entry(raw % number, "TimeoutError", "timed out", [], "vm:1:mail", "mail")
            for number in range(start, min(start + BATCH, count))
        ]
        client.rpush("resque:failed", *entries)


class Cost(NamedTuple):
    round_trips: int
    kilobytes: float
    cpu_ms: float
    ms: float


def look(
    server: Server,
    results: Results,
    name: str,
    call: Callable[[], Any],
    *,
    most_bytes: int | None = None,
    most_cpu_ms: float | None = None,
    most_calls: int | None = None,
    most_ms: float | None = None,
) -> None:
    cost = measured(server, call)
    goals = (
        (most_calls, "round trips"),
        (None if most_bytes is None else most_bytes / 1000, "kB"),
        (most_cpu_ms, "ms of CPU"),
        (most_ms, "ms"),
    )
    for value, (goal, unit) in zip(cost, goals, strict=True):
        results.note(f"{name}: {unit}", value, goal, at_most=True, unit=unit)


def measured(server: Server, call: Callable[[], Any]) -> Cost:
    call()  # connects, and brings the scripts along
    server.redis.config_resetstat()
    with counted() as trips:
        cpu, begun = time.thread_time(), time.perf_counter()
        call()
        ms, cpu_ms = (time.perf_counter() - begun) * 1000, (time.thread_time() - cpu) * 1000
        count = len(trips)
    sent = int(server.redis.info("stats")["total_net_output_bytes"])
    return Cost(count, sent / 1000, cpu_ms, ms)


@contextmanager
def counted() -> Iterator[list[None]]:
    """Counts what this thread sends to Redis: one for a call, one for a pipeline."""
    trips: list[None] = []
    thread = threading.get_ident()
    connection_class: Any = redis.connection.AbstractConnection
    send = connection_class.send_packed_command

    def counting(connection: Any, *arguments: Any, **options: Any) -> None:
        if threading.get_ident() == thread:
            trips.append(None)
        send(connection, *arguments, **options)

    connection_class.send_packed_command = counting
    try:
        yield trips
    finally:
        connection_class.send_packed_command = send


def look_at_kills(server: Server, results: Results, store: Store) -> None:
    """Of a job in the last process that dies, and of one that ended by itself before the kill."""
    for name, fate in (("dies", Fate.DEAD), ("had ended by itself", Fate.ENDED)):

        def attempt(fate: Fate = fate) -> None:
            with answering(server, PROCESSES - 1, slot=1, fate=fate):
                (killed,) = kill(store, job_id(PROCESSES - 1, 1), by="benchmark", wait_seconds=10)
            assert killed.answer.fate is fate, killed

        look(server, results, f"kill of a job that {name}", attempt, most_calls=10, most_ms=500)


@contextmanager
def answering(server: Server, number: int, slot: int, fate: Fate) -> Iterator[None]:
    """Answer a kill as the process would; afterwards the job stands there again."""
    client = redis.Redis.from_url(server.url)
    store = Store(server.url, "resque")
    over = threading.Event()
    process = process_name(number)
    ledger = f"resque:ledger:{process}"

    def answer() -> None:
        asked: Any = client.blpop([f"resque:commands:{process}"], 10)
        value: Any = client.hget(ledger, str(slot))
        client.hdel(ledger, str(slot))
        store.commands.give_answer(Command.parse(asked[1]).token, KillAnswer(fate))
        over.wait()
        client.hset(ledger, str(slot), value)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        store.close()
        client.close()


if __name__ == "__main__":
    main()
