"""What it costs `subprocess.run` that a process forked by a job is no worker.

    python -m benchmarks.forking

A job runs `true` again and again in a worker of 1 x 100, in turns with the hook that takes the
worker away from the child (`worker/forked_child.py`) and without it. gevent's `subprocess` forks by
Python, so the hook runs in each child before the program does. Of each pair the difference is
noted: wall-clock time, and CPU of the worker and of its children.
"""

from __future__ import annotations

import gresque
from benchmarks import harness
from benchmarks.harness import Results, Server, gresque_work, wait_for

PAIRS = 300


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("forking", "µs")
    for _ in range(options.runs):
        server.empty()
        gresque.Client(server.url).enqueue_to(
            "bench", "ForkCost", max(10, int(PAIRS * options.scale))
        )
        with gresque_work(server, workers=1):
            wait_for(lambda: server.redis.exists("fork-cost"), 600, "the job did not end")
        for name, text in server.redis.hgetall("fork-cost").items():
            results.note(name.decode(), float(text))
    results.print_table()


if __name__ == "__main__":
    main()
