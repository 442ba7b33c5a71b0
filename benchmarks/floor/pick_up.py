"""One job after the other for idle workers, in turns: by a foreign RPUSH, by `enqueue`, and for a
bare BLPOP. From before the call to the first line of the job.

    python -m benchmarks.floor.pick_up SAMPLES
"""

from __future__ import annotations

import json
import random
import sys
import time

import redis

import gresque
from benchmarks.floor import jobs  # noqa: F401
from benchmarks.peers import body

PAUSE_SECONDS = (0.01, 0.03)
"""At random: not in step with anything that polls."""
LIMIT_SECONDS = 5.0


def main(samples: int) -> None:
    server = redis.Redis.from_url(body.REDIS_URL)
    client = gresque.Client(body.REDIS_URL)
    number = 1

    def foreign() -> None:
        raw = json.dumps({"class": "start", "args": [number], "id": f"{number:032x}"})
        server.rpush("resque:queue:floors", raw)

    ways = {
        "foreign": foreign,
        "enqueue": lambda: client.enqueue("start", number),
        "bare": lambda: server.rpush("bare", number),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for each in range(-3, samples):  # the first ones open connections
        for name, push in ways.items():
            time.sleep(random.uniform(*PAUSE_SECONDS))
            number += 1
            sent = time.monotonic_ns()
            push()
            word = 1 + body.PROCESSES + number
            while not body.tally.words[word]:
                if time.monotonic_ns() - sent > LIMIT_SECONDS * 1e9:
                    sys.exit(f"{name}: the job did not start within {LIMIT_SECONDS:.0f} s")
                time.sleep(0.0005)
            if each >= 0:
                found[name].append((body.tally.words[word] - sent) / 1e6)
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
