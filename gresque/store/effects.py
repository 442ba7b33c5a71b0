"""Effects: the changes in Redis that the end of a job brings beside its slot. Pure.

The script that acknowledges a job applies its effects, too: they happen exactly as often as the
acknowledgement, once, however often the turn is sent. `lua/include/effects.lua` has a branch for
each kind that is built; `KINDS` has a row for each, those to come included.
"""

from __future__ import annotations

from typing import NamedTuple

from gresque.store.keys import Keys
from gresque.store.ledger import write_entry
from gresque.text import encoded


class Kind(NamedTuple):
    """A kind of effect. A carrier moves a job, and is never skipped: it is tested before the first
    write, and where the server refuses it the job stays in its slot. Any other effect that the
    server refuses is skipped and logged."""

    key: str
    """The key that it changes."""
    does: str
    """The change, by its arguments a, b and c and the job that is in the slot."""
    carrier: bool
    built: bool
    counts: str = "done"
    """The total of its process that a job counts in whose first effect is of this kind."""


KINDS: dict[str, Kind] = {
    "fail": Kind(
        "a failed list", "RPUSH the entry a; SADD failed_queues b, where that is not empty",
        carrier=True, built=True, counts="failed",
    ),
    "requeue": Kind(
        "a queue", "LPUSH the job; SADD queues a", carrier=True, built=True, counts="requeued",
    ),
    "suspect": Kind(
        "a list of suspects", "LPUSH the job; SADD suspects a",
        carrier=True, built=True, counts="requeued",
    ),
    "push": Kind(
        "a queue", "RPUSH b, the next attempt; SADD queues a",
        carrier=True, built=True, counts="retried",
    ),
    "later": Kind(
        "later", "ZADD the time in a ms, member b; HSET later:jobs b c, the next attempt",
        carrier=True, built=True, counts="retried",
    ),
    "snooze": Kind(
        "later", "as later, with the same attempt", carrier=True, built=True, counts="requeued",
    ),
    "unlock": Kind(
        "unique:<digest>", "where its id is b: what stands in again goes to the tail of queue a "
        "and gets the lock; without that, or a queue, DEL", carrier=False, built=True,
    ),
    "pass_on": Kind(
        "unique:<digest>", "where its id is b: the first job that waits for it goes to the head of "
        "queue a, or is due, and gets the lock; without one DEL", carrier=False, built=True,
    ),
    "await": Kind(
        "unique:<digest>", "job b, which the effect before it has put off, waits for the lock; "
        "where that is free it goes to the head of queue a", carrier=False, built=True,
    ),
    "prolong": Kind(
        "unique:<digest>", "where its id is b: PEXPIRE, an hour more than c ms at least",
        carrier=False, built=True,
    ),
    "log": Kind(
        "log:<id>", "SET b for 3 days; ZADD logs a c", carrier=False, built=True,
    ),
    "sum": Kind(
        "metrics:<span>:<number>", "HINCRBY of the counts b, of no job; up to c fields; EXPIRE a",
        carrier=False, built=True,
    ),
    "result": Kind(
        "job:<id>", "HSET the state a and its details b; PEXPIRE c ms", carrier=False, built=True,
    ),
    "batch": Kind("batch:<id>", "HINCRBY pending -1", carrier=False, built=False),
    "drop": Kind("any", "DEL", carrier=False, built=False),
}  # fmt: skip

PUT_OFF = frozenset({"later", "snooze"})
"""The job waits in `later`; a is for how long."""


class Effect(NamedTuple):
    """One effect: its kind, the full name of its key, its arguments (see `KINDS`)."""

    kind: str
    key: str
    a: str | bytes | int = ""
    b: str | bytes | int = ""
    c: str | bytes | int = ""
    second_key: str | tuple[str, ...] = ""
    """The full name of a second key that it changes, or of several more: they stand behind the
    first one among KEYS."""

    @property
    def keys(self) -> int:
        """How many keys it changes."""
        second = self.second_key
        return 1 + (len(second) if isinstance(second, tuple) else second != "")

    @property
    def size(self) -> int:
        """Of the failure entry or the payload that it carries."""
        _, _, a, b, c, _ = self
        return (
            (len(a) if type(a) is bytes else 0)
            + (len(b) if type(b) is bytes else 0)
            + (len(c) if type(c) is bytes else 0)
        )


class EffectKeys:
    """The keys of effects, in the order in which a script gets them: further keys stand behind the
    first one. Effects that differ in one key have all keys of their own."""

    __slots__ = ("_first", "_places", "keys")

    def __init__(self, first: int) -> None:
        """`first` is the index of the first of them among the KEYS of the script."""
        self._first = first
        self._places: dict[tuple[str, str | tuple[str, ...]], int] = {}
        self.keys: list[str] = []

    def place(self, key: str, second: str | tuple[str, ...]) -> int:
        """The index of this key, with `second` behind it, if there is one."""
        place = self._places.get((key, second))
        if place is None:
            place = self._places[key, second] = self._first + len(self.keys)
            self.keys.append(key)
            if second:
                self.keys += (second,) if isinstance(second, str) else second
        return place


def failed(list_key: str, entry: bytes, list_name: str = "") -> Effect:
    """The job goes to a failed list as this entry. `list_name` stands for the list among the
    failed queues, if it stands there."""
    return Effect("fail", list_key, entry, list_name)


def requeued(keys: Keys, queue: str) -> Effect:
    """The job goes back to the head of its queue."""
    return Effect("requeue", keys.queue(queue), queue)


def suspected(keys: Keys, queue: str, deaths: int) -> Effect:
    """The job goes to the head of the suspects of its queue that saw as many deaths."""
    return Effect("suspect", keys.suspects_of(queue, deaths), queue)


def pushed(keys: Keys, queue: str, raw: bytes) -> Effect:
    """The job goes to the tail of its queue, with this payload, to be tried again."""
    return Effect("push", keys.queue(queue), queue, raw)


def put_off(kind: str, keys: Keys, queue: str, delay_ms: int, member: str, raw: bytes) -> Effect:
    """The job waits for this long, with this payload; `kind` is `later` or `snooze`."""
    entry = write_entry(encoded(keys.queue(queue)), raw)
    return Effect(kind, keys.later, max(delay_ms, 0), member, entry, keys.later_jobs)


def unlocked(keys: Keys, digest: str, queue: str, job_id: str) -> Effect:
    """The job, of this queue, releases the lock. Without a queue there is no next run."""
    return Effect("unlock", keys.unique(digest), queue, job_id, second_key=keys.queue(queue))


def passed_on(keys: Keys, digest: str, queue: str, job_id: str) -> Effect:
    """The job, of this queue, leaves the lock to the first one that waits for it."""
    waiting = keys.unique_waiting(digest)
    more = keys.queue(queue), waiting, keys.later, keys.later_jobs
    return Effect("pass_on", keys.unique(digest), queue, job_id, second_key=more)


def awaited(keys: Keys, digest: str, queue: str, job_id: str) -> Effect:
    """The job, of this queue, which the effect before this one has put off, waits for the lock."""
    more = keys.queue(queue), keys.unique_waiting(digest), keys.later, keys.later_jobs
    return Effect("await", keys.unique(digest), queue, job_id, second_key=more)


def prolonged(keys: Keys, digest: str, job_id: str, delay_ms: int) -> Effect:
    """The lock of the job lives for longer than this at least."""
    return Effect("prolong", keys.unique(digest), "", job_id, delay_ms)


def noted(keys: Keys, job_id: str, state: str, details: bytes, expiry_ms: int) -> Effect:
    """The state of a tracked job, and what is known of it."""
    return Effect("result", keys.job(job_id), state, details, expiry_ms)


def logged(keys: Keys, job_id: str, lines: bytes, at_ms: int) -> Effect:
    """What a failed job has logged is kept beside its entry."""
    return Effect("log", keys.log(job_id), at_ms, lines, job_id, keys.logs)
