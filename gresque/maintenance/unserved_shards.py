"""Shards that no process serves."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from gresque.connection.errors import explain
from gresque.logs import fields
from gresque.maintenance.task import NEVER, Interval
from gresque.settings import Settings
from gresque.shards import Shard
from gresque.store.store import Store
from gresque.text import counted

log = logging.getLogger("gresque.maintenance")

LOOK_SECONDS = 60.0
REPLY_SECONDS = 2.0


class UnservedShards:
    """Done by a master that serves some of the shards, for the others, by the maintenance process
    of its first one: a shard that has jobs and no process is named in the log. With all masters
    serving all shards there is none."""

    name = "unserved shards"

    def __init__(self, settings: Settings) -> None:
        """`settings`: those of one shard."""
        whole = settings.whole
        self._others: Sequence[Shard] = ()
        if whole.serve_shards:
            served = whole.served_shards()
            if settings.shard_name == served[0].name:
                self._others = [shard for shard in whole.all_shards() if shard not in served]
        self._interval = Interval(LOOK_SECONDS)
        self._interval.begin(time.monotonic())  # at first other hosts may still come up

    def due(self, now: float) -> float:
        return self._interval.left(now) if self._others else NEVER

    def run(self, store: Store) -> None:
        self._interval.begin(time.monotonic())
        for shard in self._others:
            try:
                self._look(shard)
            except Exception as error:  # those that serve it log that it is away
                log.debug("%s", explain(shard.url, error), extra=fields("shard_away"))

    def _look(self, shard: Shard) -> None:
        store = Store(shard.url, shard.namespace, reply_seconds=REPLY_SECONDS)
        try:
            waiting = sum(head.depth for head in store.metrics.heads(store.queues.names()))
            if waiting and not store.processes.ids():
                log.warning(
                    "shard %s has %s and no worker process; see SERVE_SHARDS of its hosts",
                    shard.name,
                    counted(waiting, "waiting job"),
                    extra=fields("shard_unserved", shard=shard.name, count=waiting),
                )
        finally:
            store.close()
