"""The counters, by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gresque.store.reads import Reads
from gresque.store.server import Server


class Summary(NamedTuple):
    """The numbers of the whole system."""

    processed: int
    """Jobs that ended, the failed ones included."""
    failed: int
    retried: int
    """Attempts that failed and were followed by another one."""
    pending: int
    """Jobs that wait in queues."""
    in_flight: int
    """Jobs that worker processes hold."""
    queues: int
    workers: int
    processes: int
    failed_list: int
    """Entries of failed jobs that are kept."""
    delayed: int
    """Jobs that wait for their time, failed ones before their next attempt included."""


class Stats:
    """Resque's counters, `processed` and `failed`, and `retried`: of all workers or of one."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def values(self, keys: Sequence[str]) -> list[int]:
        """The values of the counters with these keys, 0 for one that never counted."""
        return self._server.numbers(keys, self._server.call("MGET", *keys)) if keys else []

    def summary(self, one_failed_list_each: bool) -> Summary:
        """In two round trips, of names and counts alone. `one_failed_list_each`: each queue has its
        own list of failed jobs."""
        return self.summary_and_queues(one_failed_list_each)[0]

    def summary_and_queues(self, one_failed_list_each: bool) -> tuple[Summary, list[str]]:
        """The same with the names of the queues."""
        keys, reads = self._server.keys, Reads(self._server)
        queues = reads.names("SMEMBERS", keys.queues)
        suspects = reads.names("SMEMBERS", keys.suspects)
        processes = reads.names("ZRANGE", keys.ledgers, 0, -1)
        counters = reads.numbers([keys.processed, keys.failures, keys.retried])
        workers = reads.number("SCARD", keys.workers)
        failed_queues = reads.names("SMEMBERS", keys.failed_queues)
        later = reads.number("ZCARD", keys.later)
        timestamps = reads.names("ZRANGE", keys.delayed_schedule, 0, -1)
        reads.run()
        if one_failed_list_each:
            failed_lists = [keys.failed_list(name) for name in failed_queues.value]
        else:
            failed_lists = [keys.failed]
        waiting = [keys.queue(name) for name in queues.value]
        waiting += [place for name in suspects.value for place in keys.places(name)[:-1]]
        waiting_counts = [reads.number("LLEN", key) for key in waiting]
        failed_counts = [reads.number("LLEN", key) for key in failed_lists]
        delayed = [reads.number("LLEN", keys.delayed(each)) for each in timestamps.value]
        ledgers = [reads.number("HLEN", keys.ledger(each)) for each in processes.value]
        reads.run()
        found = Summary(
            processed=counters.value[0],
            failed=counters.value[1],
            retried=counters.value[2],
            pending=sum(count.value for count in waiting_counts),
            # One field of a ledger is its state.
            in_flight=sum(max(count.value - 1, 0) for count in ledgers),
            queues=len(queues.value),
            workers=workers.value,
            processes=len(processes.value),
            failed_list=sum(count.value for count in failed_counts),
            delayed=later.value + sum(count.value for count in delayed),
        )
        return found, queues.value
