"""What keys do: calls of `control/`, in threads, with what became of it in a few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import RedisError

from gresque.connection.errors import explain
from gresque.control.audit import By
from gresque.control.flow import limit, pause, unpause, unpause_all
from gresque.control.kill import OVER, Killed, kill_all
from gresque.control.processes import Order, order
from gresque.control.remove import remove_all_failed
from gresque.control.retry import retry_all_failed
from gresque.control.stacks import read_stacks
from gresque.control.targets import targets_of
from gresque.errors import GresqueError
from gresque.failure.backend import RedisBackend
from gresque.inspector.failed_groups import FailedGroup
from gresque.inspector.running import RunningJob
from gresque.store.commands import Fate
from gresque.store.store import Store
from gresque.text import counted

T = TypeVar("T")

KILL_WAIT_SECONDS = 10.0
STACK_WAIT_SECONDS = 5.0
ORDER_WAIT_SECONDS = 5.0

WORDS = {
    Fate.REQUESTED: "asked; no answer yet",
    Fate.DELIVERED: "delivered; not dead yet",
    Fate.GUARDED: "uninterruptible; dies later",
    Fate.DEAD: "dead",
    Fate.ENDED: "ended by itself",
    Fate.REPLACED: "process replaced",
    Fate.REQUEUED: "back in its queue",
    Fate.DIED_FAILED: "process died; job failed",
    Fate.DIED_REQUEUED: "process died; job is back",
    Fate.DIED_WITHOUT: "process died; job had ended",
    Fate.LOST: "process died, no answer",
}
"""What became of a kill, for the row of its job."""


@dataclass(frozen=True)
class Ended:
    """What became of one job: in a few words, and whether it is over for good."""

    place: tuple[str, str]
    text: str
    is_over: bool


class Acts:
    """Each call blocks until there is an outcome; it raises GresqueError with one line."""

    def __init__(self, store: Store, backend: RedisBackend, by: By) -> None:
        self.store = store
        self._backend = backend
        self._by = by

    def kill(self, jobs: Sequence[RunningJob]) -> list[Ended]:
        """Kill these jobs; the others in their processes go on."""
        named = [job for job in jobs if job.item.get("id") is not None]
        found = [
            Ended((job.process, job.slot), "it has no id to kill it by", False)
            for job in jobs
            if job.item.get("id") is None
        ]
        killed = self._plainly(
            lambda: kill_all(
                self.store, targets_of(named), by=self._by, wait_seconds=KILL_WAIT_SECONDS
            )
        )
        by_id = {(each.process, each.job_id): each for each in killed}
        return found + [self._ended(job, by_id) for job in named]

    def _ended(self, job: RunningJob, killed: dict[tuple[str, str], Killed]) -> Ended:
        found = killed[job.process, str(job.item["id"])]
        fate = found.answer.fate
        return Ended((job.process, job.slot), WORDS[fate], fate in OVER)

    def stack(self, job_id: str) -> list[str]:
        """Where a running job stands, the innermost frame first, after what it waits on."""
        found = self._plainly(
            lambda: read_stacks(self.store, job_id, by=self._by, wait_seconds=STACK_WAIT_SECONDS)
        )
        if found is None:
            return ["it does not run any more"]
        lines: list[str] = []
        for greenlets in found.values():
            if greenlets is None:
                lines.append("its process did not answer")
            for greenlet in greenlets or ():
                waits = greenlet.get("waits_on")
                lines += [f"waits on {waits}"] if waits else []
                lines += [str(frame) for frame in greenlet.get("stack") or ()]
        return lines or ["it does not run any more"]

    def pause(self, queue: str) -> str:
        changed = self._plainly(lambda: pause(self.store, queue, by=self._by))
        return "paused" if changed else "was paused already"

    def unpause(self, queue: str) -> str:
        """With an empty name all queues."""
        if queue:
            changed = self._plainly(lambda: unpause(self.store, queue, by=self._by))
        else:
            changed = self._plainly(lambda: unpause_all(self.store, by=self._by))
        return "goes on" if changed else "was not paused"

    def limit(self, queue: str, cap: int) -> str:
        self._plainly(lambda: limit(self.store, queue, cap, None, by=self._by))
        return f"cap {cap:,}"

    def order(self, what: Order, process: str) -> str:
        """Pause, continue, drain or recycle a process."""
        (found,) = self._plainly(
            lambda: order(self.store, what, [process], by=self._by, wait_seconds=ORDER_WAIT_SECONDS)
        )
        return found.outcome

    def retry(self, group: FailedGroup) -> str:
        """All failures of a group that wait. Those that come meanwhile are not touched."""
        done = self._plainly(lambda: retry_all_failed(self._backend, group.wanted, by=self._by))
        refused = f", {done.refused:,} could not be" if done.refused else ""
        return f"{counted(done.retried, 'job')} retried{refused}"

    def remove(self, group: FailedGroup) -> str:
        """All failures of a group, retried or not."""
        done = self._plainly(lambda: remove_all_failed(self._backend, group.wanted, by=self._by))
        return f"{counted(done, 'job')} removed"

    def _plainly(self, act: Callable[[], T]) -> T:
        """Raises GresqueError with one line for an error of redis-py's."""
        try:
            return act()
        except (RedisError, OSError) as error:
            raise GresqueError(explain(self.store.server.url, error)) from None
