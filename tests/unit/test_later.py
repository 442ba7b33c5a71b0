"""Jobs that wait for their time: how they stand in Redis."""

from __future__ import annotations

import redis

from gresque.store.later_job import LaterJob, member_for
from gresque.store.store import Store

ID = "019ab0d2c4f17c3e8a1b5d7e9f2c4a60"


def add(store: Store, job: LaterJob) -> None:
    store.redis.zadd(store.keys.later, {job.member: job.due_ms})
    store.redis.hset(store.keys.later_jobs, job.member, job.entry(store.keys))


def test_a_job_is_read_as_it_was_written(store: Store) -> None:
    jobs = [
        LaterJob("b", 1000, "mail:ä", b'{"class":"A"}'),
        LaterJob("a", 253_402_300_799_000, "q", b"no job"),
    ]
    for job in jobs:
        add(store, job)
    assert store.later.count() == 2
    assert store.later.page(0, 9) == jobs
    assert store.later.page(1, 1) == jobs[1:]
    assert store.later.page(0, 0) == store.later.page(2, 5) == []
    assert store.later.find("a") == jobs[1]
    assert store.later.find("c") is None


def test_what_is_no_job_is_left_out(store: Store, redis_client: redis.Redis) -> None:
    add(store, LaterJob("good", 5, "q", b"{}"))
    redis_client.zadd(store.keys.later, {"gone": 1, "broken": 2, "elsewhere": 3})
    redis_client.hset(store.keys.later_jobs, mapping={"broken": b"x", "elsewhere": b"6:resque{}"})
    assert [job.member for job in store.later.page(0, 9)] == ["good"]
    assert store.later.find("broken") is None


def test_the_key_of_another_program_counts_as_empty(
    store: Store, redis_client: redis.Redis
) -> None:
    redis_client.set(store.keys.later, "x")
    assert store.later.count() == 0
    assert store.later.page(0, 9) == []


def test_only_an_id_that_can_be_no_other_name_is_the_member() -> None:
    assert member_for(ID) == ID
    for other in (None, 5, "short", ID.upper(), ID + "0"):
        assert len(member_for(other)) == 32
        assert member_for(other) != other != member_for(other)


def test_none_hides_behind_those_that_are_moved_meanwhile(store: Store) -> None:
    names = [f"{n:04}" for n in range(3000)]
    for start in range(0, 3000, 1000):
        part = names[start : start + 1000]
        store.redis.zadd(store.keys.later, dict.fromkeys(part, 5))
        entries = dict.fromkeys(part, LaterJob("", 5, "q", b"{}").entry(store.keys))
        store.redis.hset(store.keys.later_jobs, mapping=entries)
    store.redis.hset(store.keys.later_jobs, mapping=dict.fromkeys(names[500:1700], b"junk"))
    found = []
    for job in store.later.each():
        found.append(job.member)
        if len(found) % 400 == 0:
            store.redis.zremrangebyrank(store.keys.later, 0, 249)
    assert found == names[:500] + names[1700:]
