"""The counters of jobs in flight, and their comparison with the ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gresque.store.reads import Reads
from gresque.store.refusals import name_refused, pairs
from gresque.store.server import Server
from gresque.text import decoded

MOST_ARGUMENTS = 3900
"""KEYS and ARGV of a call: some servers take no more than 3,999."""


class Drift(NamedTuple):
    """A counter that was wrong, and was corrected."""

    counter: str
    """Its key: `inflight`, or `inflight:<worker>`."""
    queue: str
    counted: str
    """The count before the correction."""
    held: int
    """The number of its jobs in ledgers."""


class Counts:
    """Each script that moves an entry of a ledger changes the counters with it. They are wrong only
    where another program or a user wrote to them, or where the server refused to count."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def held(self, process_ids: Sequence[str]) -> int:
        """The number of jobs in these ledgers."""
        reads = Reads(self._server)
        sizes = [reads.number("HLEN", self._keys.ledger(each)) for each in process_ids]
        reads.run()
        return sum(max(size.value - 1, 0) for size in sizes)  # one field is the state

    def queues(self, workers: Iterable[str]) -> list[str]:
        """The queues that are counted for all workers, or for one of these workers."""
        keys, reads = self._keys, Reads(self._server)
        empty: list[bytes] = []
        counters = [keys.inflight, *map(keys.inflight_of, workers)]
        names = [reads.ask(empty, "HKEYS", each) for each in counters]
        reads.run()
        return sorted({decoded(name) for each in names for name in each.value})

    def are_used(self, workers: Iterable[str]) -> bool:
        """Whether anything is counted now, or may be soon, as some queue has a policy."""
        reads = Reads(self._server)
        policies = reads.number("HLEN", self._keys.policies)
        reads.run()
        return bool(policies.value or self.queues(workers))

    def correct(
        self, processes: Mapping[str, Sequence[str]], queues: Sequence[str]
    ) -> list[Drift] | None:
        """Set the counters to what the ledgers say; exact also while workers run. `processes` are
        all processes with a ledger, by their worker. Processes that wait for a place in one of
        `queues` are woken.

        Returns None, and changes nothing, when another process has started meanwhile. Raises
        OverflowError when there are too many processes for one call.
        """
        keys = self._keys
        ledgers = [keys.ledger(each) for found in processes.values() for each in found]
        given: list[Any] = [
            keys.ledgers, keys.inflight, *map(keys.inflight_of, processes), *ledgers,
            *map(keys.freed, queues),
        ]  # fmt: skip
        arguments = [keys.ledger(""), len(processes), *map(len, processes.values()), *queues]
        if len(given) + len(arguments) > MOST_ARGUMENTS:
            raise OverflowError(f"{len(ledgers):,} processes are too many for one call")
        reply = self._server.run_script("correct_counts", given, arguments)
        if reply == b"again":
            return None
        flat, refused = reply
        name_refused(keys, pairs(refused), "jobs in flight are not counted there")
        texts = map(decoded, flat)
        return [
            Drift(counter, queue, before, int(now))
            for counter, queue, before, now in zip(*[texts] * 4, strict=True)
        ]
