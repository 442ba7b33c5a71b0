"""gresque: Resque for Python on gevent. See README.md for a tour.

Everything a program needs is here: declare jobs with `job` or `Job`, enqueue them, look at queues.
"""

from __future__ import annotations

from gresque.client.client import Client
from gresque.client.cron import cron, every
from gresque.client.declare import Job, JobFunction, job
from gresque.client.default import (
    cancel,
    configure,
    default_client,
    delayed,
    delayed_count,
    dequeue,
    enqueue,
    enqueue_at,
    enqueue_in,
    enqueue_many,
    enqueue_to,
    info,
    options,
    peek,
    queues,
    remove_delayed,
    remove_queue,
    reschedule,
    run_now,
    schedules,
    size,
)
from gresque.client.delayed import DelayedJob
from gresque.client.options import ConfiguredJob
from gresque.client.schedules import ScheduleEntry
from gresque.errors import (
    DirtyExit,
    DontPerform,
    DuplicateJob,
    EnqueueError,
    GiveUp,
    GresqueError,
    InvalidJobResult,
    InvalidPayload,
    JobDeclarationError,
    JobExpired,
    JobKilled,
    JobTimeout,
    NotEnqueued,
    PayloadTooLarge,
    PerhapsEnqueued,
    PoisonJob,
    RedisUnavailable,
    RetryLater,
    ScheduleError,
    SettingsError,
    UnknownJob,
    UnserializableArgument,
    WrongArguments,
)
from gresque.failure.reporters import Failure, FailureBackend
from gresque.jobs.critical_section import uninterruptible
from gresque.jobs.current import CurrentJob, current_job
from gresque.jobs.hooks import after_fork, before_first_fork, before_fork, worker_exit
from gresque.jobs.ids import JobId, enqueued_at
from gresque.jobs.retry_policy import exponential
from gresque.version import __version__ as __version__

__all__ = [
    "Client",
    "ConfiguredJob",
    "CurrentJob",
    "DelayedJob",
    "DirtyExit",
    "DontPerform",
    "DuplicateJob",
    "EnqueueError",
    "Failure",
    "FailureBackend",
    "GiveUp",
    "GresqueError",
    "InvalidJobResult",
    "InvalidPayload",
    "Job",
    "JobDeclarationError",
    "JobExpired",
    "JobFunction",
    "JobId",
    "JobKilled",
    "JobTimeout",
    "NotEnqueued",
    "PayloadTooLarge",
    "PerhapsEnqueued",
    "PoisonJob",
    "RedisUnavailable",
    "RetryLater",
    "ScheduleEntry",
    "ScheduleError",
    "SettingsError",
    "UnknownJob",
    "UnserializableArgument",
    "WrongArguments",
    "after_fork",
    "before_first_fork",
    "before_fork",
    "cancel",
    "configure",
    "cron",
    "current_job",
    "default_client",
    "delayed",
    "delayed_count",
    "dequeue",
    "enqueue",
    "enqueue_at",
    "enqueue_in",
    "enqueue_many",
    "enqueue_to",
    "enqueued_at",
    "every",
    "exponential",
    "info",
    "job",
    "options",
    "peek",
    "queues",
    "remove_delayed",
    "remove_queue",
    "reschedule",
    "run_now",
    "schedules",
    "size",
    "uninterruptible",
    "worker_exit",
]
