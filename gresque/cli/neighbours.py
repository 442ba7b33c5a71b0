"""What `gresque check` says of other programs in the same namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

from gresque.settings import Settings
from gresque.text import counted


def ruby_workers_here(settings: Settings) -> Iterator[str]:
    """Ruby's workers on this host: one that boots unregisters workers that `ps` does not show."""
    from gresque.inspector.other_workers import host_of
    from gresque.inspector.workers import WorkerStatus
    from gresque.processes.title import setproctitle
    from gresque.store.store import Store

    if setproctitle is not None:
        return
    with closing(Store(settings.redis_url, settings.namespace)) as store:
        workers = WorkerStatus.all(store)
    here = socket.gethostname()
    found = [each.id for each in workers if each.beats_as_ruby and host_of(each.id) == here]
    if found:
        others = f", {found[0]} among them" if len(found) > 1 else f": {found[0]}"
        yield (
            f"{counted(len(found), 'Ruby worker')} on this host{others}. One that boots does not "
            "find gresque's workers in ps, and unregisters them until their next heartbeat: "
            "pip install 'gresque[title]'"
        )
