"""The entry of a forked worker process."""

from __future__ import annotations

import gc
import importlib
import signal
from functools import partial
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists

from gresque.processes.kind import Kind
from gresque.processes.spec import ProcessSpec
from gresque.store.ledger import Totals
from gresque.worker.boot_retry import BootRetry
from gresque.worker.forked_child import be_worker
from gresque.worker.handlers import protect
from gresque.worker.policies import Ordinary, Policy
from gresque.worker.quarantine import Quarantine
from gresque.worker.recovery import Recovery, recovery_for
from gresque.worker.schedules import declare_once
from gresque.worker.threads.thread import runs_no_job
from gresque.worker.worker import Worker

_set_mask: Any = importlib.import_module("_signal").pthread_sigmask  # the wrapper makes enums of it

DEFAULT_THRESHOLDS = {(700, 10, 10), (2000, 10, 10), (2000, 10, 0)}
"""Of the versions of Python: another one is the user's."""


def run_worker(spec: ProcessSpec) -> None:
    """Run a worker process from its fork to its end. Raises BootError, CutOff.

    The master blocks signals around the fork. Here they get the handlers of this process and are
    let in, so that none is lost, or handled as one to the master.
    """
    if get_hub_if_exists() is not None:  # a job module used the network while it was imported
        gevent.reinit()
    settings = spec.settings
    _collect_less_often(settings.thread_count)
    in_quarantine = spec.kind is Kind.QUARANTINE
    policy: Policy = Quarantine(spec) if in_quarantine else Ordinary(spec)
    worker = Worker(spec, _inherit(spec), policy)
    be_worker(worker.leave_to_child)
    _receive_signals(worker, graceful_term=spec.settings.graceful_term)
    if spec.maintain is not None:
        spec.maintain()
    elif not settings.preload:
        BootRetry(spec, _must_leave).call(partial(declare_once, settings, spec.declared))
    worker.run()
    if spec.maintain is not None:
        spec.maintain()


def _collect_less_often(threads: int) -> None:
    """A collection walks the objects of all jobs that wait, so the more jobs there may be, the more
    new objects it waits for. What the user has set stays."""
    if gc.isenabled() and gc.get_threshold() in DEFAULT_THRESHOLDS:
        gc.set_threshold(max(10_000, 10 * threads))


def _receive_signals(worker: Worker, *, graceful_term: bool) -> None:
    orders = worker.orders
    meanings = {
        signal.SIGTERM: orders.quit if graceful_term else orders.terminate,
        signal.SIGINT: orders.terminate,
        signal.SIGQUIT: orders.quit,
        signal.SIGUSR1: orders.kill_jobs,
        signal.SIGUSR2: orders.pause,
        signal.SIGCONT: orders.resume,
        signal.SIGTTIN: worker.command_runner.log_stacks,
    }
    # gevent wants its watchers kept alive.
    watchers = {number: gevent.signal_handler(number, do) for number, do in meanings.items()}
    worker.signals = list(watchers.values())
    protect(gevent.get_hub(), gevent.getcurrent(), runs_no_job, watchers)
    _set_mask(signal.SIG_SETMASK, [])


def _inherit(spec: ProcessSpec) -> Totals:
    """Recover what dead siblings held; their totals become part of this process's."""
    if spec.to_recover:
        recovery, retry = recovery_for(spec.settings), BootRetry(spec, _must_leave)
        for number in range(len(spec.to_recover)):
            retry.call(partial(_inherit_from, spec, number, recovery))
        recovery.close()
        if recovery.has_found_suspects and spec.settings.thread_count > 1:
            spec.row.suspects_seen += 1
            spec.tell_master()
    return spec.row.totals


def _inherit_from(spec: ProcessSpec, number: int, recovery: Recovery) -> None:
    """The ledger keeps the totals until they stand on the scoreboard: wherever this process dies,
    they are counted, and once."""
    row, dead = spec.row, spec.to_recover[number]
    if row.inherited > number:  # what Redis answered last was an error
        dead = dead._replace(counted=True)
    totals = row.totals + recovery.empty(dead)
    row.inherit(totals, number + 1)
    recovery.remove(dead)


def _must_leave() -> bool:
    """Whether a signal that ends the process waits: signals are blocked still."""
    return bool(signal.sigpending() & {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
