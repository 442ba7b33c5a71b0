"""Workers as Resque knows them: one for each master."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gresque.store.effects import EffectKeys
from gresque.store.failed_list_name import FailedListName
from gresque.store.reads import Reads
from gresque.store.server import Server
from gresque.text import decoded, encoded

THREADS_AT_ONCE = 500
"""Of one call, which may have 3,900 keys and arguments."""
FIRST_THREAD = 6
"""The index of the first key of a thread among the KEYS of prune_worker.lua."""


class KnownWorker(NamedTuple):
    """All that stands in Redis about a worker of any program; empty where nothing does."""

    id: str
    is_registered: bool
    is_own: bool
    """gresque registered it."""
    processes: int
    """Those of gresque's that have a ledger."""
    heartbeat: bytes
    ping: bytes
    """Node's heartbeat."""
    started: bytes
    job: bytes
    threads: Mapping[str, bytes]
    """Name of a thread -> its job, of the Ruby fork's workers."""
    odd_names: int
    """Further names among them that are not those of its threads."""

    @property
    def exists(self) -> bool:
        return any(self[1:])


class PrunedJob(NamedTuple):
    """The job of a thread, or the worker's own for an empty name, and its failure."""

    thread: str
    into: FailedListName
    entry: bytes


class Workers:
    """The SET of their ids, and what belongs to each."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def unregister(self, worker_id: str) -> None:
        """Forget a worker of gresque, unless a process of it has a ledger still."""
        keys = self._keys
        self._server.run_script(
            "unregister_worker",
            [
                keys.ledgers, keys.masters, keys.workers, keys.heartbeats,
                keys.worker_started(worker_id), keys.worker_stat("processed", worker_id),
                keys.worker_stat("failed", worker_id), keys.worker_stat("retried", worker_id),
                keys.inflight_of(worker_id), keys.worker_threads(worker_id),
            ],
            [worker_id],
        )  # fmt: skip

    def forget_threads(self, worker_id: str, pid: int) -> None:
        """Remove the jobs that a dead process of gresque has published for the Ruby fork's page."""
        keys, begins = self._keys, f"{worker_id}:{pid}:"
        names = self._server.read((), "SMEMBERS", keys.worker_threads(worker_id))
        own = [name for name in map(decoded, names) if name.startswith(begins)]
        pipeline = self._server.redis.pipeline(transaction=False)
        if own:
            pipeline.srem(encoded(keys.worker_threads(worker_id)), *map(encoded, own))
        pipeline.delete(
            *(encoded(keys.worker_thread(name)) for name in own),
            encoded(keys.worker_kills(worker_id, pid)),
        )
        pipeline.execute()

    def know(self, worker_id: str) -> KnownWorker:
        """In two round trips."""
        keys, reads = self._keys, Reads(self._server)
        registered = reads.ask(0, "SISMEMBER", keys.workers, encoded(worker_id))
        master = reads.ask(b"", "HGET", keys.masters, encoded(worker_id))
        heartbeat = reads.ask(b"", "HGET", keys.heartbeats, encoded(worker_id))
        processes = reads.names("ZRANGE", keys.ledgers, 0, -1)
        named = (keys.worker_ping(pinging(worker_id)), keys.worker_started(worker_id))
        ping, started, job = (
            reads.ask(b"", "GET", key) for key in (*named, keys.worker_job(worker_id))
        )
        threads = reads.names("SMEMBERS", keys.worker_threads(worker_id))
        reads.run()
        names = [name for name in threads.value if name.startswith(f"{worker_id}:")]
        jobs = {name: reads.ask(b"", "GET", keys.worker_thread(name)) for name in names}
        reads.run()
        count = sum(each.rsplit(":", 2)[0] == worker_id for each in processes.value)
        return KnownWorker(
            worker_id, bool(registered.value), bool(master.value or count), count,
            heartbeat.value, ping.value, started.value, job.value,
            {name: each.value for name, each in jobs.items()}, len(threads.value) - len(names),
        )  # fmt: skip

    def prune(self, known: KnownWorker, failures: Sequence[PrunedJob]) -> bool:
        """Remove a worker of another program, and put its jobs among the failed. False when
        something has changed since it was read; what was failed until then is gone from it."""
        threads = [*known.threads]
        while len(threads) > THREADS_AT_ONCE:
            some, threads = threads[:THREADS_AT_ONCE], threads[THREADS_AT_ONCE:]
            if not self._prune(known, some, failures, is_last=False):
                return False
        return self._prune(known, threads, failures, is_last=True)

    def _prune(
        self,
        known: KnownWorker,
        threads: Sequence[str],
        failures: Sequence[PrunedJob],
        *,
        is_last: bool,
    ) -> bool:
        keys, worker = self._keys, known.id
        with_it = self._with_the_worker(known) if is_last else []
        lists = EffectKeys(FIRST_THREAD + len(threads) + len(with_it))
        meant = {*threads, *([""] if is_last else [])}
        written: list[Any] = []
        for thread, into, entry in failures:
            if thread in meant:
                written += (lists.place(into.key, ""), into.name, entry)
        return bool(
            self._server.run_script(
                "prune_worker",
                [
                    keys.workers, keys.heartbeats, keys.worker_job(worker),
                    keys.worker_threads(worker), keys.failed_queues,
                    *map(keys.worker_thread, threads), *with_it, *map(encoded, lists.keys),
                ],
                [
                    worker, known.heartbeat, known.job, len(threads), len(with_it),
                    len(threads) + known.odd_names,
                    *(known.threads[each] for each in threads), *threads, *written,
                ],
            )
        )  # fmt: skip

    def _with_the_worker(self, known: KnownWorker) -> list[str]:
        keys, worker = self._keys, known.id
        pids = {name[len(worker) + 1 :].partition(":")[0] for name in known.threads}
        return [
            keys.worker_started(worker), keys.worker_ping(pinging(worker)),
            *(keys.worker_stat(name, worker) for name in ("processed", "failed")),
            *(keys.worker_kills(worker, pid) for pid in sorted(pids)),
        ]  # fmt: skip


def pinging(worker_id: str) -> str:
    """The name by which a worker of Node's pings: `host:pid`, without its queues."""
    return ":".join(worker_id.split(":", 2)[:2])
