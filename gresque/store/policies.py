"""The policies of queues: whether a queue is paused, how many of its jobs run at once, and how many
start in a given time.

In Redis a policy is a text of words, separated by blanks: `p` (paused), `c20` (a cap of 20),
`r100/60000b10` (100 jobs in 60,000 ms, up to 10 of them at once). The script that reserves ignores
a word that it cannot read, such as one of a newer gresque. So does this module, and it keeps the
word when others change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import redis

from gresque.clock import duration
from gresque.errors import GresqueError
from gresque.store.reads import Reads
from gresque.store.refusals import explain_wrong_type, is_wrong_type
from gresque.store.server import Server
from gresque.text import counted, decoded, encoded, is_utf8, printable

PAUSED, CAP, RATE = "p", "c", "r"
"""The first letters of the words."""
MOST = 10**9
MOST_PER_SECOND = 10**6
LONGEST_MS = 31 * 86_400_000

_NOT_PAUSED = "no pause of all queues holds"
_NO_POLICY = "no queue is paused or limited"
_STOPS_LIMITED = "workers take no jobs of limited queues"
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000}
_RATE = re.compile(r"([0-9]{1,10})/([0-9]{0,7})([smh])")
# As limits.lua reads them.
_CAP_WORD = re.compile(r"c([1-9][0-9]*)")
_RATE_WORD = re.compile(r"r([1-9][0-9]*)/([1-9][0-9]*)b([1-9][0-9]*)")


class Rate(NamedTuple):
    """Up to `jobs` start in each `period_ms`, evenly; after a rest, `burst` of them at once."""

    jobs: int
    period_ms: int
    burst: int

    @classmethod
    def parse(cls, text: str, burst: int | None = None) -> Rate:
        """Read `100/m`, `5/s`, `1000/h`, `2/30s`. The default of `burst` is the number for a tenth
        of a second. Raises GresqueError."""
        found = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise GresqueError(
                f"{text!r} is no rate; give a number of jobs and a time, such as 100/m, 5/s, "
                "1000/h or 2/30s"
            )
        jobs, period = int(found[1]), int(found[2] or 1) * _UNITS[found[3]]
        if jobs < 1:
            raise GresqueError(f"a rate of {text} starts no job; to stop the queue, pause it")
        if not 1 <= period <= LONGEST_MS:
            raise GresqueError(
                f"{text!r} is no rate; its time is from 1s to {LONGEST_MS // 3_600_000}h"
            )
        if jobs * 1000 > MOST_PER_SECOND * period:
            raise GresqueError(
                f"a rate of {text} is above {MOST_PER_SECOND:,} jobs a second; leave it out"
            )
        if burst is None:
            burst = max(1, jobs * 100 // period)
        return cls(jobs, period, checked_number("burst", burst))

    def next_in_ms(self, tat_us: int, now_us: int) -> float:
        """Milliseconds until a job may start; 0 when one may start now. `tat_us` (theoretical
        arrival time) is when the next job would be due if jobs came evenly."""
        interval = self.period_ms * 1000 / self.jobs
        return max(tat_us - now_us - (self.burst - 1) * interval, 0.0) / 1000

    @property
    def text(self) -> str:
        """As users write it: `100/m`."""
        for unit, ms in reversed(_UNITS.items()):
            if self.period_ms % ms == 0:
                times = self.period_ms // ms
                return f"{self.jobs}/{'' if times == 1 else times}{unit}"
        return f"{self.jobs}/{self.period_ms / 1000:g}s"

    @property
    def word(self) -> str:
        return f"{RATE}{self.jobs}/{self.period_ms}b{self.burst}"


@dataclass(frozen=True)
class Policy:
    """The policy of one queue, over all workers. `unread` are words that this version cannot
    read."""

    paused: bool = False
    cap: int | None = None
    rate: Rate | None = None
    unread: tuple[str, ...] = ()

    @property
    def is_limited(self) -> bool:
        return self.cap is not None or self.rate is not None

    def __str__(self) -> str:
        """For people: `paused, at most 20 jobs at once, 100/m in bursts of 10`."""
        parts = ["paused"] if self.paused else []
        if self.cap is not None:
            parts.append(f"at most {counted(self.cap, 'job')} at once")
        if self.rate is not None:
            burst = self.rate.burst
            parts.append(f"{self.rate.text} {f'in bursts of {burst:,}' if burst > 1 else 'evenly'}")
        return ", ".join(parts) or "no limits"

    @classmethod
    def parse(cls, raw: bytes) -> Policy:
        """If a kind of word stands there twice, the first one counts."""
        paused, cap, rate, unread = False, None, None, []
        for word in filter(None, decoded(raw).split(" ")):
            if word == PAUSED:
                paused = True
            elif cap is None and (found := _CAP_WORD.fullmatch(word)):
                cap = int(found[1])
            elif rate is None and (found := _RATE_WORD.fullmatch(word)):
                rate = Rate(*map(int, found.groups()))
            else:
                unread.append(word)
        return cls(paused, cap, rate, tuple(unread))


NONE = Policy()
"""The policy of a queue that has none."""


class Change(NamedTuple):
    """The policy of a queue before and after a change."""

    before: Policy
    after: Policy


class PolicySnapshot(NamedTuple):
    """All policies, and their current state."""

    at: float
    """Epoch seconds by the server's clock."""
    all_paused: bool
    """Resque's `pause-all-workers` is set. Ruby's workers obey it, too."""
    policies: Mapping[str, Policy]
    in_flight: Mapping[str, int]
    """Queue -> how many of its jobs are counted."""
    tats: Mapping[str, int]
    in_the_way: tuple[str, ...] = ()
    """Keys that another program has given another type. Workers cannot read them, either: without
    policies they take jobs as if there were none, without counters none of limited queues."""

    def policy(self, queue: str) -> Policy:
        return self.policies.get(queue, NONE)

    def next_in(self, queue: str) -> float:
        """Seconds until the rate of a queue lets a job start; 0 when one may start now."""
        rate = self.policy(queue).rate
        if rate is None:
            return 0.0
        return rate.next_in_ms(self.tats.get(queue, 0), round(self.at * 1_000_000)) / 1000

    def is_full(self, queue: str) -> bool:
        """Whether as many of its jobs are in flight as its cap allows."""
        cap = self.policy(queue).cap
        return cap is not None and self.in_flight.get(queue, 0) >= cap

    def holds_back(self, queue: str) -> bool:
        """Whether its cap or its rate lets none of its jobs start now."""
        return self.is_full(queue) or self.next_in(queue) > 0

    def is_paused(self, queue: str) -> bool:
        return self.all_paused or self.policy(queue).paused

    def describe(self, queue: str) -> str:
        """Its policy and current state, for people; empty where it has none."""
        policy = self.policy(queue)
        if self.all_paused:
            policy = replace(policy, paused=False)
        parts = ["paused as all are"] if self.all_paused else []
        if policy.paused or policy.is_limited:
            parts.append(str(policy))
        if policy.cap is not None:
            parts.append(f"{self.in_flight.get(queue, 0):,} in flight")
        if self.next_in(queue):
            parts.append(f"the next one in {duration(self.next_in(queue))}")
        return ", ".join(parts)


class PolicyReads:
    """The reads of a snapshot, in a round trip that they share with other reads."""

    def __init__(self, server: Server, reads: Reads) -> None:
        keys = server.keys
        self._reads = reads
        self._keys = (keys.pause_all, keys.policies, keys.inflight, keys.rates)
        self._clock = reads.now()
        no_pause: bytes | None = None
        self._pause = reads.ask(no_pause, "GET", keys.pause_all, consequence=_NOT_PAUSED)
        none: dict[bytes, bytes] = {}
        self._policies = reads.ask(none, "HGETALL", keys.policies, consequence=_NO_POLICY)
        self._in_flight = reads.ask(none, "HGETALL", keys.inflight, consequence=_STOPS_LIMITED)
        self._tats = reads.ask(none, "HGETALL", keys.rates, consequence=_STOPS_LIMITED)

    def snapshot(self) -> PolicySnapshot:
        return PolicySnapshot(
            self._clock.value,
            pauses_all(self._pause.value),
            {
                decoded(name): Policy.parse(raw)
                for name, raw in sorted(self._policies.value.items())
            },
            _numbers(self._in_flight.value),
            _numbers(self._tats.value),
            tuple(key for key in self._keys if key in self._reads.wrong_types),
        )


class Policies:
    """The HASH of the policies, and Resque's pause of all workers."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def read(self) -> PolicySnapshot:
        """In one round trip."""
        reads = Reads(self._server)
        found = PolicyReads(self._server, reads)
        reads.run()
        return found.snapshot()

    def pause(self, queue: str) -> bool:
        """False when it was paused already."""
        return not self._change(queue, PAUSED, PAUSED).before.paused

    def unpause(self, queue: str) -> bool:
        """False when it was not paused."""
        return self._change(queue, PAUSED).before.paused

    def limit(
        self, queue: str, *, cap: int | None = None, rate: Rate | None = None, drop: str = ""
    ) -> Change:
        """Set this cap or this rate, and remove the limits whose letters are in `drop`. The rest
        stays as it is."""
        letters = drop + (CAP if cap is not None else "") + (RATE if rate is not None else "")
        words = [] if cap is None else [f"{CAP}{cap}"]
        words += [] if rate is None else [rate.word]
        return self._change(queue, letters, *words)

    def _change(self, queue: str, letters: str, *words: str) -> Change:
        keys = self._server.keys
        with self._naming_wrong_keys(keys.policies, keys.rates):
            before, after = self._server.run_script(
                "change_policy", [keys.policies, keys.rates],
                [encoded(queue), letters, RATE, " ".join(words)],
            )  # fmt: skip
        return Change(Policy.parse(before), Policy.parse(after))

    def pause_all(self) -> bool:
        """Pause all queues, as Ruby programs do; False when they were paused already."""
        return not self._set_pause("true")

    def unpause_all(self) -> bool:
        """False when they were not paused."""
        return self._set_pause("")

    def _set_pause(self, value: str) -> bool:
        """Whether all were paused."""
        key = self._server.keys.pause_all
        with self._naming_wrong_keys(key):
            return pauses_all(self._server.run_script("pause_all", [key], [value]))

    @contextmanager
    def _naming_wrong_keys(self, *keys: str) -> Iterator[None]:
        """Raises GresqueError for a key of another type, which the server's error does not name."""
        try:
            yield
        except redis.ResponseError as error:
            wrong = [each for each in keys if is_wrong_type(error) and not self._is_right(each)]
            if not wrong:
                raise
            reason = explain_wrong_type(self._server.keys, wrong[0])
            raise GresqueError(f"nothing is changed: {reason}") from None

    def _is_right(self, key: str) -> bool:
        """Whether a key has its type. An operator's user need not have the right to TYPE."""
        try:
            if key == self._server.keys.pause_all:
                self._server.call("GET", key)
            else:
                self._server.call("HLEN", key)
        except redis.ResponseError as error:
            return not is_wrong_type(error)
        return True


def pauses_all(value: bytes | None) -> bool:
    """As Resque reads it: `strip`, which takes NUL as well, and `downcase`."""
    return value is not None and value.strip(b" \t\n\v\f\r\0").lower() == b"true"


def checked_queue(queue: object) -> str:
    """The name of a queue. Raises GresqueError."""
    if isinstance(queue, str) and queue and is_utf8(queue):
        return queue
    shown = f"'{printable(queue)}'" if isinstance(queue, str) else repr(queue)
    raise GresqueError(f"{shown} is not the name of a queue; give one such as 'mail'")


def checked_cap(cap: object) -> int:
    """Raises GresqueError."""
    if cap == 0 and not isinstance(cap, bool):
        raise GresqueError("a cap of 0 is a pause; pause the queue, or give a cap of 1 or more")
    return checked_number("a cap", cap)


def checked_number(name: str, value: object) -> int:
    """Raises GresqueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise GresqueError(f"{name} is a whole number from 1 to {MOST:,}, and not {value!r}")
    return value


def _numbers(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    """Values that are not numbers, as another program may have written, are left out."""
    return {decoded(name): int(value) for name, value in raw.items() if value.isdigit()}
