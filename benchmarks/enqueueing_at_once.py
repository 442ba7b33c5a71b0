"""How fast many greenlets or threads of one process enqueue at the same time, and what each enqueue
costs the server: those that wait are joined.

    python -m benchmarks.enqueueing_at_once

Each run is a process of its own. One thread is the measure: its enqueues are never joined.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

from benchmarks import harness
from benchmarks.harness import ROOT, Results, Server

KINDS = ("threads", 1), ("threads", 16), ("greenlets", 32), ("greenlets", 500)
SECONDS = 2.0


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("enqueueing_at_once", "jobs/s")
    for _ in range(options.runs):
        for kind, count in KINDS:
            server.empty()
            work = [kind, str(count), str(SECONDS * options.scale), server.url]
            # Patched before anything else is imported.
            patched = ["gevent.monkey", "--module"] if kind == "greenlets" else []
            program = ["-m", *patched, "benchmarks.enqueueing_at_once", *work]
            ran = subprocess.run(
                [sys.executable, *program], cwd=ROOT, stdout=subprocess.PIPE, check=True
            )
            found = json.loads(ran.stdout)
            name = f"{count} {kind.removesuffix('s') if count == 1 else kind}"
            results.note(name, found["rate"])
            results.note(f"{name}: the server's CPU for each", found["server_us"], unit="µs")
    results.print_table()


def enqueue_at_once(count: int, seconds: float, url: str) -> None:
    """Print the rate, and the server's CPU time for each enqueue, as JSON."""
    import gresque

    client, server = gresque.Client(url), Server(url)
    client.enqueue_to("bench", "Noop", 1)
    until, done = time.perf_counter() + seconds, []

    def run() -> None:
        number = 0
        while time.perf_counter() < until:
            client.enqueue_to("bench", "Noop", 1)
            number += 1
        done.append(number)

    before, started = cpu_seconds(server), time.perf_counter()
    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent, took = cpu_seconds(server) - before, time.perf_counter() - started
    print(json.dumps({"rate": sum(done) / took, "server_us": 1e6 * spent / max(1, sum(done))}))


def cpu_seconds(server: Server) -> float:
    used = server.redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


if __name__ == "__main__":
    if sys.argv[1:2] in (["threads"], ["greenlets"]):
        enqueue_at_once(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
    else:
        main()
