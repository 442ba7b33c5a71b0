"""Jobs that wait for their time, against a model: scheduled, changed and promoted in any order, by
callers that have read at any time before, with calls that arrive twice. Every job stands in exactly
one place at any time."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gresque.jobs.delayed_item import read_item
from gresque.store.delayed import Move, to_queue
from gresque.store.later_job import LaterJob, Times
from gresque.store.scheduler import Scheduler
from gresque.store.store import Store

QUEUES = ["a", "b:ä"]
TIMESTAMPS = ["1000", "2000"]
FAR = 4_000_000_000_000
FAR_AWAY = "4000000000"
each_queue = st.sampled_from(QUEUES)


class Twice(Scheduler):
    """Sends some calls twice, as one whose reply was lost is."""

    again = False

    def _push_once(self, *call: Any) -> None:
        super()._push_once(*call)
        if self.again:
            super()._push_once(*call)


class Jobs(RuleBasedStateMachine):
    url = ""

    @initialize()
    def begin(self) -> None:
        self.store = Store(self.url, "resque")
        self.store.redis.flushdb()
        self.scheduler = Twice(self.url, self.store.keys, 1.0)
        self.made = 0
        self.jobs: Counter[int] = Counter()
        """All that were not cancelled."""
        self.due: list[Any] = []
        self.seen: list[LaterJob] = []
        self.heads: list[tuple[str, list[bytes]]] = []
        """What callers have read, and act on later."""

    def _new(self) -> int:
        self.made += 1
        self.jobs[self.made] += 1
        return self.made

    # Programs

    @rule(
        queue=each_queue, again=st.booleans(),
        times=st.lists(st.sampled_from([5, 10, FAR]), min_size=1, max_size=4),
    )  # fmt: skip
    def schedule(self, queue: str, times: list[int], again: bool) -> None:
        numbers = [self._new() for _ in times]
        raws = [json.dumps({"class": "A", "args": [n]}).encode() for n in numbers]
        self.scheduler.again = again
        ids = [f"{n % 5:032x}" for n in numbers]  # some are the same
        self.scheduler.schedule(queue, ids, raws, Times(False, times))

    @rule(queue=each_queue, due=st.sampled_from([5, FAR]))
    def a_job_becomes_due(self, queue: str, due: int) -> None:
        """As one that was scheduled for a time that is past by now."""
        number = self._new()
        job = LaterJob(f"due {number}", due, queue, b'{"class":"A","args":[%d]}' % number)
        client = self.store.redis.pipeline(transaction=True)
        client.zadd(self.store.keys.later, {job.member: due})
        client.hset(self.store.keys.later_jobs, job.member, job.entry(self.store.keys))
        client.execute()

    @rule(queue=each_queue, timestamp=st.sampled_from([*TIMESTAMPS, FAR_AWAY]), equal=st.booleans())
    def ruby_delays_a_job(self, queue: str, timestamp: str, equal: bool) -> None:
        number = 0 if equal else self._new()
        if equal:
            self.jobs[0] += 1
        item = b'{"class":"R","args":[%d],"queue":"%b"}' % (number, queue.encode())
        client = self.store.redis
        client.rpush(self.store.keys.delayed(timestamp), item)
        client.sadd(self.store.keys.timestamps(item), f"delayed:{timestamp}")
        client.zadd(self.store.keys.delayed_schedule, {timestamp: int(timestamp)})

    # Those that read, and act on what they have read

    @invariant()
    def some_caller_reads(self) -> None:
        for read in (self.due, self.seen, self.heads):
            del read[:-6]
        self.due.append(self.store.later.due())
        self.seen += self.store.later.page(0, 3)
        for timestamp in TIMESTAMPS:
            self.heads.append((timestamp, self.store.delayed.items(timestamp, 0, 3)))

    @precondition(lambda self: self.due)
    @rule(data=st.data())
    def promote(self, data: Any) -> None:
        due = data.draw(st.sampled_from(self.due))
        far = self._far()
        moved, refused = self.store.later.promote(due)
        assert moved <= len(due) and not refused
        assert self._far() == far, "none is early"

    def _far(self) -> list[LaterJob]:
        return [job for job in self.store.later.page(0, 10_000) if job.due_ms == FAR]

    @precondition(lambda self: self.heads)
    @rule(data=st.data())
    def promote_a_list(self, data: Any) -> None:
        timestamp, items = data.draw(st.sampled_from(self.heads))
        moves = []
        for item in items:
            job = read_item(item, 5)
            moves.append(Move(item, job.raw, to_queue(self.store.keys, job.queue)))
        moved = self.store.delayed.move(timestamp, moves, "host:1")
        assert moved.jobs <= len(items) and not moved.refused and not moved.lock

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), how=st.sampled_from(["cancel", "run now", "at once", "far"]))
    def change(self, data: Any, how: str) -> None:
        job = data.draw(st.sampled_from(self.seen))
        later = self.store.later
        if how == "cancel":
            found = later.find(job.member)
            if later.cancel(job.member):
                assert found is not None
                self.jobs[number_of(found.raw)] -= 1
        elif how == "run now":
            later.run_now(job, job.raw)
        else:
            later.put_off(job, job.raw, 5 if how == "at once" else FAR, is_delay=False)

    @precondition(lambda self: self.heads)
    @rule(data=st.data(), how=st.sampled_from(["cancel", "run now", "put off"]))
    def change_one_of_ruby(self, data: Any, how: str) -> None:
        timestamp, items = data.draw(st.sampled_from(self.heads))
        delayed = self.store.delayed
        for item in items[:1]:
            job = read_item(item, 5)
            if how == "cancel":
                self.jobs[number_of(item)] -= delayed.cancel(timestamp, item)
            elif how == "run now":
                delayed.run_now(timestamp, item, job.queue, job.raw)
            else:
                entry = LaterJob("", 0, job.queue, job.raw).entry(self.store.keys)
                delayed.put_off(timestamp, item, "f" * 32, entry, 5, is_delay=False)

    # What holds at any time

    @invariant()
    def each_job_is_in_one_place(self) -> None:
        assert +self._everywhere() == +self.jobs

    @invariant()
    def what_belongs_together_is_there_together(self) -> None:
        client, keys = self.store.redis, self.store.keys
        assert {*client.zrange(keys.later, 0, -1)} == {*client.hkeys(keys.later_jobs)}
        lists = {t.decode() for t in client.zrange(keys.delayed_schedule, 0, -1)}
        assert lists == {t for t in (*TIMESTAMPS, FAR_AWAY) if client.exists(keys.delayed(t))}

    def _everywhere(self) -> Counter[int]:
        client, keys = self.store.redis, self.store.keys
        found = [job.raw for job in self.store.later.page(0, 10_000)]
        for queue in QUEUES:
            found += client.lrange(keys.queue(queue), 0, -1)
        for timestamp in (*TIMESTAMPS, FAR_AWAY):
            found += client.lrange(keys.delayed(timestamp), 0, -1)
        return Counter(map(number_of, found))

    def teardown(self) -> None:
        """All that is due is promoted, and nothing else."""
        later, delayed = self.store.later, self.store.delayed
        while due := later.due():
            later.promote(due)
        for timestamp in TIMESTAMPS:
            while items := delayed.items(timestamp):
                self.heads = [(timestamp, items)]
                moves = [
                    Move(item, read_item(item, 5).raw, to_queue(self.store.keys, QUEUES[0]))
                    for item in items
                ]
                assert delayed.move(timestamp, moves, "host:1").jobs == len(items)
        assert +self._everywhere() == +self.jobs
        assert all(job.due_ms == FAR for job in later.page(0, 10_000))
        assert delayed.due(self.store.now()) is None
        self.scheduler.close()
        self.store.close()


def number_of(raw: bytes) -> int:
    return int(json.loads(raw)["args"][0])


def test_every_job_stands_in_one_place(redis_url: str) -> None:
    class Here(Jobs):
        url = redis_url

    limits = settings(
        max_examples=40,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Here, settings=limits)
