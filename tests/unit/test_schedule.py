"""Jobs enqueued for later, cancelled, put off and run: as a program does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import EnqueueError, NotEnqueued, WrongArguments
from gresque.jobs.ids import JobId
from gresque.store.store import Store

calls: list[Any] = []

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def client(redis_url: str) -> Iterator[gresque.Client]:
    with closing(gresque.Client(redis_url)) as client:
        yield client


@gresque.job("mail", name="Schedule.send", expires_seconds=60)
def send(user: int, template: str = "welcome") -> None:
    calls.append((user, template))


class Hooked(gresque.Job):
    queue = "hooked"
    name = "Schedule.Hooked"

    def perform(n: int) -> None:
        calls.append(("perform", n))

    def before_schedule_it(n: int) -> bool:
        calls.append(("before_schedule", n))
        return n != 1

    def before_delayed_enqueue_it(n: int) -> None:
        calls.append(("before_delayed_enqueue", n))

    def before_enqueue_it(n: int) -> bool:
        calls.append(("before_enqueue", n))
        return n != 2

    def after_schedule_it(n: int) -> None:
        calls.append(("after_schedule", n))

    def after_enqueue_it(n: int) -> None:
        calls.append(("after_enqueue", n))


def delay_by_ruby(client: gresque.Client, item: bytes, due: int) -> None:
    server = client.store.redis
    server.rpush(f"resque:delayed:{due}", item)
    server.sadd(b"resque:timestamps:" + item, f"delayed:{due}")
    server.zadd("resque:delayed_queue_schedule", {str(due): due})


def seconds_left(job: gresque.DelayedJob) -> float:
    """Rounded: its time is in whole milliseconds."""
    return round((job.due - datetime.now(UTC)).total_seconds(), 1)


# Enqueueing


def test_a_job_waits_with_its_due_time_in_its_payload(client: gresque.Client) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    job_id = client.enqueue_at(due, send, 1, template="x")
    assert type(job_id) is JobId
    (job,) = client.delayed(0, 9)
    assert (job.id, job.queue, job.name, job.attempt) == (job_id, "mail", "Schedule.send", None)
    assert abs(job.due - due) < timedelta(milliseconds=2)
    assert (job.payload["args"], job.payload["kwargs"]) == ([1], {"template": "x"})
    assert job.payload["gresque"]["run_at"] == pytest.approx(due.timestamp(), abs=0.002)
    expires_at = job.payload["expires_at"]
    assert expires_at == pytest.approx(due.timestamp() + 60, abs=0.002), "counted from then"
    assert client.delayed_count() == 1
    assert client.queues() == []


def test_each_way_to_say_it(client: gresque.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gresque.client.default, "_default", client)
    gresque.enqueue_in(60, send, 1)
    gresque.enqueue_at(time.time() + 120, send, 2)
    send.enqueue_in(timedelta(minutes=3), 3)
    send.enqueue_at(time.time() + 240, 4)
    send.options(in_=300, queue="low").enqueue(5)
    gresque.options(send, at=time.time() + 360).enqueue(6)
    client.options("Ruby", queue="ruby", in_=420).enqueue(7)
    Hooked.options(in_=480).enqueue(8)
    Hooked.enqueue_in(540, 9)
    Hooked.enqueue_at(time.time() + 600, 10)
    jobs = gresque.delayed(0, 99)
    assert [job.payload["args"] for job in jobs] == [[n] for n in range(1, 11)]
    assert [job.queue for job in jobs] == [*["mail"] * 4, "low", "mail", "ruby", *["hooked"] * 3]
    for minutes, job in enumerate(jobs, 1):
        assert 60 * minutes - 5 < seconds_left(job) <= 60 * minutes
    assert gresque.delayed_count() == 10
    assert send.options(queue="low").enqueue(5)
    assert gresque.size("low") == 1
    assert gresque.remove_delayed(send, 5) == 1
    assert gresque.cancel(jobs[0].id)
    assert gresque.reschedule(jobs[1].id, in_=9999)
    assert gresque.run_now(jobs[2].id)


def test_what_is_past_is_enqueued_at_once(client: gresque.Client) -> None:
    client.options("Job", queue="q", at=datetime(2001, 1, 1, tzinfo=UTC)).enqueue(1)
    client.options("Job", queue="q", in_=0).enqueue(2)
    assert [item["args"] for item in client.peek("q", 0, 9)] == [[1], [2]]
    assert client.delayed_count() == 0


def test_a_bulk_is_spread(client: gresque.Client) -> None:
    ids = client.enqueue_many(send, [(n,) for n in range(1500)], in_=100, spread=600)
    jobs = client.delayed(0, 9999)
    assert [job.id for job in jobs] == ids
    assert 95 < seconds_left(jobs[0]) <= 100
    assert 695 < seconds_left(jobs[-1]) <= 700
    assert jobs[-1].payload["gresque"]["run_at"] == pytest.approx(jobs[-1].due.timestamp(), abs=5)
    client.enqueue_many("Job", ((n,) for n in range(10)), queue="q", spread=600)
    assert client.size("q") == 1, "the first one is due now"
    assert client.delayed_count() == 1509
    assert client.enqueue_many(send, [(1,)], at=5) and client.size("mail") == 1


def test_wrong_calls_write_nothing(client: gresque.Client, redis_client: redis.Redis) -> None:
    with pytest.raises(EnqueueError, match="has no time zone"):
        client.enqueue_at(datetime(2026, 12, 1), send, 1)
    with pytest.raises(EnqueueError, match="negative delay"):
        client.enqueue_many(send, [(1,)], spread=-1)
    with pytest.raises(EnqueueError, match="not both"):
        send.options(in_=5, at=5)
    with pytest.raises(WrongArguments):
        client.enqueue_in(5, send, no=1)
    with pytest.raises(EnqueueError, match="job 1 of the bulk"):
        client.enqueue_many(send, [(1,), (object(),)], in_=5)
    with pytest.raises(EnqueueError, match="say when"):
        client.reschedule("x")
    assert redis_client.keys("*") == []


def test_a_bulk_that_fails_says_what_is_enqueued(
    client: gresque.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, sizes = client.store.scheduler.push, [1]

    def push(queue: str, raws: Any) -> None:
        if not sizes:
            raise NotEnqueued("not enqueued: away")
        sizes.pop()
        put(queue, raws)

    monkeypatch.setattr(client.store.scheduler, "push", push)
    with pytest.raises(NotEnqueued, match="1,000 jobs of the bulk before it") as raised:
        client.enqueue_many(send, [(n,) for n in range(1001)], in_=60)
    assert len(raised.value.enqueued_ids) == 1000 == client.delayed_count()


# Hooks


def test_hooks_in_their_order(client: gresque.Client) -> None:
    assert client.enqueue_in(60, Hooked, 3)
    assert calls == [
        ("before_schedule", 3), ("before_enqueue", 3), ("before_delayed_enqueue", 3),
        ("after_schedule", 3), ("after_enqueue", 3),
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2])
def test_a_hook_rejects_it(client: gresque.Client, redis_client: redis.Redis, n: int) -> None:
    assert client.enqueue_in(60, Hooked, n) is None
    assert client.enqueue_many(Hooked, [(n,)], spread=60) == []
    assert redis_client.keys("*") == []


def test_inline_it_runs_at_once(redis_client: redis.Redis) -> None:
    client = gresque.Client("redis://nowhere.invalid", inline=True)
    assert client.enqueue_in(9999, send, 1)
    assert client.enqueue_many(send, [(2,), (3,)], spread=9999)
    assert calls == [(1, "welcome"), (2, "welcome"), (3, "welcome")]
    assert redis_client.keys("*") == []


# Changing


def test_cancel_wherever_it_waits(client: gresque.Client, redis_client: redis.Redis) -> None:
    later, waiting = client.enqueue_in(60, send, 1), client.enqueue(send, 2)
    others = [client.enqueue(send, n) for n in range(3, 6)]
    assert later and waiting and all(others)
    assert client.cancel(later)
    assert not client.cancel(later)
    assert client.cancel(waiting)
    assert not client.cancel(waiting)
    assert [item["id"] for item in client.peek("mail", 0, 9)] == others
    assert redis_client.exists("resque:later", "resque:later:jobs") == 0
    assert not client.cancel("nowhere")
    assert not client.cancel("\udcff")


def test_cancel_finds_it_in_a_long_queue(client: gresque.Client) -> None:
    ids = client.enqueue_many("Job", [(n,) for n in range(3000)], queue="q")
    for index in (0, 1, 1999, 2000, 2001, 2999):
        assert client.cancel(ids[index])
    assert client.size("q") == 2994


def test_put_off(client: gresque.Client) -> None:
    job_id = client.enqueue_in(60, send, 1)
    assert job_id
    due = time.time() + 7200
    assert client.reschedule(job_id, at=due)
    (job,) = client.delayed(0, 9)
    assert job.due.timestamp() == pytest.approx(due, abs=0.002)
    assert job.payload["gresque"]["run_at"] == pytest.approx(due, abs=0.002)
    assert job.payload["expires_at"] == pytest.approx(due + 60, abs=0.01)
    assert client.reschedule(job_id, in_=timedelta(hours=3))
    assert 10_790 < seconds_left(client.delayed()[0]) <= 10_800
    assert not client.reschedule("nowhere", in_=5)


def test_run_now(client: gresque.Client) -> None:
    job_id = client.enqueue_in(9999, send, 1)
    assert job_id
    assert client.run_now(job_id)
    assert not client.run_now(job_id)
    (item,) = client.peek("mail", 0, 9)
    assert item["id"] == job_id
    assert item["gresque"]["run_at"] == pytest.approx(time.time(), abs=5)
    assert item["expires_at"] == pytest.approx(time.time() + 60, abs=5)
    assert client.delayed_count() == 0


def test_a_change_that_came_too_late_does_nothing(client: gresque.Client, store: Store) -> None:
    job_id = client.enqueue_in(9999, send, 1)
    assert job_id
    job = store.later.find(job_id)
    assert job is not None
    assert store.later.run_now(job, b"moved")
    assert not store.later.run_now(job, b"moved")
    assert not store.later.put_off(job, b"put off", 5, is_delay=True)
    assert store.queues.peek("mail", 0, 9) == [b"moved"]
    assert store.later.count() == 0


def test_remove_by_arguments(client: gresque.Client) -> None:
    due = int(time.time()) + 600
    for _ in range(2):
        client.enqueue_in(60, send, 1, template="x")
    client.options(send, queue="low", in_=60).enqueue(1, "x")
    client.enqueue_in(60, send, 1)
    delay_by_ruby(client, b'{"class":"Schedule.send","args":[1,"x"],"queue":"q"}', due)
    delay_by_ruby(client, b'{"class":"Other","args":[1,"x"],"queue":"q"}', due)
    assert client.remove_delayed(send, 1, "x") == 4
    assert client.remove_delayed("Other") == 0
    assert client.remove_delayed("Other", 1, "x") == 1
    assert client.delayed_count() == 1


# Those of other programs


def test_all_are_listed_by_their_time(client: gresque.Client) -> None:
    now = int(time.time())
    for seconds in (100, 300, 500):
        client.enqueue_in(seconds, send, seconds)
    for seconds in (200, 400):
        delay_by_ruby(client, b'{"class":"R","args":[%d],"queue":"r"}' % seconds, now + seconds)
    delay_by_ruby(client, b"no job", now + 600)
    jobs = client.delayed(0, 9)
    assert [job.payload.get("args") for job in jobs] == [*([n] for n in range(100, 501, 100)), None]
    assert [job.queue for job in jobs] == ["mail", "r", "mail", "r", "mail", None]
    assert client.delayed(1, 2) == jobs[1:3]
    assert client.delayed_count() == 6
    assert jobs[5].payload == {"raw": "no job"}


def test_a_set_of_another_type_makes_no_job_run_twice(client: gresque.Client) -> None:
    server: Any = client.store.redis
    server.set("resque:queues", "x")
    due = int(time.time()) + 600
    delay_by_ruby(client, b'{"class":"R","args":[1],"queue":"r"}', due)
    assert client.run_now(client.delayed()[0].id)
    assert (server.llen("resque:queue:r"), client.delayed_count()) == (1, 0)


def test_they_are_changed_by_an_id_of_their_own(client: gresque.Client) -> None:
    due = int(time.time()) + 600
    item = b'{"class":"R","args":[1],"queue":"r"}'
    for _ in range(4):
        delay_by_ruby(client, item, due)
    server: Any = client.store.redis
    job_id = client.delayed()[0].id
    assert client.cancel(job_id)
    assert server.lrange(f"resque:delayed:{due}", 0, -1) == [item] * 3
    assert server.smembers(b"resque:timestamps:" + item) == {b"delayed:%d" % due}
    assert client.run_now(job_id)
    (waiting,) = client.peek("r", 0, 9)
    assert (waiting["class"], waiting["args"], len(waiting["id"])) == ("R", [1], 32)
    assert client.reschedule(job_id, in_=60)
    own = client.delayed()[0]
    assert own.id != job_id and own.payload["args"] == [1]
    assert client.reschedule(job_id, at=5000000000)
    assert not client.cancel(job_id)
    assert server.keys("resque:*stamps:*") + server.keys("resque:delayed*") == []
    assert client.delayed_count() == 2
