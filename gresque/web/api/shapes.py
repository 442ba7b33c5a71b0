"""What the API takes and returns, where no reader has a type of its own for it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gresque.inspector.verdict import Action

MOST_CURSOR = 2**63 - 1
Count = Annotated[int, Meta(ge=1, le=1000, description="How many, at most.")]
Offset = Annotated[int, Meta(ge=0, le=100_000_000, description="Leave out that many before.")]
FilterText = Annotated[
    str,
    Meta(
        max_length=2000,
        description="Which ones, as on the pages: `class:myapp.* queue:mail >5s text`.",
    ),
]
QueueName = Annotated[str, Meta(min_length=1, description="The name of a queue.")]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A query string or a body. A name that is not known is an error."""


class Nothing(Asked, frozen=True):
    """An empty one."""


class Page(Asked, frozen=True):
    count: Count = 50
    offset: Offset = 0


class FilteredPage(Page, frozen=True):
    filter: FilterText = ""


class OfFilter(Asked, frozen=True):
    filter: FilterText = ""


class OfJob(Asked, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=200, description="The whole id of a job.")]


class OfQueue(Asked, frozen=True):
    queue: QueueName


class Done(msgspec.Struct, frozen=True):
    """What came of an action: how many were changed, and a sentence."""

    count: int
    message: str


class Overview(msgspec.Struct, frozen=True):
    """The numbers of the whole system; rates are in jobs a second. `stale_seconds` is the age of
    the numbers, which grows while Redis is away; then `trouble` says why."""

    at: float
    stale_seconds: float
    trouble: str | None
    done_rate: float
    failed_rate: float
    processed: int
    failed: int
    waiting: int
    running: int
    threads: int
    kept_failed: int
    delayed: int
    queues: int
    workers: int
    processes: int
    expected_processes: int
    oldest_queue: str | None
    oldest_seconds: float | None
    longest_running_seconds: float | None


class Queue(msgspec.Struct, frozen=True):
    """A queue; rates are in jobs a second, None where metrics are off."""

    name: str
    waiting: int
    suspects: int
    oldest_seconds: float | None
    growth: float
    in_rate: float | None
    out_rate: float | None
    running: int | None
    is_served: bool
    is_paused: bool
    policy: str


class Process(msgspec.Struct, frozen=True):
    """A worker process. `cpu_share` is its part of one CPU."""

    id: str
    name: str
    host: str
    pid: int | None
    master_pid: int | None
    state: str
    started: float | None
    beat_age_seconds: float
    threads: int
    held: int
    reserved: int
    done: int
    failed: int
    requeued: int
    retried: int
    rss_bytes: int | None
    cpu_share: float | None
    lag_seconds: float | None
    blocked_seconds: float | None
    queues: str
    version: str


class OtherWorker(msgspec.Struct, frozen=True):
    """A worker of another program; without a heartbeat its age is null."""

    id: str
    host: str
    queues: str
    heartbeat_age_seconds: float | None
    seems_dead: bool


class Delayed(msgspec.Struct, frozen=True):
    """A job that waits for its time; `due` is in epoch seconds."""

    id: str
    due: float
    queue: str | None
    job_class: str | None
    args: Any


class Retry(msgspec.Struct, frozen=True):
    """A job that waits to run again, and why."""

    id: str
    due: float
    queue: str | None
    job_class: str | None
    args: Any
    attempt: int
    exception: str | None
    reason: str


class DelayedPage(msgspec.Struct, frozen=True):
    """`next` is the offset of the next page, None at the end. `total` counts all that wait for
    their time, those to be tried again included."""

    jobs: list[Delayed]
    next: int | None
    total: int


class RetryPage(msgspec.Struct, frozen=True):
    """As of delayed jobs."""

    jobs: list[Retry]
    next: int | None
    total: int


class CronEntry(msgspec.Struct, frozen=True):
    """An entry of the schedule. Times are in epoch seconds; `next` is None while it is paused."""

    name: str
    schedule: str
    job: str
    queue: str
    next: float | None
    last: float | None
    last_job_id: str | None
    paused: bool
    enabled: bool
    source: str
    app: str
    description: str
    error: str | None


class Limits(msgspec.Struct, frozen=True):
    """Queues that are paused or limited, and the caps of single workers."""

    all_paused: bool
    queues: list[LimitedQueue]
    workers: list[WorkerCapRow]


class LimitedQueue(msgspec.Struct, frozen=True):
    """`starts_in_seconds` is when its rate lets the next job start."""

    queue: str
    paused: bool
    concurrent: int | None
    in_flight: int
    rate: str | None
    burst: int | None
    starts_in_seconds: float
    waiting: int


class WorkerCapRow(msgspec.Struct, frozen=True):
    """The cap of one worker for a queue."""

    worker: str
    queue: str
    cap: int
    in_flight: int


class LockRow(msgspec.Struct, frozen=True):
    """The lock of a unique job."""

    digest: str
    job_id: str
    unique: str
    job_class: str
    key: str | None
    queue: str
    since: float | None
    expires_in_seconds: float | None
    waiting: int
    next_run: bool


class LockPage(msgspec.Struct, frozen=True):
    """Some locks, in no order. `cursor` is for the next page, 0 at the end."""

    locks: list[LockRow]
    cursor: int


class LocksAsked(Asked, frozen=True):
    cursor: Annotated[int, Meta(ge=0, le=MOST_CURSOR, description="Of the page before.")] = 0
    count: Count = 100


class Running(msgspec.Struct, frozen=True):
    """A job that has been running for over a second. `blocks_seconds` is for how long it has kept
    the other jobs of its process from running, where it does."""

    id: str | None
    job_class: str | None
    args: Any
    queue: str
    process: str
    seconds: float | None
    blocks_seconds: float | None


class RunningPage(msgspec.Struct, frozen=True):
    """`matching` of them match; `held` counts all jobs in flight, those of less than a second
    included."""

    jobs: list[Running]
    matching: int
    held: int


class Failed(msgspec.Struct, frozen=True):
    """An entry of a failed job. `place` is where it stands; it changes when others are removed.
    `reference` names it in `failed/retry` and `failed/remove`, also then."""

    place: str
    reference: str
    id: str
    job_class: str | None
    args: Any
    queue: str
    exception: str
    error: str
    failed_at: str
    retried: bool
    worker: str
    backtrace: list[str]


class FailedPage(msgspec.Struct, frozen=True):
    """`total` counts all entries."""

    jobs: list[Failed]
    total: int


class FailedGroupRow(msgspec.Struct, frozen=True):
    """Failures of one class, with one exception, from one queue, that broke at one line; null
    where entries have none. `error` is the message of one of them. `first` and `last` are in epoch
    seconds, to the minute. With `is_rest` it stands for all groups beyond the largest number."""

    job_class: str | None
    exception: str | None
    queue: str | None
    frame: str | None
    error: str
    count: int
    retried: int
    first: int | None
    last: int | None
    is_rest: bool


class FailedGroups(msgspec.Struct, frozen=True):
    """Of all `total` entries the newest `counted` ones are in groups so far."""

    groups: list[FailedGroupRow]
    counted: int
    total: int


class JobStep(msgspec.Struct, frozen=True):
    """A step of the way of a job; `at` in epoch seconds, null where that is not known."""

    at: float | None
    text: str


class Job(msgspec.Struct, frozen=True):
    """`state` is running, ended (killed a moment ago), waiting, delayed, retry, failed or gone; of
    a tracked job that has ended also done or cancelled. Tracked jobs have `progress` (done, total,
    note), and `result`, what they returned."""

    id: str
    state: str
    is_searched: bool
    job_class: str | None
    args: Any
    queue: str | None
    process: str | None
    seconds: float | None
    failed: Failed | None
    progress: tuple[float, float | None, str] | None
    result: Any
    steps: list[JobStep]


class VerdictLine(msgspec.Struct, frozen=True):
    """`severity` is stopped, silent, failing or late, from the worst on. The first of the actions
    is the one to take."""

    kind: str
    severity: str
    title: str
    sentence: str
    cause: str
    actions: list[Action]


class Verdict(msgspec.Struct, frozen=True):
    """`count` things are wrong; the worst six have lines. `calm` says that all is well, empty where
    it is not."""

    count: int
    lines: list[VerdictLine]
    calm: str


class AuditAsked(Asked, frozen=True):
    count: Count = 50
    before: Annotated[str, Meta(description="The id of an entry: those before it.")] = ""
    text: Annotated[str, Meta(max_length=200, description="In some field.")] = ""
