"""What the running jobs wait on, and their shares of the CPU: kept only while a viewer looks."""

from __future__ import annotations

from collections import Counter, deque
from time import monotonic

from gresque.raised import own_frame
from gresque.store.commands import JobWait, encode_waits
from gresque.worker.native.stacks import GreenletStack, stack_of, thread_with_the_cpu
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import WorkerThread

MOST_JOBS = 200
"""The oldest ones: each takes some 20 µs, in which no job runs."""

YOUNGEST_SECONDS = 1.0
SAMPLES = 50
"""The loop monitor takes ten a second."""
WATCHED_SECONDS = 5.0
"""After the last call of `encode` no samples are taken any more."""


class WatchedJobs:
    """Called by two native threads: the loop monitor samples, the heartbeat publishes."""

    def __init__(self, pool: ThreadPool, main_thread: int) -> None:
        self._thread_pool = pool
        self._main_thread = main_thread
        self._samples: deque[bytes | None] = deque(maxlen=SAMPLES)
        """The slot of the job that had the CPU, None for none."""
        self._watched_at = float("-inf")

    def sample(self, now: float) -> None:
        """Note who has the CPU, if a viewer looks."""
        if now - self._watched_at > WATCHED_SECONDS:
            self._samples.clear()
            return
        thread = thread_with_the_cpu(self._main_thread)
        job = None if thread is None else thread.job
        self._samples.append(None if job is None else job[0])

    def encode(self) -> bytes:
        """As it stands in Redis."""
        now = self._watched_at = monotonic()
        shares = Counter([*self._samples])
        taken = sum(shares.values())
        on_cpu = thread_with_the_cpu(self._main_thread)
        found: dict[str, JobWait] = {}
        for thread in self._oldest(now):
            stack = stack_of(thread, self._main_thread, on_cpu)
            if stack is None or stack.job is None:
                continue
            slot = stack.job[0]
            share = round(shares[slot] / taken, 2) if taken else float(stack.on_cpu)
            found[slot.decode()] = JobWait(_waits_on(stack), share, own_frame([*stack.stack]))
        return encode_waits(found)

    def _oldest(self, now: float) -> list[WorkerThread]:
        busy = [each for each in list(self._thread_pool.threads) if each.job is not None]
        old = [each for each in busy if now - each.since >= YOUNGEST_SECONDS]
        return sorted(old, key=lambda each: each.since)[:MOST_JOBS]


def _waits_on(stack: GreenletStack) -> str:
    return "the CPU" if stack.on_cpu else stack.waits_on
