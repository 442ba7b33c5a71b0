"""`fake()`: jobs are enqueued as in production, wait in this process, and run when a test says."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import gresque.testing.clock as test_clocks
from gresque.client.default import default_client
from gresque.client.when import Delay
from gresque.errors import GresqueError
from gresque.jobs.ends import EndRules, Way
from gresque.store.effects import PUT_OFF
from gresque.testing.clock import TestClock, installed
from gresque.testing.enqueued import EnqueuedJob, listed, read_job
from gresque.testing.looking import WaitingJobs, counted
from gresque.testing.running import Run, run_job
from gresque.testing.store import FakeStore, digest_of
from gresque.testing.ticks import enqueue_ticks
from gresque.testing.waiting import Waiting

if TYPE_CHECKING:
    from gresque.client.client import Client
    from gresque.store.store import Store

MOST_RUNS = 10_000


class FakeJobs(WaitingJobs):
    """The jobs that were enqueued in a test. They wait until `drain` runs them.

    `performed` and `failed` have those that ran to an end, and those that failed for good.
    """

    def __init__(self, *, cron: bool = False) -> None:
        self.performed: list[EnqueuedJob] = []
        self.failed: list[tuple[EnqueuedJob, Exception | SystemExit]] = []
        self._cron = cron
        self._stores: dict[tuple[str, str], FakeStore] = {}
        self._clocks = ExitStack()
        self._is_over = False

    # In the place of Redis

    def to_enqueue(self, client: Client) -> Store:
        return self.to_look(client)

    def to_look(self, client: Client) -> Store:
        place = client.redis_url, client.namespace
        store = self._stores.get(place)
        if store is None:
            store = self._stores.setdefault(place, FakeStore(client.namespace))
        return cast("Store", store)

    def close(self) -> None:
        """Let a clock that `advance` has moved go as before. What was enqueued can still be looked
        at."""
        self._is_over = True
        self._clocks.close()

    def _must_be_active(self, call: str) -> None:
        if self._is_over:
            raise GresqueError(
                f"this fake is over: call {call}() within its `with fake() as jobs:`"
            )

    def __iter__(self) -> Iterator[EnqueuedJob]:
        queued: list[tuple[int, EnqueuedJob]] = []
        later: list[tuple[int, EnqueuedJob]] = []
        for waiting in self._places():
            with waiting.guard:
                for queue, jobs in waiting.queues.items():
                    queued += ((at, read_job(queue, waiting.shown(raw))) for at, raw in jobs)
                later += ((job.due_ms, read_job(*job[2:], job.due_ms)) for job in waiting.by_due())
        for found in (queued, later):
            yield from (job for _, job in sorted(found, key=lambda pair: pair[0]))

    # Working

    def drain(
        self,
        *,
        queue: str | Collection[str] | None = None,
        raises: bool = True,
        retries: bool | None = None,
        limit: int = MOST_RUNS,
    ) -> int:
        """Run the jobs that are due, and those that they enqueue, until none is left, one after the
        other in the order of enqueueing; returns the number of runs.

        A job that fails for good raises its exception, and the others wait on; with `raises=False`
        it stands in `failed` and the rest runs. One that is to be tried again is tried again at
        once, without its delay; where the clock stands still, or with `retries=False`, it waits for
        its time. Raises AssertionError after `limit` runs.
        """
        __tracebackhide__ = True
        self._must_be_active("drain")
        queues = {queue} if isinstance(queue, str) else queue
        clock = test_clocks.current
        soon = clock is None or not clock.stands_still if retries is None else retries
        runs = 0
        while (found := self._next(queues)) is not None:
            if runs >= limit:
                raise AssertionError(
                    f"drain() has run {runs:,} jobs, and {counted([*self])} still enqueued; does "
                    f"a job enqueue itself? limit= allows more\n{listed([*self])}"
                )
            runs += 1
            error = self._run(*found, soon=soon)
            if error is not None and raises:
                raise error
        return runs

    def advance(self, delay: Delay) -> None:
        """Move the clock forwards: seconds, or a timedelta. Jobs that are due then go to their
        queues, and with `fake(cron=True)` so do the jobs of schedules. `drain` runs them."""
        self._must_be_active("advance")
        clock = test_clocks.current
        if clock is None:
            clock = self._clocks.enter_context(installed(TestClock(None)))
        if self._cron:
            enqueue_ticks(self._default(), clock, delay)
        else:
            clock.advance(delay)
        for waiting in self._places():
            waiting.promote()

    def clear(self) -> None:
        """Forget all jobs and locks."""
        self._stores.clear()
        self.performed.clear()
        self.failed.clear()

    def _places(self) -> list[Waiting]:
        return [store.waiting for store in self._stores.values()]

    def _default(self) -> Waiting:
        """Workers take the jobs of schedules from the place of the default client."""
        return cast("FakeStore", self.to_look(default_client())).waiting

    def _next(self, queues: Collection[str] | None) -> tuple[FakeStore, str] | None:
        heads: list[tuple[int, str, FakeStore]] = []
        for store in [*self._stores.values()]:
            store.waiting.promote()
            head = store.waiting.next_of(queues)
            if head is not None:
                heads.append((*head, store))
        found = min(heads, default=None, key=lambda head: head[0])
        return None if found is None else (found[2], found[1])

    def _run(self, store: FakeStore, queue: str, *, soon: bool) -> Exception | SystemExit | None:
        """Run the next job of a queue; returns its exception when it has failed for good."""
        raw = store.waiting.take(queue)
        store.waiting.tracks.start(queue, raw)
        run = run_job(queue, raw, EndRules(store.keys))
        _settle(store.waiting, queue, run, soon=soon)
        job = read_job(queue, raw)
        if run.ending.way is Way.DONE:
            self.performed.append(job)
        elif run.ending.way is Way.FAILED and run.error is not None:
            self.failed.append((job, run.error))
            return run.error
        return None


def _settle(waiting: Waiting, queue: str, run: Run, *, soon: bool) -> None:
    """Apply the effects of an end, as the script of a worker's turn does. With `soon` a further
    attempt does not wait for its time."""
    ending = run.ending
    with waiting.guard:
        for effect in ending.effects:
            if effect.kind == "push" or (effect.kind == "later" and soon):
                waiting.push(queue, [ending.raw])
            elif effect.kind in PUT_OFF:
                due = waiting.now_ms() + int(effect.a)
                waiting.add(queue, str(effect.b), ending.raw, due)
            elif effect.kind == "unlock":
                waiting.locks.unlock(digest_of(effect), str(effect.b), str(effect.a))
            elif effect.kind == "result":
                job_id, details = effect.key.rpartition(":")[2], bytes(effect.b)  # type: ignore[arg-type]
                waiting.tracks.note(job_id, str(effect.a), details, int(effect.c))
            elif effect.kind == "prolong":
                waiting.locks.prolong(digest_of(effect), str(effect.b), int(effect.c))
