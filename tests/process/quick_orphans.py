"""Required beside the jobs: a process without a master waits for Redis for a second."""

import os
import time

import gresque
from gresque.worker import orphan

orphan.ORPHAN_SECONDS = 1.0


@gresque.worker_exit
def leave_slowly() -> None:
    if "SLOW_EXIT" in os.environ:
        time.sleep(3.0)
        with open(os.environ["SLOW_EXIT"], "a") as file:  # noqa: PTH123
            print("left", file=file)
        orphan.ORPHAN_SECONDS = 10.0  # to leave may take a moment
