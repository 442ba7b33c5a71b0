"""Required beside the jobs: a process without a master waits for Redis for a second."""

from gresque.worker import worker

worker.ORPHAN_SECONDS = 1.0
