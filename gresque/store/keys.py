"""Every Redis key of gresque. No key is built by string formatting anywhere else.

Resque's own keys keep their names to the byte; ours stand below them. `docs/keys.md` lists each
with its type, owner and expiry.
"""

from __future__ import annotations

from gresque.text import encoded


class Keys:
    """The keys under one namespace (`resque` by default). Queue names may hold any character."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.prefix = f"{namespace}:"
        # Resque's
        self.queues = self.prefix + "queues"
        self.queue_prefix = self.prefix + "queue:"
        self.failed = self.prefix + "failed"
        self.workers = self.prefix + "workers"
        self.heartbeats = self.prefix + "workers:heartbeat"
        self.processed = self.stat("processed")
        self.failures = self.stat("failed")
        self.failed_queues = self.prefix + "failed_queues"
        # resque-scheduler's, and the lock of node-resque's scheduler
        self.delayed_schedule = self.prefix + "delayed_queue_schedule"
        self.persistent_schedules = self.prefix + "persistent_schedules"
        self.schedules_changed = self.prefix + "schedules_changed"
        self.last_enqueued = self.prefix + "delayed:last_enqueued_at"
        self.scheduler_locks = (
            f"{self.prefix}{namespace}:resque_scheduler_master_lock",
            f"{self.prefix}resque_scheduler_leader_lock",
        )
        self.pause_all = self.prefix + "pause-all-workers"
        # ours
        self.policies = self.prefix + "policies"
        self.inflight = self.prefix + "inflight"
        self.rates = self.prefix + "rates"
        self.retried = self.stat("retried")
        self.failed_sweep = self.prefix + "failed_sweep"
        self.failed_changes = self.prefix + "failed_changes"
        self.ledgers = self.prefix + "ledgers"
        self.processes = self.prefix + "processes"
        self.masters = self.prefix + "masters"
        self.suspects = self.prefix + "suspects"
        self.suspect_prefixes = (self.suspects_of("", 1), self.suspects_of("", 2))
        self.recoveries = self.prefix + "recoveries"
        self.fenced = self.prefix + "fenced"
        self.maintenance = self.prefix + "maintenance"
        self.vitals = self.prefix + "vitals"
        self.watch = self.prefix + "watch"
        self.audit = self.prefix + "audit"
        self.later = self.prefix + "later"
        self.later_jobs = self.prefix + "later:jobs"
        self.cron = self.prefix + "cron"
        self.cron_next = self.prefix + "cron:next"
        self.cron_last = self.prefix + "cron:last"
        self.cron_paused = self.prefix + "cron:paused"
        self.cron_apps = self.prefix + "cron:apps"
        self.heads = self.prefix + "heads"
        self.marks = self.prefix + "marks"
        self.logs = self.prefix + "logs"

    def kind(self, key: str) -> str:
        """The type of one of these keys: "a list", "a number" and so on."""
        kinds = {
            self.queues: "a set", self.workers: "a set", self.failed_queues: "a set",
            self.heartbeats: "a hash", self.processes: "a hash", self.suspects: "a set",
            self.masters: "a hash",
            self.ledgers: "a sorted set", self.fenced: "a sorted set",
            self.watch: "a string", self.audit: "a stream",
            self.failed_sweep: "a string", self.failed_changes: "a stream",
            self.maintenance: "a string", self.vitals: "a hash",
            self.later: "a sorted set", self.later_jobs: "a hash",
            self.cron: "a hash", self.cron_next: "a sorted set", self.cron_last: "a hash",
            self.cron_paused: "a set", self.cron_apps: "a hash",
            self.persistent_schedules: "a hash", self.schedules_changed: "a set",
            self.last_enqueued: "a hash", self.policies: "a hash", self.inflight: "a hash",
            self.rates: "a hash", self.pause_all: "a string",
            self.delayed_schedule: "a sorted set", self.heads: "a hash",
            self.marks: "a stream", self.logs: "a sorted set",
            **dict.fromkeys(self.scheduler_locks, "a string"),
        }  # fmt: skip
        if key in kinds:
            return kinds[key]
        if key.startswith(self.prefix + "unique:") and key.endswith(":waiting"):
            return "a sorted set"
        if key.startswith(self.prefix + "worker:") and key.endswith((":threads", ":kills")):
            return "a set" if key.endswith(":threads") else "a list"
        for beginning, kind in (
            ("stat:", "a number"), ("ledger:", "a hash"), ("producer:", "a hash"),
            ("kills:", "a hash"), ("polls:", "a number"),
            ("listening:", "a sorted set"), ("waiting:", "a sorted set"), ("running:", "a string"),
            ("waits:", "a string"),
            ("worker:", "a string"), ("wake:", "a string"), ("answer:", "a string"),
            ("timestamps:", "a set"), ("inflight:", "a hash"), ("freed:", "a string"),
            ("unique:", "a hash"), ("log:", "a string"), ("job:", "a hash"),
            ("metrics:flush:", "a string"), ("metrics:", "a hash"),
        ):  # fmt: skip
            if key.startswith(self.prefix + beginning):
                return kind
        return "a list"  # queues, failed lists, commands, recoveries

    def queue(self, name: str) -> str:
        """LIST of the jobs that wait in queue `name`."""
        return self.queue_prefix + name

    def suspects_of(self, queue: str, deaths: int) -> str:
        """LIST of the jobs of queue `queue` under which one process has died, or more than one."""
        return f"{self.suspects}:{1 if deaths == 1 else 2}:{queue}"

    def places(self, queue: str) -> tuple[str, str, str]:
        """All lists in which jobs of queue `queue` wait, in the order in which they are taken."""
        return self.suspects_of(queue, 2), self.suspects_of(queue, 1), self.queue(queue)

    def queue_of(self, key: str) -> str | None:
        """The queue that a list of waiting jobs belongs to; None for another key."""
        for prefix in (self.queue_prefix, *self.suspect_prefixes):
            if key.startswith(prefix):
                return key[len(prefix) :]
        return None

    def deaths_of(self, key: str) -> int:
        """The deaths that jobs in this list saw: 0 in a queue, else 1, or 2 for more than one."""
        one, several = self.suspect_prefixes
        return 1 if key.startswith(one) else 2 if key.startswith(several) else 0

    @property
    def list_prefixes(self) -> tuple[bytes, ...]:
        """Each list of waiting jobs has a key that begins with one of these."""
        prefixes = (self.queue_prefix, *self.suspect_prefixes)
        return tuple(prefix.encode("utf-8", "surrogateescape") for prefix in prefixes)

    def inflight_of(self, worker_id: str) -> str:
        """HASH: queue -> how many jobs of it this worker holds that its own cap counts."""
        return f"{self.inflight}:{worker_id}"

    def freed(self, queue: str) -> str:
        """STRING: written, and removed at once, when a full queue may have room again."""
        return f"{self.prefix}freed:{queue}"

    def unique(self, digest: str) -> str:
        """HASH with an expiry: the lock of unique jobs with this digest of class and key."""
        return f"{self.prefix}unique:{digest}"

    def unique_waiting(self, digest: str) -> str:
        """ZSET with an expiry: members of `later` that wait for this lock, in the order of their
        enqueueing."""
        return f"{self.prefix}unique:{digest}:waiting"

    def delayed(self, timestamp: str) -> str:
        """LIST of resque-scheduler's: the jobs that are due in this second of the epoch."""
        return f"{self.prefix}delayed:{timestamp}"

    def timestamps(self, item: bytes) -> bytes:
        """SET of resque-scheduler's: the lists of delayed jobs that hold this item."""
        return encoded(f"{self.prefix}timestamps:") + item

    def failed_list(self, name: str) -> str:
        """LIST of failed jobs with this name in `failed_queues`."""
        return self.prefix + name

    def stat(self, name: str) -> str:
        """Counter of the whole system: `processed`, `failed` or `retried`."""
        return f"{self.prefix}stat:{name}"

    def worker_stat(self, name: str, worker_id: str) -> str:
        """Counter of one worker."""
        return f"{self.prefix}stat:{name}:{worker_id}"

    def worker_started(self, worker_id: str) -> str:
        """STRING: when the worker's master started."""
        return f"{self.prefix}worker:{worker_id}:started"

    def worker_job(self, worker_id: str) -> str:
        """STRING: the job of a worker of another program, such as stock Resque; never written
        here."""
        return f"{self.prefix}worker:{worker_id}"

    def worker_ping(self, name: str) -> str:
        """STRING: the heartbeat of a worker of Node's; its name is `host:pid`."""
        return f"{self.prefix}worker:ping:{name}"

    def worker_threads(self, worker_id: str) -> str:
        """SET: names of the threads of a worker that run a job, `<worker>:<pid>:<number>`, for the
        page of the Ruby fork."""
        return f"{self.prefix}worker:{worker_id}:threads"

    def worker_thread(self, name: str) -> str:
        """STRING: the job of the thread with this name; ours have an expiry."""
        return f"{self.prefix}worker:{name}"

    def worker_kills(self, worker_id: str, pid: int | str) -> str:
        """LIST: numbers of the threads whose jobs the page of the Ruby fork asks to kill."""
        return f"{self.prefix}worker:{worker_id}:{pid}:kills"

    def ledger(self, process_id: str) -> str:
        """HASH: the jobs that worker process `process_id` holds, slot -> queue and payload."""
        return f"{self.prefix}ledger:{process_id}"

    def commands(self, process_id: str) -> str:
        """LIST with an expiry: what the process is asked to do, such as to kill a job."""
        return f"{self.prefix}commands:{process_id}"

    def answer(self, token: str) -> str:
        """LIST with an expiry: the answers to the command with this token, in their order."""
        return f"{self.prefix}answer:{token}"

    def kills(self, process_id: str) -> str:
        """HASH with an expiry: the kills that the process is asked for, token -> job id. Should it
        die, the process that recovers it answers them."""
        return f"{self.prefix}kills:{process_id}"

    def producer(self, name: str) -> str:
        """HASH with an expiry: slot -> number of the last push that an enqueuing client made."""
        return f"{self.prefix}producer:{name}"

    def running(self, process_id: str) -> str:
        """STRING with an expiry: since when the process runs what, published by its heartbeat."""
        return f"{self.prefix}running:{process_id}"

    def waits(self, process_id: str) -> str:
        """STRING with an expiry: what the jobs of the process wait on, while a viewer looks."""
        return f"{self.prefix}waits:{process_id}"

    def listening(self, queues: str) -> str:
        """ZSET with an expiry: wake keys of the idle processes to which the server announces pushes
        to this queue list."""
        return f"{self.prefix}listening:{queues}"

    def waiting(self, queues: str) -> str:
        """ZSET with an expiry: wake keys of the other idle processes of this queue list."""
        return f"{self.prefix}waiting:{queues}"

    def polls(self, queues: str) -> str:
        """STRING with an expiry: how often waiting processes of this queue list have looked for
        jobs within the last interval."""
        return f"{self.prefix}polls:{queues}"

    def wake(self, process_id: str) -> str:
        """STRING with an expiry: written to wake the process, which waits in reserve."""
        return f"{self.prefix}wake:{process_id}"

    def metrics(self, span: str, number: int | str) -> str:
        """HASH with an expiry: what was counted in this span of time. `span` is `second`, `minute`
        or `depth`, and `number` counts minutes since 1970; or `ten` or `times`, and tens of
        minutes."""
        return f"{self.prefix}metrics:{span}:{number}"

    def metrics_flush(self, name: str) -> str:
        """STRING with an expiry: the number of the last counts that a maintenance process added."""
        return f"{self.prefix}metrics:flush:{name}"

    def job(self, job_id: str) -> str:
        """HASH with an expiry: the state and the result of a tracked job."""
        return f"{self.prefix}job:{job_id}"

    def log(self, job_id: str) -> str:
        """STRING with an expiry: what a failed job has logged, compressed."""
        return f"{self.prefix}log:{job_id}"
