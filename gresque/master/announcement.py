"""The first lines of a worker's log: its settings, its jobs, and what is likely to go wrong."""

from __future__ import annotations

import logging

from gresque.logs import fields
from gresque.processes.spec import ProcessSpec
from gresque.settings import Settings
from gresque.worker.preflight import AT_START, Loaded, declared, warnings

log = logging.getLogger("gresque.master")


def announce(worker_id: str, settings: Settings) -> None:
    """The start of a master, with the jobs when it has loaded them for its children."""
    jobs = declared(Loaded.now(settings)) if settings.preload else "each process loads the jobs"
    log.info(
        "worker %s started: %d processes x %d threads, %d jobs per fork, queues %s; %s",
        worker_id,
        settings.worker_count,
        settings.thread_count,
        settings.jobs_per_fork,
        settings.queues,
        jobs,
        extra=fields("worker_started"),
    )
    if settings.preload:
        _warn(settings)


def announce_jobs(spec: ProcessSpec) -> None:
    """Without preloading the first child of a master knows the jobs first; it logs them."""
    if spec.retry_connect or spec.row is not spec.rows[0]:
        return
    log.info("%s", declared(Loaded.now(spec.settings)), extra=fields("jobs_declared"))
    _warn(spec.settings)


def _warn(settings: Settings) -> None:
    for warning in warnings(Loaded.now(settings), AT_START):
        log.warning("%s", warning, extra=fields("likely_problem"))
