"""What a key of Redis is for, by its name. Pure."""

from __future__ import annotations

from gresque.store.keys import Keys

WAITING, FAILED, IN_FLIGHT = "waiting jobs", "failed jobs", "jobs in flight"
LATER, SCHEDULE = "delayed jobs and retries", "schedules"
RESULTS = "states and results of tracked jobs"
LOCKS, LIMITS = "locks of unique jobs", "limits and pauses"
WORKERS, SIGNALS, COUNTERS = "workers and processes", "commands and wake-ups", "counters"
METRICS, AUDIT = "metrics and logs of failed jobs", "audit and operations"
OTHER, FOREIGN = "other keys of the namespace", "keys outside of the namespace"

_BEGINNINGS = {
    WAITING: "queues queue suspects",
    FAILED: "failed failed_queues failed_sweep failed_changes",
    IN_FLIGHT: "ledger ledgers running fenced recoveries kills",
    LATER: "later delayed delayed_queue_schedule timestamps",
    SCHEDULE: "cron persistent_schedules schedules_changed",
    LOCKS: "unique",
    RESULTS: "job",
    LIMITS: "policies inflight rates freed pause-all-workers",
    WORKERS: "workers worker processes masters maintenance vitals",
    SIGNALS: "commands answer wake listening waiting polls producer watch waits",
    COUNTERS: "stat",
    METRICS: "metrics heads marks log logs",
    AUDIT: "audit operation operations",
}
_KIND_OF = {word: kind for kind, words in _BEGINNINGS.items() for word in words.split()}


def kind_of(keys: Keys, key: str) -> str:
    """One of the names above. A list of the Ruby fork's failure backend, `<queue>_failed`, counts
    among the failed jobs."""
    if not key.startswith(keys.prefix):
        return FOREIGN
    rest = key[len(keys.prefix) :]
    if key == keys.last_enqueued:
        return SCHEDULE
    found = _KIND_OF.get(rest.partition(":")[0])
    if found is not None:
        return found
    if key in keys.scheduler_locks:
        return SCHEDULE
    return FAILED if rest.endswith("_failed") else OTHER
