"""The first lines of a worker's log: its settings, its jobs, and what is likely to go wrong."""

from __future__ import annotations

import logging

from gresque.logs import fields
from gresque.processes.spec import ProcessSpec
from gresque.settings import Settings
from gresque.text import counted
from gresque.worker.preflight import AT_START, Loaded, declared, warnings

log = logging.getLogger("gresque.master")


def announce(worker_id: str, settings: Settings) -> None:
    """The start of a master, with the jobs when it has loaded them for its children."""
    jobs = declared(Loaded.now(settings)) if settings.preload else "each process loads the jobs"
    log.info(
        "worker %s started: %s x %s, %s per fork, %s %s%s; %s",
        worker_id,
        counted(settings.worker_count, "process", "processes"),
        counted(settings.thread_count, "thread"),
        counted(settings.jobs_per_fork, "job"),
        "queue" if _names_one(settings) else "queues",
        settings.queues,
        "" if settings.weights is None else f" by weight {settings.weights}",
        jobs,
        extra=fields("worker_started"),
    )
    if settings.preload:
        _warn(settings)


def _names_one(settings: Settings) -> bool:
    queues = settings.queues
    return queues is not None and len(queues.patterns) == 1 and not queues.dynamic


def announce_jobs(spec: ProcessSpec) -> None:
    """Without preloading the first child of a master knows the jobs first; it logs them."""
    if spec.retry_connect or spec.row is not spec.rows[0]:
        return
    log.info("%s", declared(Loaded.now(spec.settings)), extra=fields("jobs_declared"))
    _warn(spec.settings)


def _warn(settings: Settings) -> None:
    for warning in warnings(Loaded.now(settings), AT_START):
        log.warning("%s", warning, extra=fields("likely_problem"))
