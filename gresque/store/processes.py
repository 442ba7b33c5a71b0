"""Worker processes: their ledgers, their signs of life, what they publish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from gresque.store.ledger import LedgerEntry, parse_entry, write_entry
from gresque.store.reads import Reads
from gresque.store.server import Server
from gresque.text import decoded, encoded

SCANNED_AT_ONCE = 2000
"""Jobs that one call of a script looks through, about: Redis serves no other client for 3 ms."""


class Held(NamedTuple):
    """A job in a slot of a process."""

    process: str
    slot: bytes
    entry: LedgerEntry


class Processes:
    """Those that have a ledger: they live, or died and are still to be recovered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def ids(self) -> list[str]:
        return [decoded(n) for n in self._server.read((), "ZRANGE", self._keys.ledgers, 0, -1)]

    def fenced_among(self, process_ids: Sequence[str]) -> set[str]:
        """Those of the processes that were declared dead lately, in one round trip."""
        reads, key = Reads(self._server), self._keys.fenced
        scores = {each: reads.ask(None, "ZSCORE", key, encoded(each)) for each in process_ids}
        reads.run()
        return {each for each, score in scores.items() if score.value is not None}

    def find_held(self, process_ids: Sequence[str], text: str) -> list[Held]:
        """Jobs whose payload holds this text, such as an id. Redis looks for it; the payloads of
        other jobs are not sent."""
        if not text:
            return []
        batches = self._batches(process_ids)
        replies = self._server.read_by_script(
            "find_held", [([*map(self._keys.ledger, each)], [encoded(text)]) for each in batches]
        )
        found: list[Held] = []
        for batch, reply in zip(batches, replies, strict=True):
            for index, slot, value in zip(reply[::3], reply[1::3], reply[2::3], strict=True):
                with suppress(ValueError):  # an unreadable entry, or the state of the ledger
                    found.append(Held(batch[index - 1], slot, parse_entry(value)))
        return found

    def holds(self, jobs: Sequence[Held]) -> list[bool]:
        """Whether each job stands in its slot of a living process now, in one round trip."""
        reads, keys = Reads(self._server), self._keys
        lives = {
            process: reads.ask(None, "ZSCORE", keys.ledgers, encoded(process))
            for process in dict.fromkeys(held.process for held in jobs)
        }
        values = [reads.ask(b"", "HGET", keys.ledger(held.process), held.slot) for held in jobs]
        reads.run()
        return [
            value.value == write_entry(*held.entry) and lives[held.process].value is not None
            for held, value in zip(jobs, values, strict=True)
        ]

    def held_by_queue(self, process_ids: Sequence[str]) -> list[dict[str, int]]:
        """For each of these processes how many of its jobs came from which queue, the most first.
        Redis counts; no payload is sent."""
        batches = self._batches(process_ids)
        replies = self._server.read_by_script(
            "count_held", [([*map(self._keys.ledger, each)], []) for each in batches]
        )
        return [self._by_queue(counts) for reply in replies for counts in reply]

    def _by_queue(self, flat: list[Any]) -> dict[str, int]:
        queues: Counter[str] = Counter()
        for key, count in zip(flat[::2], flat[1::2], strict=True):
            if (queue := self._keys.queue_of(decoded(key))) is not None:
                queues[queue] += count
        return dict(queues.most_common())

    def _batches(self, process_ids: Sequence[str]) -> list[list[str]]:
        """The processes in portions that hold this many jobs together; one process may hold
        more."""
        reads = Reads(self._server)
        counts = [reads.number("HLEN", self._keys.ledger(each)) for each in process_ids]
        reads.run()
        sizes = [max(count.value, 1) for count in counts]  # each is a key of the call
        batches: list[list[str]] = []
        total = 0
        for process, size in zip(process_ids, sizes, strict=True):
            if not batches or total + size > SCANNED_AT_ONCE:
                batches.append([])
                total = 0
            batches[-1].append(process)
            total += size
        return batches
