"""Enqueueing tracked jobs: their state is there with the job, once, by the same script."""

from __future__ import annotations

import time

import pytest
import redis

import gresque
from gresque.client.enqueue import track_of
from gresque.client.options import CallOptions
from gresque.jobs.definition import JobDefinition
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.store.track import MOST_TRACKED, Track, tracked
from gresque.store.unique_job import Terms, UniqueJob
from tests.support.declared_keys import keys_are_checked

DAY = 86_400_000
KEYS = Keys("resque")


@gresque.job(queue="mail", name="tracked", result_ttl_seconds=60)
def job(number: int = 0) -> None: ...


@gresque.job(queue="mail", name="untracked")
def plain(number: int = 0) -> None: ...


@gresque.job(queue="mail", name="unique", unique="both", result_ttl_seconds=60)
def unique(number: int = 0) -> None: ...


@pytest.fixture
def client(redis_url: str) -> gresque.Client:
    return gresque.Client(redis_url)


def state(db: redis.Redis, job_id: str) -> tuple[str, str, str, int]:
    """Class, queue and state; and the days that it is kept longer than 60 s."""
    found = {
        key.decode(): value.decode() for key, value in db.hgetall(f"resque:job:{job_id}").items()
    }
    left = db.pttl(f"resque:job:{job_id}") - 60_000
    return found["c"], found["q"], found["s"], round(left / DAY)


def test_every_way_into_a_queue(client: gresque.Client, redis_client: redis.Redis) -> None:
    with keys_are_checked():
        one = client.enqueue(job, 1)
        other = client.enqueue_to("other", job, 1)
        later = client.enqueue_in(10 * 86_400, job, 1)
        due = client.enqueue_at(5, job, 1)
        locked = client.enqueue(unique, 1)
        put_off = client.enqueue_in(10 * 86_400, unique, 2)
        debounced = client.options(unique, debounce=5, max_wait=9).enqueue(3)
        by_option = client.options(plain, track=60).enqueue(1)
    found = [state(redis_client, str(each)) for each in (one, other, later, due)]
    assert found == [
        ("tracked", "mail", "queued", 1),
        ("tracked", "other", "queued", 1),
        ("tracked", "mail", "later", 11),
        ("tracked", "mail", "queued", 1),
    ]
    found = [state(redis_client, str(each)) for each in (locked, put_off, debounced, by_option)]
    assert found == [
        ("unique", "mail", "queued", 1),
        ("unique", "mail", "later", 11),
        ("unique", "mail", "later", 1),
        ("untracked", "mail", "queued", 1),
    ]


def test_only_what_is_tracked_and_enqueued(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    client.enqueue(plain, 1)
    client.enqueue_in(5, plain, 1)
    client.options(job, track=0).enqueue(1)
    client.enqueue(unique, 1)
    assert client.enqueue(unique, 1).duplicate  # type: ignore[union-attr]
    with pytest.raises(gresque.DuplicateJob):
        client.options(unique, on_duplicate="raise", unique="both").enqueue(1)
    assert len(redis_client.keys("resque:job:*")) == 1
    with pytest.raises(gresque.JobDeclarationError, match="track='x' is no time"):
        CallOptions.of(None, None, None, track="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("many", [1, MOST_TRACKED + 1])
def test_bulks(client: gresque.Client, redis_client: redis.Redis, many: int) -> None:
    """They take as many arguments as every server takes."""
    calls = [(number,) for number in range(many)]
    with keys_are_checked():
        now = client.enqueue_many(job, calls)
        later = client.enqueue_many(job, calls, in_=30 * 86_400)
        locked = client.enqueue_many(unique, [*calls, *calls])
    assert len(redis_client.keys("resque:job:*")) == 3 * many
    assert {state(redis_client, each)[2:] for each in now} == {("queued", 1)}
    assert {state(redis_client, each)[2:] for each in later} == {("later", 31)}
    assert {state(redis_client, each)[2:] for each in locked} == {("queued", 1)}
    assert redis_client.llen("resque:queue:mail") == 2 * many


def test_a_call_that_is_sent_again_changes_nothing(store: Store, redis_client: redis.Redis) -> None:
    """The job may be done by then."""
    raw, track = b'{"class":"t","args":[],"id":"id1"}', Track(["id1"], "t", 60_000)
    for push in (
        lambda: store.enqueuer.push("mail", tracked([raw], track)),
        lambda: store.unique_enqueuer.enqueue(
            "mail", Terms("in", "both", "drop", "t", 60_000), [UniqueJob("id1", 0, "k", "d", raw)],
            track,
        ),
    ):  # fmt: skip
        push()
        assert redis_client.hget("resque:job:id1", "s") == b"queued"
        redis_client.hset("resque:job:id1", "s", "done")
        for enqueuer in (store.enqueuer, store.unique_enqueuer):
            for slot in enqueuer._slots.pools().alone._free:
                slot.number -= slot.number > 0  # as the same call, sent again
        push()
        assert redis_client.hget("resque:job:id1", "s") == b"done"
        redis_client.flushall()
        store.close()


def test_a_refused_push_leaves_no_state(store: Store, redis_client: redis.Redis) -> None:
    redis_client.set("resque:queue:mail", "no list")
    track = Track(["id1"], "t", 60_000)
    with pytest.raises(gresque.NotEnqueued):
        store.enqueuer.push("mail", tracked([b"{}"], track))
    assert not redis_client.exists("resque:job:id1")


def test_a_refused_state_keeps_no_job_out(store: Store, redis_client: redis.Redis) -> None:
    redis_client.set("resque:job:id1", "no hash")
    store.enqueuer.push("mail", tracked([b"{}"], Track(["id1"], "t", 60_000)))
    assert redis_client.llen("resque:queue:mail") == 1


def test_plain_jobs_have_no_track() -> None:
    definition = JobDefinition(name="t", queue="q", function=print)
    assert track_of(definition, ["id1"]) is None
    assert type(tracked([b"{}"], None)) is list


def test_inline_jobs_are_checked_as_a_worker_does(redis_url: str) -> None:
    client = gresque.Client(redis_url, inline=True)

    @gresque.job(queue="q", name="inline", result_ttl_seconds=60)
    def inline() -> set[int]:
        return {1}

    with pytest.raises(gresque.UnserializableResult):
        client.enqueue(inline)
    client.options(inline, track=0).enqueue()


def test_how_long_it_is_kept_follows_another_time(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    one = str(client.enqueue_in(60, job, 1))
    assert client.reschedule(one, in_=20 * 86_400)
    assert state(redis_client, one)[2:] == ("later", 21)
    assert client.reschedule(one, at=time.time() + 5)
    assert state(redis_client, one)[2:] == ("later", 21)
    assert client.status(one).state == "later"
    assert client.run_now(one)
    assert client.status(one).state == "queued"


def test_jobs_that_are_taken_out_are_cancelled(client: gresque.Client) -> None:
    waiting, taken, gone = (str(client.enqueue(job, number)) for number in (1, 2, 3))
    delayed = str(client.enqueue_in(60, job, 4))
    locked = str(client.enqueue_in(60, unique, 5))
    for each in (waiting, delayed, locked):
        assert client.cancel(each)
        assert client.status(each).state == "cancelled"
        with pytest.raises(gresque.JobCancelled, match="taken out of its queue before it ran"):
            client.result(each)
    assert client.dequeue(job, 2) == 1
    assert client.status(taken).state == "cancelled"
    assert client.status(gone).state == "queued"
    assert client.remove_queue("mail") == 1
    assert client.status(gone).state == "cancelled"
    ended = client.status(gone)
    assert ended.is_over
    assert ended.ended_at is not None
    assert ended.job_class == "tracked"
