"""How long an idle worker takes to start a job, from before the call that enqueues it.

    python -m benchmarks.latency

By gresque's own `enqueue`, and by the SADD and RPUSH of a Resque client in any language; with one
queue, with 20 and 100, and with a glob. The runs are those of compare.py, for gresque alone.
"""

from __future__ import annotations

from benchmarks import compare, harness
from benchmarks.compare import Bench, Scenario
from benchmarks.harness import Results

SAMPLES = 300
SCENARIOS = (
    Scenario("1 queue", "latency"),
    Scenario("20 queues", "latency", queues=20),
    Scenario("100 queues", "latency", queues=100),
    Scenario("20 queues, by a glob", "latency", queues=20, watch="q*"),
    Scenario("1 queue, plain RPUSH", "plain_latency"),
    Scenario("20 queues, plain RPUSH", "plain_latency", queues=20),
)


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    compare.install("gresque")
    results = Results("latency", "ms")
    with compare.servers() as (server, http_url):
        bench = Bench(server, http_url, 1.0, int(SAMPLES * options.scale))
        for _ in range(options.runs):
            for scenario in SCENARIOS:
                measured = bench.run("gresque", scenario)
                for percent, goal in ((50, 1.0), (99, 5.0)):
                    value = measured[f"latency_p{percent}_ms"]
                    results.note(f"{scenario.name}, p{percent}", value, goal, at_most=True)
    results.print_table()


if __name__ == "__main__":
    main()
