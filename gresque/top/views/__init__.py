"""The six views of `gresque top`, by their number less one."""

from __future__ import annotations

from gresque.top.views.failed import FailedView
from gresque.top.views.jobs import JobsView
from gresque.top.views.ledger import LedgerView
from gresque.top.views.queues import QueuesView
from gresque.top.views.running import RunningView
from gresque.top.views.view import View
from gresque.top.views.workers import WorkersView

VIEWS: tuple[View, ...] = (
    RunningView(), QueuesView(), FailedView(), JobsView(), WorkersView(), LedgerView(),
)  # fmt: skip
RUNNING, QUEUES, FAILED, JOBS, WORKERS, LEDGER = range(len(VIEWS))
