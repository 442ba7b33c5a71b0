"""The schedule on several shards: each entry stands on one of them."""

from __future__ import annotations

import builtins
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from gresque.client.each_shard import EachShard
from gresque.client.schedules import ScheduleEntry, Schedules
from gresque.schedule.entry import Entry

if TYPE_CHECKING:
    from gresque.shards import Shard
    from gresque.store.store import Store


class ShardSchedules(Schedules):
    """As `Schedules`. An entry that exists is changed where it stands; a new one stands where its
    name, or its queue if that is on one shard, belongs."""

    def __init__(self, client: EachShard) -> None:
        self._client = client

    def list(self) -> builtins.list[ScheduleEntry]:
        found = self._client._each(lambda store: Schedules(lambda: nullcontext(store)).list())
        return sorted((entry for some in found for entry in some), key=lambda entry: entry.name)

    def _asking_for(self, name: str) -> AbstractContextManager[Store]:
        found = self._find(name)
        return self._client._asking_shard(found or self._client._several[0])

    def _asking_new(self, entry: Entry) -> AbstractContextManager[Store]:
        placement = self._client._placement
        assert placement is not None
        key = entry.unique[0] if entry.unique else ""
        shard = self._find(entry.name) or placement.of_entry(entry.name, entry.queue, key)
        return self._client._asking_shard(shard)

    def _find(self, name: str) -> Shard | None:
        """The shard that has this entry. Raises RedisUnavailable when none has it and one is
        away."""
        shards = self._client._several
        answers = self._client._until(
            lambda store: (store.keys.prefix, store.server.url, store.cron.entry(name) is not None),
            lambda found: found[2],
        )
        places = {(prefix, url) for prefix, url, has_it in answers if has_it}
        return next((s for s in shards if (f"{s.namespace}:", s.url) in places), None)
