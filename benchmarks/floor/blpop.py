"""Bare BLPOP: a job starts as soon as the server hands it out; nobody has noted that it was taken.

python -m benchmarks.floor.blpop
"""

from __future__ import annotations

import redis

from benchmarks.peers import body


def main() -> None:
    client = redis.Redis.from_url(body.REDIS_URL)
    while True:
        _, number = client.blpop(["bare"], 0)
        body.start(int(number))


if __name__ == "__main__":
    main()
