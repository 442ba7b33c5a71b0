"""Plain gevent, no queue at all: long-lived greenlets that do the same job again and again.

python -m benchmarks.floor.plain_gevent JOB THREADS [ARGUMENT]
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

from benchmarks.peers import body  # noqa: E402


def work(name: str, threads: int, argument: object) -> None:
    """Until the bench ends it."""
    job = getattr(body, name)

    def loop() -> None:
        while True:
            job(argument)

    gevent.joinall([gevent.spawn(loop) for _ in range(threads)])


def wait(threads: int, deep: int) -> None:
    """Greenlets that sleep, this number of calls deep."""

    def down(calls: int) -> None:
        if calls > 0:
            down(calls - 1)
        else:
            body.count()
            time.sleep(1000)

    gevent.joinall([gevent.spawn(down, deep - 1) for _ in range(threads)])


if __name__ == "__main__":
    if sys.argv[1] == "wait":
        wait(int(sys.argv[2]), int(sys.argv[3]))
    else:
        work(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
