"""The policies of queues as a part of the model of the scripts of worker processes."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gresque.store.store import Store
from tests.support.turn_processes import CAPPED, OWN_CAP, QUEUES, WORKER, Process

RATE, BURST = "r1/1000000000b3", 3
POLICIES = ["", "", "c1", "c3", "p", "c2 p", RATE, f"c2 {RATE}"]


class PoliciesModel(RuleBasedStateMachine):
    """No turn breaks a policy, and the counts of jobs in flight are those of the ledgers."""

    store: Store

    def begin_without_policies(self) -> None:
        self.starts: dict[str, float] = {}
        """Queue with a rate -> how many more of its jobs may start in this test."""

    @rule(queue=st.sampled_from(QUEUES), policy=st.sampled_from(POLICIES))
    def a_policy_changes(self, queue: str, policy: str) -> None:
        self._set_policy(queue, policy)

    def _set_policy(self, queue: str, policy: str) -> None:
        keys, client = self.store.keys, self.store.redis
        self.starts.pop(queue, None)
        client.hdel(keys.rates, queue)
        if policy:
            client.hset(keys.policies, queue, policy)
        else:
            client.hdel(keys.policies, queue)
        if RATE in policy:
            self.starts[queue] = BURST

    @rule(paused=st.booleans())
    def all_are_paused_or_not(self, paused: bool) -> None:
        self.store.redis.set(self.store.keys.pause_all, "true" if paused else "false")

    def check_policies(self, process: Process) -> None:
        """What a turn has reserved is within the policies, also when its reply was lost."""
        client, keys = self.store.redis, self.store.keys
        reserved = Counter(job[1] for job in process.in_flight.ready)
        counted, own = self._counted()
        for queue, count in reserved.items():
            policy = (client.hget(keys.policies, queue) or b"").decode().split()
            assert client.get(keys.pause_all) != b"true"
            assert "p" not in policy
            for word in policy:
                if word.startswith("c"):
                    assert counted[queue] <= int(word[1:])
            if RATE in policy:
                self.starts[queue] -= count
                assert self.starts[queue] >= 0
            if process.number % 2 and queue == CAPPED:
                assert own[WORKER][queue] <= OWN_CAP

    def _counted(self) -> tuple[Counter[str], dict[str, Counter[str]]]:
        """By the flags of the entries in all ledgers: of each queue, and of each worker's."""
        everywhere: Counter[str] = Counter()
        own: defaultdict[str, Counter[str]] = defaultdict(Counter)
        client, keys = self.store.redis, self.store.keys
        for key in client.keys("resque:ledger:*"):
            fields = client.hgetall(key)
            fields.pop(b"state", None)
            for value in fields.values():
                digits, flag = re.match(rb"(\d+)([:+@#])", value).groups()  # type: ignore[union-attr]
                list_key = value[len(digits) + 1 :][: int(digits)].decode()
                queue = keys.queue_of(list_key)
                assert queue is not None
                if flag in b"+#":
                    everywhere[queue] += 1
                if flag in b"@#":
                    own[WORKER][queue] += 1
        return everywhere, own

    @invariant()
    def each_count_is_that_of_the_entries(self) -> None:
        client, keys = self.store.redis, self.store.keys
        everywhere, own = self._counted()
        assert self._count(keys.inflight) == everywhere
        found = {key.decode() for key in client.keys(f"{keys.inflight}:*")}
        assert found == {keys.inflight_of(worker) for worker in own}
        for worker, counts in own.items():
            assert self._count(keys.inflight_of(worker)) == counts

    def _count(self, key: str) -> dict[str, int]:
        return {queue.decode(): int(n) for queue, n in self.store.redis.hgetall(key).items()}

    def end_policies(self) -> None:
        for queue in QUEUES:
            self._set_policy(queue, "")
        self.store.redis.delete(self.store.keys.pause_all)

    def rates_were_forgotten(self) -> None:
        self.starts = dict.fromkeys(QUEUES, math.inf)

    def no_count_is_left(self) -> None:
        client, keys = self.store.redis, self.store.keys
        assert not client.exists(keys.inflight, keys.rates, keys.policies)
        assert not client.keys(f"{keys.inflight}:*")
