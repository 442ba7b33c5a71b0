"""What a client knows of tracked jobs: their state, their result, and the wait for it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from gresque.client.each_shard import EachShard
from gresque.client.shard_waits import wait_on_shards
from gresque.client.waiting_jobs import checked_id
from gresque.client.when import Delay
from gresque.errors import GresqueError, JobCancelled, JobFailed, NotEnded, NotKnown
from gresque.jobs.ids import enqueued_at
from gresque.jobs.tracking import Progress, decode_details, progress_of
from gresque.seconds import seconds_of
from gresque.store.track import ENDED
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.store.result_waits import ResultWaits
    from gresque.store.store import Store
    from gresque.store.tracks import TrackedState

MOST_NAMED = 3
"""Ids that an error names."""
LATEST_MS = 10**14
"""In the year 5138. No clock shows a later time by mistake, and not every later one is a date."""
SHOWN_CHARS = 64
"""Of an id; those that gresque gives have half of it."""


@dataclass(frozen=True)
class Status:
    """What is known of a job. Times are epoch seconds, None where they are not known."""

    id: str
    state: str
    """`later`, `queued`, `running`, `retrying` (it waits for its next attempt), `done`, `failed`,
    `cancelled`, or `unknown`."""
    queue: str | None = None
    job_class: str | None = None
    """The "class" of its payload, such as `mail.send_email`."""
    attempt: int | None = None
    """1 for the first one."""
    enqueued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    progress: Progress | None = None
    worker: str | None = None
    """The process that runs it, or ran it."""
    error: str | None = None
    """Of its last failure: the class of the exception and the message."""
    traceback: str | None = None
    note: str = ""
    """What has to be said of a search: how far it looked."""
    value: bytes = b"null"
    """The result as JSON."""

    @property
    def is_over(self) -> bool:
        """It is done, has failed for good, or was cancelled."""
        return self.state in ENDED


def status_of(job_id: str, found: TrackedState | None) -> Status:
    """What the server says of a tracked job; the state `unknown` where that is nothing."""
    if found is None:
        return Status(job_id, "unknown", enqueued_at=enqueued_at(job_id))
    details = decode_details(found.details)
    state = found.state
    if state in ("later", "retrying") and found.due_ms is None:
        state = "queued"  # it was due, and is in its queue
    error = trace = None
    if details.error:
        name, message, trace = (*details.error, "", "", "")[:3]
        error = f"{name}: {message}" if message else name
    return Status(
        job_id,
        state,
        queue=details.queue or found.queue or None,
        job_class=details.name or found.job_class or None,
        attempt=details.attempt,
        enqueued_at=enqueued_at(job_id),
        started_at=_moment(details.started),
        ended_at=_moment(details.ended),
        progress=progress_of(details.progress),
        worker=details.worker or None,
        error=error,
        traceback=trace,
        value=bytes(details.value) or b"null",
    )


def _moment(ms: int) -> float | None:
    """Epoch seconds; None for what is no time of a job."""
    return ms / 1000 if 0 < ms < LATEST_MS else None


def result_of(found: Status) -> Any:
    """What the job returned. Raises JobFailed, JobCancelled."""
    if found.state == "done":
        return msgspec.json.decode(found.value)
    error = found.error or ""
    if found.state == "cancelled":
        why = f": {error}" if error else ": it was taken out of its queue before it ran"
        raise JobCancelled(f"job {_shown(found.id)} was cancelled{why}", error)
    raise JobFailed(f"job {_shown(found.id)} failed: {error}", error, found.traceback or "")


class JobResults(EachShard):
    """The part of `Client` about tracked jobs."""

    @property
    @abstractmethod
    def _result_waits(self) -> ResultWaits:
        """That of the only shard."""

    def _wait(
        self, ids: Sequence[str], seconds: float | None, wanted: int
    ) -> dict[str, TrackedState | None]:
        """As `ResultWaits.wait`."""
        if not self._several:
            return self._result_waits.wait(ids, seconds, wanted)
        return wait_on_shards(self, ids, seconds, wanted)

    def status(self, job: str, *, search: bool = False) -> Status:
        """What is known of a job, which `job` names by its id: in one round trip, of a tracked job.

        A job that is not tracked has the state `unknown`. With `search` it is looked for where it
        may be: in the jobs in flight, those that wait for their time, the next 10,000 in the queues
        and the last 10,000 failed ones; `note` says so where it is not found.
        """
        job_id = checked_id(job)

        def look(store: Store) -> Status:
            found = status_of(job_id, store.tracks.read([job_id])[0])
            if found.state != "unknown" or not search:
                return found
            from gresque.client.job_search import search_job

            return search_job(store, job_id).status

        answers = self._until(look, lambda found: found.state != "unknown")
        return next((found for found in answers if found.state != "unknown"), answers[0])

    def result(self, job: str, timeout: Delay | None = None) -> Any:
        """What a tracked job returned, as JSON carries it; waits until it has ended, or for
        `timeout` (seconds, or a timedelta).

        Raises JobFailed with its error and traceback, JobCancelled, NotKnown where nothing is known
        of the job, and NotEnded, a TimeoutError.
        """
        return result_of(self.wait([job], timeout)[checked_id(job)])

    def wait(
        self, jobs: Iterable[str], timeout: Delay | None = None, count: int | None = None
    ) -> dict[str, Status]:
        """Wait until `count` of these tracked jobs have ended, all of them where it is not given;
        returns the states of those that have, by id.

        All waits of a client share one connection, on which the server announces the ends: nothing
        is polled. Raises NotKnown where nothing is known of one of them, NotEnded, and
        RedisUnavailable where the server stays away.
        """
        ids = [*dict.fromkeys(checked_id(job) for job in _listed(jobs))]
        seconds = None if timeout is None else seconds_of(timeout)
        if timeout is not None and (seconds is None or seconds < 0):
            raise GresqueError(f"timeout={timeout!r} is no time; give a number of seconds")
        wanted = len(ids) if count is None else count
        if type(wanted) is not int or not 0 <= wanted <= len(ids):
            raise GresqueError(f"count={count!r} of {len(ids)} jobs; give a number up to that")
        if not wanted:
            return {}
        found = self._wait(ids, seconds, wanted)
        ended = {job_id: status_of(job_id, found[job_id]) for job_id in ids if job_id in found}
        gone = [job_id for job_id, status in ended.items() if status.state == "unknown"]
        if gone:
            raise NotKnown(
                f"nothing is known of {_named(gone)}: no such job was enqueued, its result has "
                "expired, or it is not tracked (result_ttl_seconds=, or options(track=))"
            )
        if len(ended) < wanted:
            left = [job_id for job_id in ids if job_id not in ended]
            have = "has" if len(left) == 1 else "have"
            error = NotEnded(f"{_named(left)} {have} not ended within {seconds:g} s")
            error.ended = ended
            raise error
        return ended


def _listed(jobs: Iterable[str]) -> Sequence[str]:
    if isinstance(jobs, str | bytes) or not isinstance(jobs, Iterable):
        raise GresqueError(f"wait({jobs!r}): give a list of ids")
    return [*jobs]


def _named(ids: Sequence[str]) -> str:
    named = ", ".join(map(_shown, ids[:MOST_NAMED]))
    more = f" and {len(ids) - MOST_NAMED:,} more" if len(ids) > MOST_NAMED else ""
    return f"job {named}{more}" if len(ids) == 1 else f"jobs {named}{more}"


def _shown(job_id: str) -> str:
    return printable(job_id[:SHOWN_CHARS])
