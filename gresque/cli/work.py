"""`gresque work`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import click

import gresque.stdio as stdio
from gresque.cli.options import load_settings, setting_options
from gresque.connection.urls import mask_within
from gresque.errors import BootError, SettingsError
from gresque.logs import configure_logging, fields
from gresque.queue_list import QueueList
from gresque.settings import Settings, Systemd

log = logging.getLogger("gresque.master")


@click.command(name="work")
@click.option("--burst", is_flag=True, help="Exit when the queues are empty: --interval 0.")
@setting_options()
def command(flags: dict[str, Any], burst: bool) -> int:
    """Work queues: fork worker processes and perform jobs.

    \b
    Examples:
      gresque work -q mail -r myapp.jobs
      gresque work -q high,low -r myapp.jobs -w 2 -t 200 -j 10000
      QUEUES='*' THREAD_COUNT=50 gresque work -r myapp.jobs --burst

    TERM or Ctrl-C ends it at once and puts the running jobs back; QUIT lets them finish.
    """
    if burst:
        flags["interval"] = "0"
    settings = load_settings(flags)
    if settings.queues is None:
        QueueList.parse("")
    if not settings.require:
        raise SettingsError(
            "no module declares jobs: name one with -r, such as -r myapp.jobs, or in REQUIRE"
        )
    settings.processes_each()
    stdio.never_wait()
    configure_logging(settings.log_format, verbose=settings.verbose, very_verbose=settings.vverbose)
    for name in Systemd.ENVS:
        os.environ.pop(name, None)
    if not settings.background:
        return _run(settings)
    from gresque.master.daemon import run_in_background

    return run_in_background(lambda works: _run(settings, works))


def _run(settings: Settings, works: Callable[[], None] | None = None) -> int:
    from gresque.master.manager import WorkerManager

    try:
        return WorkerManager(settings, works).run()
    except BootError as error:
        if settings.log_format != "json":
            raise  # and shown as an error of any command
        log.error("cannot start: %s", mask_within(str(error)), extra=fields("boot_failed"))
        return 1
