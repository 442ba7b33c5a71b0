"""gresque: Resque for Python on gevent. See README.md for a tour.

Everything a program needs is here: declare jobs with `job` or `Job`, enqueue them, look at queues.
"""

from __future__ import annotations

from gresque.client.client import Client
from gresque.client.declare import Job, JobFunction, job
from gresque.client.default import (
    configure,
    default_client,
    dequeue,
    enqueue,
    enqueue_many,
    enqueue_to,
    info,
    peek,
    queues,
    remove_queue,
    size,
)
from gresque.errors import (
    DirtyExit,
    DontPerform,
    EnqueueError,
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
from gresque.version import __version__ as __version__

__all__ = [
    "Client",
    "CurrentJob",
    "DirtyExit",
    "DontPerform",
    "EnqueueError",
    "Failure",
    "FailureBackend",
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
    "SettingsError",
    "UnknownJob",
    "UnserializableArgument",
    "WrongArguments",
    "after_fork",
    "before_first_fork",
    "before_fork",
    "configure",
    "current_job",
    "default_client",
    "dequeue",
    "enqueue",
    "enqueue_many",
    "enqueue_to",
    "enqueued_at",
    "info",
    "job",
    "peek",
    "queues",
    "remove_queue",
    "size",
    "uninterruptible",
    "worker_exit",
]
