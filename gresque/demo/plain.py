"""The same fetches without a queue, by greenlets alone: what gresque is measured against.

    python -m gresque.demo.plain SERVER_URL GREENLETS WARM_UP_SECONDS SECONDS

It prints how many fetches ended in the seconds after the warm-up, and the exact time of those.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
from gevent.pool import Group  # noqa: E402

from gresque.demo.jobs import fetch  # noqa: E402
from gresque.demo.library import library, requests  # noqa: E402

LOOK_SECONDS = 0.1


def main(server_url: str, greenlets: int, warm_up_seconds: float, seconds: float) -> None:
    todo = requests(server_url, library(), f"plain-{os.getpid()}")
    done = 0

    def work() -> None:
        nonlocal done
        for request in todo:
            fetch(*request)
            done += 1

    group = Group()
    for _ in range(greenlets):
        group.add(gevent.spawn(work))
    # As the jobs are measured: the time begins with the first end. A fetch that fails ends it.
    while not done:
        group.join(LOOK_SECONDS, raise_error=True)
    group.join(warm_up_seconds, raise_error=True)
    before, begun = done, time.monotonic()
    group.join(seconds, raise_error=True)
    print(json.dumps([done - before, time.monotonic() - begun]), flush=True)
    os._exit(0)  # the rest of its fetches is of no interest


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
