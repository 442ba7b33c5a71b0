"""Loading what a worker process runs: gevent's patches first, then the job modules."""

from __future__ import annotations

import gc
import importlib
import logging
import os
from collections.abc import Callable

from gresque.client.default import adopt
from gresque.errors import BootError, ScheduleError
from gresque.failure.reporters import load_reporters, reporter_names
from gresque.forked import call_user_code
from gresque.jobs.modules import import_jobs
from gresque.logs import fields, serve_root, use_native_locks
from gresque.processes.fingerprint import find
from gresque.processes.spec import ProcessSpec
from gresque.schedule.declared import declared, find_queue
from gresque.schedule.file import read_file
from gresque.settings import Settings

log = logging.getLogger("gresque.cron")


def load(settings: Settings) -> Callable[[ProcessSpec], None]:
    """Patch, import the job modules and failure backends that the settings name, and return the
    entry of a worker process.

    Called in the master when preloading, else in each worker process. Raises BootError.
    """
    patch()
    from gresque.worker.main import run_worker
    from gresque.worker.threads.current import know_current_job

    know_current_job(settings.retries, lines=settings.metrics)
    _import_what_children_would()
    load_jobs(settings)
    # Objects that are loaded now live as long as the process. Frozen, the collector never walks it,
    # and in a forked child the memory stays shared.
    gc.collect()
    gc.freeze()
    return run_worker


def patch() -> None:
    """Have the standard library wait in gevent's loop, and mind the forks of user code."""
    from gevent import monkey

    monkey.patch_all()
    from gresque.worker.forked_child import watch_forks
    from gresque.worker.multiprocessing_patch import patch_processes

    watch_forks()
    patch_processes()
    use_native_locks()
    from gresque.worker.handlers import guard_handlers

    guard_handlers()


def load_jobs(settings: Settings) -> None:
    """Import what the settings name, patched. Raises BootError."""
    from gresque.jobs.registry import registry

    adopt(settings)  # before a module can enqueue anything
    for module in settings.require:
        import_jobs(module)
    _load_schedules(settings)
    call_user_code(load_reporters, reporter_names(settings.failure_backend))
    serve_root()
    if not len(registry):
        raise BootError(
            "no jobs are declared: require the module that declares them with -r, "
            "such as -r myapp.jobs"
        )


def _load_schedules(settings: Settings) -> None:
    """The entries of the schedule file; those of the code are there. Raises BootError."""
    try:
        declared.check()
        if settings.schedule:
            found = read_file(settings.schedule, find_queue, settings.schedule_env)
            declared.replace_file(found.entries)
            for note in found.notes:
                log.info("%s", note, extra=fields("schedule_note"))
    except ScheduleError as error:
        raise BootError(str(error)) from None


def _import_what_children_would() -> None:
    """Import what a worker process would import at its first connection: 5 ms, for every job when
    there is one job per fork."""
    from gevent import config

    from gresque.connection.scripts import script

    for module in (
        "encodings.idna",
        "gevent.resolver.thread",
        "gevent.threadpool",
        "gevent.util",
        "hmac",
        "secrets",
    ):
        importlib.import_module(module)
    for name in (
        "register",
        "listen",
        "listen_limited",
        "cycle",
        "start",
        "hand_over",
        "unregister",
    ):
        script(name)
    find(os.getpid(), os.getpid())
    for name in ("loop", "libev_backend", "format_context", "monitor_thread"):
        getattr(config, name)  # a hub reads it, and the first reader works it out
