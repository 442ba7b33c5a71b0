"""The collectors of several shards as one: the snapshot of all of them together."""

from __future__ import annotations

import operator
import time
from collections.abc import Mapping
from threading import Lock
from typing import Protocol

from gresque.errors import RedisUnavailable
from gresque.inspector.collector import WAIT_SECONDS
from gresque.inspector.merged_snapshot import merge_snapshots
from gresque.inspector.snapshot import Snapshot, Trouble

LOOK_SECONDS = 0.1
"""Between two looks at what the shards have."""


class AnyCollector(Protocol):
    """What pages ask, of one shard or of all."""

    @property
    def seen(self) -> Snapshot | None: ...

    @property
    def trouble(self) -> Trouble | None: ...

    def last(self, wait_seconds: float = WAIT_SECONDS, *, jobs: bool = False) -> Snapshot: ...

    def after(
        self, number: int, wait_seconds: float, *, jobs: bool = False, waits: bool = False
    ) -> Snapshot | None: ...

    def renew(self) -> None: ...

    def close(self) -> None: ...


class MergedCollector:
    """As a Collector, for several shards. A shard that does not answer is missing in the numbers,
    and the verdict names it. Any number of threads or greenlets may ask."""

    def __init__(self, collectors: Mapping[str, AnyCollector]) -> None:
        """`collectors`: by the names of the shards."""
        self._collectors = collectors
        self._lock = Lock()
        self._of: tuple[list[Snapshot], Mapping[str, str]] = [], {}
        """What the last snapshot was made of."""
        self._snapshot: Snapshot | None = None

    @property
    def seen(self) -> Snapshot | None:
        """The last snapshot, however old, without asking for another one."""
        return self._snapshot

    @property
    def trouble(self) -> Trouble | None:
        """Why there is no new snapshot; None while some shard answers."""
        found = [each.trouble for each in self._collectors.values()]
        known = [each for each in found if each is not None]
        return known[0] if len(known) == len(found) else None

    def last(self, wait_seconds: float = WAIT_SECONDS, *, jobs: bool = False) -> Snapshot:
        """The last snapshot of all shards that answer, after `wait_seconds` at most. Raises
        RedisUnavailable where none does."""
        found: dict[str, Snapshot] = {}
        missing: dict[str, str] = {}
        # All are asked before the first one is waited for.
        for until in (0.0, time.monotonic() + wait_seconds):
            for name, each in self._collectors.items():
                try:
                    found[name] = each.last(max(until - time.monotonic(), 0.0), jobs=jobs)
                except RedisUnavailable as error:
                    missing[name] = str(error)
        for name, each in self._collectors.items():
            if each.trouble is not None:
                missing[name] = each.trouble.reason
            elif name in found:
                missing.pop(name, None)
        return self._merge({n: s for n, s in found.items() if n not in missing}, missing)

    def after(
        self, number: int, wait_seconds: float, *, jobs: bool = False, waits: bool = False
    ) -> Snapshot | None:
        """The first snapshot that has another number than this one; None where none comes in time
        or no shard answers."""
        until = time.monotonic() + wait_seconds
        while True:
            try:
                found = self.last(max(until - time.monotonic(), 0.0), jobs=jobs or waits)
            except RedisUnavailable:
                return None
            if found.number != number:
                return found
            if time.monotonic() >= until:
                return None
            time.sleep(LOOK_SECONDS)

    def _merge(self, found: Mapping[str, Snapshot], missing: Mapping[str, str]) -> Snapshot:
        if not found:
            raise RedisUnavailable("; ".join(dict.fromkeys(missing.values())))
        made_of = [*found.values()]
        with self._lock:
            last, (before, missing_before) = self._snapshot, self._of
            is_same = missing == missing_before and len(made_of) == len(before)
            if last is None or not (is_same and all(map(operator.is_, made_of, before))):
                number = 1 if last is None else last.number + 1
                last = merge_snapshots(number, found, missing)
                self._of, self._snapshot = (made_of, missing), last
            return last

    def renew(self) -> None:
        """The caller has changed something: the next snapshots are begun from now on."""
        for each in self._collectors.values():
            each.renew()

    def close(self) -> None:
        """End the threads of all, and wait for them."""
        for each in self._collectors.values():
            each.close()
