"""The work of the master in Redis after the end of its last child."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gresque.logs import fields
from gresque.master.accounts import Accounts
from gresque.processes.identity import queues_in_id, worker_of
from gresque.processes.sums import SharedSums
from gresque.settings import Settings
from gresque.text import counted

if TYPE_CHECKING:
    from gresque.store.store import Store

log = logging.getLogger("gresque.master")


def finish(
    settings: Settings, worker_id: str, started: str, accounts: Accounts, sums: SharedSums
) -> None:
    """Recover what dead processes held, put suspects back to the queues that no other process
    serves, write the counts that the last processes have left, and unregister the worker, which
    started at `started`.

    When Redis is away the worker stays registered: the next worker that looks finds it dead.
    """
    try:
        _finish(settings, worker_id, started, accounts, sums)
    except Exception as error:
        log.error(
            "left registered, with jobs of %s for others to recover: %s",
            counted(len(accounts.to_recover), "dead process", "dead processes"),
            error,
            extra=fields("worker_left_registered"),
        )


def _finish(
    settings: Settings, worker_id: str, started: str, accounts: Accounts, sums: SharedSums
) -> None:
    # Not before: the master holds no connection while it may still fork.
    from gresque.connection.errors import plain_errors
    from gresque.maintenance.lease import holder_name
    from gresque.maintenance.suspects import return_suspects
    from gresque.maintenance.write_sums import WriteSums
    from gresque.worker.recovery import recovery_for

    recovery = recovery_for(settings)
    with plain_errors(settings.redis_url):
        while accounts.to_recover:
            accounts.add(recovery.recover(accounts.to_recover[0]))
            del accounts.to_recover[0]
        return_suspects(recovery.store, [queues_in_id(settings)])
        WriteSums(sums).run(recovery.store)
        _remove_vitals(recovery.store, worker_id)
        _release_lease(recovery.store, holder_name(worker_id, started))
        recovery.store.workers.unregister(worker_id)
    recovery.close()


def _remove_vitals(store: Store, worker_id: str) -> None:
    """Those of processes that died before they had a ledger, when the maintenance process could not
    remove them: it was killed as well."""
    left = [p for p in store.maintenance.processes_with_vitals() if worker_of(p) == worker_id]
    if left:
        live = set(store.processes.ids())  # another master may have the same id
        store.maintenance.write_vitals({}, [process for process in left if process not in live])


def _release_lease(store: Store, holder: str) -> None:
    """In place of a maintenance process that was killed: another master may take it at once."""
    if store.maintenance.has_lease(holder):
        store.maintenance.release_lease(holder)
