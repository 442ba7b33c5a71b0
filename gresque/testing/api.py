"""What `gresque.testing` gives, in one module: `gresque/testing/__init__.py` loads it at its first
use."""

from __future__ import annotations

from gresque.testing.clock import TestClock, frozen
from gresque.testing.enqueued import EnqueuedJob, approx
from gresque.testing.errors import NotImitated, TestingWarning
from gresque.testing.fake import FakeJobs
from gresque.testing.mixin import FakeJobsMixin
from gresque.testing.modes import fake, inline, perform
from gresque.testing.server import TestServer, WorkerFailed, WorkerRun

__all__ = [
    "EnqueuedJob",
    "FakeJobs",
    "FakeJobsMixin",
    "NotImitated",
    "TestClock",
    "TestServer",
    "TestingWarning",
    "WorkerFailed",
    "WorkerRun",
    "approx",
    "fake",
    "frozen",
    "inline",
    "perform",
]
