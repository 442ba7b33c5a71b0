"""The store: everything that gresque asks of Redis outside the worker's turn."""

from __future__ import annotations

import redis

from gresque.connection.waits import BLOCKING, Waits
from gresque.settings import DEFAULT_RETRY_SECONDS
from gresque.store.audit import AuditLog
from gresque.store.commands import Commands
from gresque.store.counts import Counts
from gresque.store.cron import CronTable
from gresque.store.delayed import Delayed
from gresque.store.enqueuer import Enqueuer
from gresque.store.failed import FailedLists
from gresque.store.failed_changes import FailedChanges
from gresque.store.keys import Keys
from gresque.store.later import Later
from gresque.store.locks import Locks
from gresque.store.maintenance import Maintenance
from gresque.store.metrics import Metrics
from gresque.store.policies import Policies
from gresque.store.processes import Processes
from gresque.store.queues import Queues
from gresque.store.reads import Reads
from gresque.store.recovery import Recoveries
from gresque.store.result_waits import ResultWaits
from gresque.store.scheduler import Scheduler
from gresque.store.server import Server
from gresque.store.stats import Stats
from gresque.store.suspects import Suspects
from gresque.store.tracks import Tracks
from gresque.store.unique_enqueuer import UniqueEnqueuer
from gresque.store.workers import Workers


class Store:
    """Redis behind one namespace, in parts by what stands there.

        store = Store("redis://localhost:6379/0", "resque")
        store.queues.size("mail")

    It connects at the first call; greenlets and threads may share it. Methods raise redis-py's
    errors unless they say otherwise. Values are bytes where they come from a queue, str where they
    are names.
    """

    def __init__(
        self,
        redis_url: str,
        namespace: str,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        waits: Waits = BLOCKING,
        reply_seconds: float | None = None,
        wait_replicas: int = 0,
        wait_seconds: float | None = None,
    ) -> None:
        """`retry_seconds`: for how long a push is tried again when Redis fails. `wait_replicas`:
        how many replicas have to confirm it, within `wait_seconds`, or `retry_seconds`.
        `reply_seconds`: how long any other reply may take, unless the URL sets a limit."""
        self.server = server = Server(redis_url, namespace, waits, reply_seconds)
        pushing = redis_url, server.keys, retry_seconds, waits, wait_replicas, wait_seconds
        self.enqueuer = Enqueuer(*pushing)
        self.scheduler = Scheduler(*pushing)
        self.unique_enqueuer = UniqueEnqueuer(*pushing)
        self.queues = Queues(server)
        self.policies = Policies(server)
        self.failed = FailedLists(server)
        self.failed_changes = FailedChanges(server)
        self.workers = Workers(server)
        self.processes = Processes(server)
        self.counts = Counts(server)
        self.recovery = Recoveries(server)
        self.stats = Stats(server)
        self.commands = Commands(server)
        self.audit = AuditLog(server)
        self.maintenance = Maintenance(server)
        self.metrics = Metrics(server)
        self.suspects = Suspects(server)
        self.cron = CronTable(server)
        self.later = Later(server)
        self.tracks = Tracks(server)
        self.result_waits = ResultWaits(redis_url, server.keys, retry_seconds, waits)
        self.locks = Locks(server)
        self.delayed = Delayed(server)

    @property
    def keys(self) -> Keys:
        return self.server.keys

    @property
    def redis(self) -> redis.Redis:
        """A plain client to the same server."""
        return self.server.redis

    def reads(self) -> Reads:
        """To read several things in one round trip."""
        return Reads(self.server)

    def now(self) -> float:
        """Epoch seconds by the server's clock, which all heartbeats are written by."""
        return self.server.now()

    def close(self) -> None:
        """Close the connections. The store may be used again."""
        self.enqueuer.close()
        self.scheduler.close()
        self.unique_enqueuer.close()
        self.result_waits.close()
        self.server.close()
