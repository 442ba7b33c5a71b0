"""The failed jobs, for all pages: the index, the searches, and how one entry is named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from gresque.failure.backend import RedisBackend, open_backend
from gresque.failure.failed_list import FailedJob, read_entry
from gresque.inspector.failed_index import FailedIndex
from gresque.inspector.failed_search import FailedSearches
from gresque.store.store import Store

NEAR = 400
"""How far on both sides an entry is looked for that is not in its place any more."""
DIGEST_CHARS = 16


class _Lasting(msgspec.Struct):
    """What stays of an entry when its job is retried."""

    payload: msgspec.Raw = msgspec.Raw(b"")
    failed_at: msgspec.Raw = msgspec.Raw(b"")
    worker: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


_lasting = msgspec.json.Decoder(_Lasting).decode


def digest_of(raw: bytes) -> str:
    """Tells an entry from others, also when its job was retried meanwhile."""
    try:
        found = _lasting(raw)
        raw = b"\0".join(map(bytes, (found.payload, found.failed_at, found.worker, found.error)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return hashlib.sha256(raw).hexdigest()[:DIGEST_CHARS]


def reference(job: FailedJob) -> str:
    """Names an entry in an address or a form: `17-5e0ad1d8c3b44ff2`, or
    `mail_failed:17-5e0a…` where each queue has a list."""
    return f"{job.place}-{digest_of(job.raw)}"


@dataclass(frozen=True)
class Failures:
    """Shared by all requests."""

    store: Store
    backend: RedisBackend
    index: FailedIndex
    searches: FailedSearches = field(repr=False)

    @classmethod
    def open(cls, store: Store, failure_backend: str) -> Failures:
        backend = open_backend(failure_backend, store)
        return cls(store, backend, FailedIndex(store, backend), FailedSearches(backend))

    def find(self, named: str) -> FailedJob | None:
        """The entry that `reference` named, in its place or near it; None when it is gone."""
        place, _, digest = named.rpartition("-")
        name, _, index = place.rpartition(":")
        if not index.isdecimal() or len(digest) != DIGEST_CHARS:
            return None
        wanted = int(index)
        for each in self.backend.lists():
            if each.name != name:
                continue
            start = max(wanted - NEAR, 0)
            for first, count in ((wanted, 1), (start, 2 * NEAR)):
                for at, raw in enumerate(each.read(first, count), first):
                    if digest_of(raw) == digest:
                        return read_entry(at, raw, name)
        return None

    def near(self, job: FailedJob, count: int = 4) -> list[FailedJob]:
        """The entries that failed before and after it in its list, the newest first."""
        for each in self.backend.lists():
            if each.name == job.list_name:
                start = max(job.index - count, 0)
                found = each.page(start, job.index - start + count + 1)
                return [other for other in reversed(found) if other.index != job.index]
        return []

    def close(self) -> None:
        self.searches.close()
        self.index.close()
