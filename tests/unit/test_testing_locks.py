"""Unique jobs in a fake: as on a server, compared with it, and what only time can show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import gresque
from gresque.jobs import payload
from gresque.jobs.unique import mark_in
from gresque.store.effects import unlocked
from gresque.store.ledger import parse_entry
from gresque.store.store import Store
from gresque.store.unique_job import Terms, UniqueJob
from gresque.testing import FakeJobs, fake, frozen
from gresque.testing.store import FakeStore

HOUR = 3_600_000
DIGESTS = "a" * 32, "b" * 32
OF_THROTTLED = dict(zip(DIGESTS, ("c" * 32, "d" * 32), strict=True))
"""The locks of throttled jobs are others: `key_of` gives them a space of their own."""

seen: list[Any] = []


@gresque.job("q", name="locks.sync", unique_key=lambda site, part: site, unique="queued")
def sync(site: int, part: str) -> None:
    seen.append(part)
    if part == "enqueues":
        sync.enqueue(site, "meanwhile")
    if part == "asks":
        sync.options(unique="both", on_duplicate="again").enqueue(site, "first")
        sync.options(unique="both", on_duplicate="again").enqueue(site, "second")
    if part == "fails":
        raise OSError


@pytest.fixture
def jobs() -> Iterator[FakeJobs]:
    seen.clear()
    with fake() as jobs, frozen():
        yield jobs


# The same as a server

KINDS = [
    Terms("in", "queued", "drop", "J", HOUR), Terms("in", "both", "again", "J", HOUR),
    Terms("in", "both", "replace", "J", HOUR), Terms("in", "queued", "raise", "J", HOUR),
    Terms("debounce", "queued", "replace", "J", HOUR, HOUR, 2 * HOUR),
    Terms("throttle", "throttle", "drop", "J", HOUR, HOUR, 0),
    Terms("throttle", "throttle", "drop", "J", HOUR, HOUR, 1),
]  # fmt: skip

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("enqueue"),
            st.sampled_from(KINDS),
            st.lists(st.sampled_from(DIGESTS), min_size=1, max_size=3, unique=True),
            st.sampled_from([0, HOUR]),
        ),
        st.tuples(st.just("end"), st.sampled_from(DIGESTS)),
        st.tuples(st.just("remove"), st.integers(0, 5)),
    ),
    min_size=2,
    max_size=10,
)


class Both:
    """A server and a fake, to which the same happens."""

    def __init__(self, url: str) -> None:
        self.real, self.fake = Store(url, "resque"), FakeStore("resque")
        self.real.redis.flushall()
        self.made = 0

    def enqueue(self, terms: Terms, digests: list[str], delay: int) -> None:
        jobs = []
        for digest in digests:
            self.made += 1
            job_id = f"{self.made:032x}"
            if terms.kind == "throttle":
                digest = OF_THROTTLED[digest]
            mark = [digest, terms.mode, *(["replace"] if terms.on_duplicate == "replace" else [])]
            envelope = {} if terms.kind == "throttle" else {"unique": mark}
            raw = payload.encode("J", [self.made], None, job_id, 1, envelope | {"run_at": 1.5})
            jobs.append(UniqueJob(job_id, delay * (terms.kind == "in"), "key", digest, raw))
        found = [each.unique_enqueuer.enqueue("q", terms, jobs) for each in (self.real, self.fake)]
        assert found[0] == found[1]

    def end(self, digest: str) -> None:
        """The job that holds the lock has ended."""
        lock = self.real.locks.find(digest)
        if lock is not None:
            for each in (self.real, self.fake):
                each.locks.apply([unlocked(each.keys, digest, "q", lock.job_id)])

    def remove(self, position: int) -> None:
        waiting = self.real.queues.peek("q", 0, 99)
        if position < len(waiting) and (mark := mark_in(waiting[position])):
            job_id = json.loads(waiting[position])["id"]
            for each in (self.real, self.fake):
                (raw,) = each.queues.peek("q", position)
                effect = unlocked(each.keys, mark.digest, "q", job_id)
                assert each.locks.take_out("q", effect, item=raw) == 1

    def compare(self) -> None:
        real, fake = self.real, self.fake
        entries = real.redis.hgetall(real.keys.later_jobs)
        later = {name.decode(): parse_entry(entry).raw for name, entry in entries.items()}
        dues = dict(real.redis.zrange(real.keys.later, 0, -1, withscores=True))
        assert _read(real.queues.peek("q", 0, 99)) == _read(fake.queues.peek("q", 0, 99))
        waiting = fake.waiting.later
        assert {name: _read([raw]) for name, raw in later.items()} == {
            name: _read([job.raw]) for name, job in waiting.items()
        }
        for name, due in dues.items():
            assert abs(waiting[name.decode()].due_ms - due) < 60_000
        for digest in (*DIGESTS, *OF_THROTTLED.values()):
            locks = [each.locks.find(digest) for each in (real, fake)]
            shown = [
                lock and (lock.job_id, lock.mode, lock.next_run, lock.keeps_payload)
                for lock in locks
            ]
            assert shown[0] == shown[1]
            if locks[0] and locks[1]:
                assert abs((locks[0].expires or 0) - (locks[1].expires or 0)) < 60


def _read(raws: list[bytes]) -> list[tuple[str, Any]]:
    return [(item["id"], item["args"]) for item in map(json.loads, raws)]


def test_a_fake_does_what_a_server_does(redis_url: str) -> None:
    @given(steps=steps)
    def run(steps: list[Any]) -> None:
        both = Both(redis_url)
        for name, *arguments in steps:
            getattr(both, name)(*arguments)
            both.compare()
        both.real.close()

    run()


# What takes time, and the start of a job


def test_a_lock_of_a_waiting_job_goes_when_it_starts(jobs: FakeJobs) -> None:
    first = sync.enqueue(7, "enqueues")
    duplicate = sync.enqueue(7, "dropped")
    assert duplicate == first and duplicate.duplicate
    assert gresque.locks()[0].job_id == first
    assert jobs.drain() == 2
    assert seen == ["enqueues", "meanwhile"]
    assert not gresque.locks()


def test_one_more_run_has_the_latest_arguments(jobs: FakeJobs) -> None:
    sync.options(unique="both", on_duplicate="again").enqueue(7, "asks")
    jobs.drain()
    assert seen == ["asks", "second"]
    assert not gresque.locks()


def test_replaced_arguments_are_seen_and_run(jobs: FakeJobs) -> None:
    replacing = sync.options(on_duplicate="replace")
    for part in ("old", "older", "new"):
        replacing.enqueue(7, part)
    assert jobs.only().args == (7, "new")
    jobs.drain()
    assert seen == ["new"]


def test_a_duplicate_may_raise(jobs: FakeJobs) -> None:
    raising = sync.options(on_duplicate="raise")
    raising.enqueue(7, "first")
    with pytest.raises(gresque.DuplicateJob):
        raising.enqueue_many([(8, "other"), (7, "second")])
    assert len(jobs) == 1


def test_a_debounced_job_is_put_off(jobs: FakeJobs) -> None:
    debounced = sync.options(debounce=10, max_wait=25)
    for part in ("one", "two", "three"):
        assert jobs.drain() == 0
        debounced.enqueue(7, part)
        jobs.advance(9)
    assert jobs.drain() == 1, "25 s are over"
    assert seen == ["three"]
    debounced.enqueue(7, "four")
    jobs.advance(10)
    jobs.drain()
    assert seen == ["three", "four"]


def test_a_throttled_job_runs_at_the_end_too(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="locks.plain", throttle=10, trailing=True, unique_key=lambda part: "x")
    def throttled(part: str) -> None:
        seen.append(part)

    for part in ("one", "two", "three"):
        throttled.enqueue(part)
    jobs.drain()
    jobs.advance(10)
    jobs.drain()
    assert seen == ["one", "three"]


def test_a_lock_expires_with_the_clock(jobs: FakeJobs) -> None:
    brief = sync.options(unique="both", unique_ttl_seconds=60)
    brief.enqueue(7, "one")
    jobs.advance(59)
    assert brief.enqueue(7, "two").duplicate  # type: ignore[union-attr]
    jobs.advance(1)
    assert not brief.enqueue(7, "two").duplicate  # type: ignore[union-attr]


def test_locks_can_be_released_by_hand(jobs: FakeJobs) -> None:
    job_id = sync.options(unique="both").enqueue(7, "one")
    assert job_id and gresque.release_lock(job_id)
    assert not sync.options(unique="both").enqueue(7, "two").duplicate  # type: ignore[union-attr]
    assert gresque.cancel(jobs.all()[1].id)
    assert not gresque.locks()


def test_a_job_that_is_tried_again_keeps_its_lock(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="locks.retried", unique="both", retries=1)
    def retried() -> None:
        seen.append("ran")
        if len(seen) == 1:
            raise OSError

    retried.enqueue()
    assert jobs.drain() == 1
    assert retried.enqueue().duplicate  # type: ignore[union-attr]
    jobs.advance(60)
    jobs.drain()
    assert not gresque.locks()
