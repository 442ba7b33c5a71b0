"""Jobs in a fake are enqueued as in production, seen by assertions, and run by `drain`."""

from __future__ import annotations

import asyncio
import threading
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest

import gresque
import gresque.aio
import gresque.testing.clock as test_clocks
from gresque.client import stand_in
from gresque.schedule.declared import declared
from gresque.testing import FakeJobs, NotImitated, approx, fake, frozen, perform
from tests.support.programs import PLAIN, stem

tenant: ContextVar[str] = ContextVar("tenant", default="none")
seen: list[Any] = []
fails: list[Exception] = []


@gresque.job("mail", name="fake.send")
def send(user: int, template: str = "welcome") -> None:
    if fails:
        raise fails.pop(0)
    seen.append((user, template))


@gresque.job("web", name="fake.chained", retries=2)
def chained(user: int) -> None:
    job = gresque.current_job()
    assert job is not None
    seen.append((job.queue, job.attempt, tenant.get()))
    if fails:
        raise fails.pop(0)
    send.enqueue(user)


class Hooked(gresque.Job):
    queue = "web"
    name = "fake.hooked"
    retries = 1

    def perform(refuse: bool = False) -> None:  # type: ignore[misc]
        seen.append("perform")
        if fails:
            raise fails.pop(0)

    def before_enqueue(refuse: bool = False) -> bool:  # type: ignore[misc]
        return not refuse

    def after_enqueue(*_: Any) -> None:  # type: ignore[misc]
        seen.append("after_enqueue")

    def before_perform(*_: Any) -> None:  # type: ignore[misc]
        seen.append("before_perform")

    def on_retry(error: Exception, *_: Any) -> None:  # type: ignore[misc]
        seen.append(f"on_retry {error}")

    def on_failure(error: Exception, *_: Any) -> None:  # type: ignore[misc]
        seen.append(f"on_failure {error}")

    def on_give_up(error: Exception, *_: Any) -> None:  # type: ignore[misc]
        seen.append(f"on_give_up {error}")


@pytest.fixture
def jobs() -> Any:
    seen.clear()
    fails.clear()
    with fake() as jobs:
        yield jobs


def message(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        call(*args, **kwargs)
    return str(raised.value)


# Enqueueing


def test_arguments_pass_through_json(jobs: FakeJobs) -> None:
    with pytest.raises(gresque.UnserializableArgument, match=r"uuid\.UUID"):
        send.enqueue(uuid.uuid4())  # type: ignore[arg-type]
    with pytest.raises(gresque.WrongArguments):
        send.enqueue()  # type: ignore[call-arg]
    gresque.enqueue(send, (1, 2))  # type: ignore[arg-type]
    assert jobs.only().args == ([1, 2],)


def test_every_way_to_enqueue_ends_there(jobs: FakeJobs) -> None:
    before = gresque.Client("redis://nowhere.invalid", "other", inline=True)
    send.enqueue(1)
    send.enqueue_to("low", 2)
    gresque.enqueue(send, 3)
    gresque.enqueue_to("low", "Ruby::Job", 4)
    before.enqueue(send, 5)
    ids = gresque.enqueue_many(send, [(6,), {"user": 7}])
    send.enqueue_in(60, 8)
    gresque.enqueue_at(4_000_000_000, send, 9)
    send.options(in_=120, queue="slow").enqueue(10)
    gresque.enqueue_many(send, [(11,)], spread=600, in_=600)
    send.enqueue_unique(12)
    found = [job.args or job.kwargs for job in jobs]
    assert found == [
        (1,),
        (2,),
        (3,),
        (4,),
        (5,),
        (6,),
        {"user": 7},
        (12,),
        (8,),
        (10,),
        (11,),
        (9,),
    ]
    assert [job.id for job in jobs][5:7] == ids
    assert len(jobs.all(send)) == 11
    assert [job.name for job in jobs.all(queue="low")] == ["fake.send", "Ruby::Job"]
    assert before.size("mail") == 1


def test_hooks_of_enqueueing_are_called(jobs: FakeJobs) -> None:
    assert Hooked.enqueue(refuse=True) is None
    assert Hooked.enqueue() is not None
    assert (len(jobs), seen) == (1, ["after_enqueue"])


def test_what_waits_can_be_looked_at_and_taken_back(jobs: FakeJobs) -> None:
    first, second = send.enqueue(1), send.enqueue(2)
    later = send.enqueue_in(60, 3)
    assert first and second and later
    assert (gresque.queues(), gresque.size("mail"), gresque.delayed_count()) == (["mail"], 2, 1)
    assert gresque.peek("mail", 1)[0]["id"] == second
    assert gresque.dequeue(send, 1) == 1
    assert gresque.reschedule(later, in_=120)
    assert gresque.delayed()[0].due > datetime.now(UTC) + timedelta(seconds=100)
    assert gresque.run_now(later)
    assert gresque.cancel(second)
    assert not gresque.cancel(second)
    assert jobs.only().args == (3,)
    assert gresque.remove_queue("mail") == 1
    jobs.assert_not_enqueued()


@pytest.mark.parametrize("call", [lambda: gresque.pause("mail"), gresque.limits, gresque.info])
def test_what_is_left_out_says_so(jobs: FakeJobs, call: Any) -> None:
    with pytest.raises(NotImitated, match="test it with a real server"):
        call()


def test_clients_of_other_namespaces_do_not_see_each_other(jobs: FakeJobs) -> None:
    gresque.Client(namespace="one").enqueue(send, 1)
    assert gresque.Client(namespace="two").size("mail") == 0
    assert jobs.drain() == 1


def test_threads_enqueue_into_the_same(jobs: FakeJobs) -> None:
    threads = [threading.Thread(target=send.enqueue, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(jobs.all(send)) == 8


def test_after_it_clients_reach_their_server_again(client: gresque.Client) -> None:
    with fake() as jobs:
        client.enqueue(send, 1)
        with fake() as inner:
            client.enqueue(send, 2)
            assert inner.only().args == (2,)
        assert jobs.only().args == (1,)
    assert client.size("mail") == 0
    client.enqueue(send, 3)
    assert client.size("mail") == 1


# Assertions


def test_an_assertion_returns_the_job(jobs: FakeJobs) -> None:
    job_id = send.enqueue(42, template="bye")
    found = jobs.assert_enqueued(send, 42, "bye", queue="mail", times=1)
    assert (found.id, found.kwargs, found.at) == (job_id, {"template": "bye"}, None)
    jobs.assert_enqueued(send)
    jobs.assert_enqueued("fake.send", user=42, template=mock.ANY)
    jobs.assert_not_enqueued(send, 42)
    jobs.assert_not_enqueued(send, queue="low")


def test_the_message_shows_what_is_enqueued(jobs: FakeJobs) -> None:
    assert message(jobs.assert_enqueued, send) == "fake.send is not enqueued\nNo job is enqueued."
    with frozen(datetime(2027, 1, 1, tzinfo=UTC)):
        send.enqueue(1)
        send.enqueue_in(60, 2)
        chained.enqueue(3)
        assert message(jobs.assert_enqueued, send, 4, "x", queue="low") == (
            "fake.send(4, 'x') in queue 'low' is not enqueued\n"
            "Enqueued are:\n"
            "  fake.send(1) in queue 'mail'\n"
            "  fake.send(2) in queue 'mail', due at 2027-01-01 00:01:00.000+00:00\n"
            "Other jobs:\n"
            "  fake.chained(3) in queue 'web'"
        )
    assert "enqueued 2 times, and not 1" in message(jobs.assert_enqueued, send, times=1)
    assert message(jobs.assert_not_enqueued, send, 1).startswith("fake.send(1) is enqueued\n")
    assert message(jobs.assert_not_enqueued).startswith("3 jobs are enqueued\n")
    assert message(jobs.only, send).startswith("2 jobs are enqueued of fake.send, and not one\n")
    gresque.enqueue_many(send, [(n,) for n in range(30)])
    assert message(jobs.only).endswith("\n  and 13 more")


def test_times_are_compared(jobs: FakeJobs) -> None:
    noon = datetime(2027, 1, 1, 12, tzinfo=UTC)
    send.enqueue_at(noon, 1)
    for at in (noon, noon.timestamp(), pytest.approx(noon.timestamp() + 1, abs=2), approx(noon)):
        jobs.assert_enqueued(send, 1, at=at)
    jobs.assert_not_enqueued(send, 1, at=approx(noon + timedelta(seconds=3)))
    jobs.assert_enqueued(send, 1, at=approx(noon + timedelta(seconds=3), seconds=5))
    send.enqueue_in(3600, 2)
    jobs.assert_enqueued(send, 2, at=approx(timedelta(hours=1)))
    assert "± 1 s" in message(jobs.assert_enqueued, send, 2, at=approx(timedelta(hours=2)))
    send.enqueue(3)
    jobs.assert_not_enqueued(send, 3, at=approx(timedelta(0)))


def test_what_no_job_can_have_is_refused(jobs: FakeJobs) -> None:
    """Else an assertion that it is not enqueued would hold without a word."""
    with pytest.raises(gresque.WrongArguments):
        jobs.assert_not_enqueued(send, 1, 2, 3)
    with pytest.raises(gresque.UnserializableArgument, match=r"so no job has it; pass str\(x\)"):
        jobs.assert_not_enqueued(send, uuid.uuid4())
    for at, why in (
        (timedelta(seconds=5), r"give approx\(\.\.\.\) of a timedelta"),
        (datetime(2027, 1, 1), "has no time zone"),
        ("tomorrow", "is no point in time"),
    ):
        with pytest.raises(gresque.EnqueueError, match=why):
            jobs.assert_not_enqueued(send, at=at)
    for times in (0, -1, 1.5, "x"):
        with pytest.raises(ValueError, match="give 1 or more"):
            jobs.assert_enqueued(send, times=times)  # type: ignore[arg-type]


# Running


def test_drain_runs_also_what_jobs_enqueue(jobs: FakeJobs) -> None:
    tenant.set("of the test")
    chained.enqueue(1)
    send.enqueue(2)
    send.enqueue_in(60, 3)
    assert jobs.drain() == 3
    assert seen == [("web", 1, "none"), (2, "welcome"), (1, "welcome")]
    assert [job.args for job in jobs.performed] == [(1,), (2,), (1,)]
    assert jobs.only().at


def test_drain_runs_single_queues(jobs: FakeJobs) -> None:
    chained.enqueue(1)
    send.enqueue(2)
    assert jobs.drain(queue="web") == 1
    assert jobs.drain(queue=["mail"]) == 2


def test_a_failure_is_raised_and_the_others_wait(jobs: FakeJobs) -> None:
    send.enqueue(1)
    send.enqueue(2)
    fails.append(OSError("no"))
    with pytest.raises(OSError, match="no"):
        jobs.drain()
    assert [(job.args, str(error)) for job, error in jobs.failed] == [((1,), "no")]
    assert jobs.drain() == 1
    send.enqueue(3)
    send.enqueue(4)
    fails.append(OSError("no"))
    assert jobs.drain(raises=False) == 2
    assert len(jobs.failed) == 2


def test_attempts_follow_at_once(jobs: FakeJobs) -> None:
    fails.extend([OSError("one"), OSError("two")])
    chained.enqueue(1)
    assert jobs.drain() == 4
    assert [call[1] for call in seen[:3]] == [1, 2, 3]
    fails.extend(OSError(str(n)) for n in range(3))
    chained.enqueue(1)
    with pytest.raises(OSError, match="2"):
        jobs.drain()
    assert not len(jobs)


def test_hooks_are_called_as_by_a_worker(jobs: FakeJobs) -> None:
    fails.extend([OSError("one"), OSError("two")])
    Hooked.enqueue()
    jobs.drain(raises=False)
    once = ["before_perform", "perform"]
    assert seen == [
        "after_enqueue", *once, "on_retry one", *once, "on_failure two", "on_give_up two",
    ]  # fmt: skip


def test_a_job_that_asks_to_run_later_waits(jobs: FakeJobs) -> None:
    fails.append(gresque.RetryLater(30))
    chained.enqueue(1)
    assert jobs.drain() == 1
    assert jobs.only().attempt == 1
    jobs.assert_enqueued(chained, at=approx(timedelta(seconds=30)))
    jobs.advance(30)
    assert jobs.drain() == 2


def test_jobs_that_are_too_late_do_not_run(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="fake.short", expires_seconds=10)
    def short() -> None:
        seen.append("ran")

    @gresque.job("q", name="fake.dropped", expires_seconds=10, on_expire="drop")
    def dropped() -> None:
        seen.append("ran")

    short.enqueue()
    dropped.enqueue()
    jobs.advance(11)
    with pytest.raises(gresque.JobExpired):
        jobs.drain()
    assert jobs.drain() == 1
    assert not seen


def test_a_job_of_another_program_cannot_run(jobs: FakeJobs) -> None:
    gresque.enqueue_to("low", "Ruby::Job", 1)
    with pytest.raises(gresque.UnknownJob, match="Ruby::Job"):
        jobs.drain()


def test_a_job_without_end_is_stopped(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="fake.again")
    def again() -> None:
        again.enqueue()

    again.enqueue()
    assert "does a job enqueue itself?" in message(jobs.drain, limit=5)


def test_clear_forgets_all(jobs: FakeJobs) -> None:
    send.enqueue(1)
    jobs.clear()
    assert jobs.drain() == 0


# The clock


def test_everything_follows_a_frozen_clock(jobs: FakeJobs) -> None:
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    with frozen(new_year) as clock:
        job_id = send.enqueue(1)
        assert gresque.enqueued_at(job_id) == new_year.timestamp()
        send.enqueue_in(60, 2)
        jobs.advance(59.999)
        assert jobs.drain() == 1
        jobs.advance(0.001)
        assert jobs.drain() == 1
        assert clock.at == new_year + timedelta(minutes=1)
        fails.append(OSError("no"))
        chained.enqueue(3)
        assert jobs.drain() == 1
        assert new_year < (jobs.only().at or new_year) < new_year + timedelta(minutes=2)
        jobs.advance(timedelta(minutes=1))
        assert jobs.drain() == 2
        fails.append(OSError("no"))
        chained.enqueue(3)
        assert jobs.drain(retries=True) == 3
    assert (
        abs((gresque.enqueued_at(gresque.enqueue(send, 1)) or 0) - datetime.now().timestamp()) < 9
    )


def test_a_clock_that_was_moved_goes_back() -> None:
    with fake() as jobs:
        jobs.advance(86_400)
        send.enqueue_in(60, 1)
        jobs.assert_enqueued(send, at=approx(timedelta(seconds=60)))
        due = jobs.only().at
    assert due and due > datetime.now(UTC) + timedelta(hours=23)
    with fake() as jobs:
        send.enqueue_in(60, 1)
        assert (jobs.only().at or due) < due - timedelta(hours=23)


def test_now_is_later_where_the_clock_was_moved() -> None:
    with fake() as jobs:
        jobs.advance(86_400)
        with frozen() as clock:
            assert clock.at > datetime.now(UTC) + timedelta(hours=23)


def test_a_fake_that_is_over_moves_nothing() -> None:
    """Its clock would stay moved, and jobs would enqueue on a real server."""
    with fake() as jobs:
        send.enqueue(1)
    for call in (jobs.drain, lambda: jobs.advance(60)):
        with pytest.raises(gresque.GresqueError, match="this fake is over: call"):
            call()
    assert len(jobs) == 1
    assert test_clocks.current is None
    jobs.assert_enqueued(send, 1)


def test_fakes_of_two_threads_end_in_any_order() -> None:
    first, second = fake(), fake()
    first.__enter__()
    jobs = second.__enter__()
    first.__exit__(None, None, None)
    send.enqueue(1)
    second.__exit__(None, None, None)
    assert len(jobs) == 1
    assert stand_in.current is None


def test_schedules_follow_when_a_test_wants_it(own_registry: None) -> None:
    ran: list[Any] = []

    @gresque.cron("0 3 * * *", tz="Europe/Berlin")
    @gresque.every(6 * 3600, name="fake.often")
    @gresque.job("reports", name="fake.nightly")
    def nightly() -> None:
        job = gresque.current_job()
        assert job and job.scheduled_for
        ran.append(job.scheduled_for.astimezone(UTC).hour)

    for cron in (True, False):
        with fake(cron=cron) as jobs, frozen(datetime(2027, 1, 1, tzinfo=UTC)):
            send.enqueue_in(3600, 1)
            jobs.advance(timedelta(hours=12))
            assert len(jobs.all(nightly)) == (3 if cron else 0)
            jobs.drain(queue="reports")
    declared.clear()
    assert ran == [2, 6, 12]


# A program that is no test

PROGRAM = """
import sys, warnings
sys.modules.pop("pytest", None)
import gresque.testing
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    with gresque.testing.fake():
        pass
for each in found:
    print(each.category.__name__, each.filename)
"""


def test_a_program_that_is_no_test_is_warned() -> None:
    ran = stem(PLAIN).run(PROGRAM)
    assert ran.stdout == "TestingWarning <string>\n", ran.stderr


# asyncio


def test_coroutines_enqueue_there_too(jobs: FakeJobs) -> None:
    async def enqueue() -> None:
        await send.aenqueue(1)
        async with gresque.aio.Client("redis://nowhere.invalid") as client:
            await client.aenqueue(send, 2)
            await client.aenqueue_in(60, send, 3)
            assert await client.asize("mail") == 1

    asyncio.run(enqueue())
    assert [job.args for job in jobs] == [(1,), (2,), (3,)]


# Typed arguments


def test_typed_arguments_are_compared_as_they_are_sent(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="fake.typed")
    def typed(key: uuid.UUID, at: datetime | None = None) -> tuple[Any, Any]:
        seen.append((key, at))
        return key, at

    key, noon = uuid.uuid4(), datetime(2027, 1, 1, 12, tzinfo=UTC)
    typed.enqueue(key, at=noon)
    jobs.assert_enqueued(typed, key, noon)
    jobs.assert_enqueued(typed, mock.ANY, mock.ANY)
    jobs.assert_not_enqueued(typed, uuid.uuid4(), noon)
    assert jobs.only().args == (str(key),)
    with pytest.raises(gresque.WrongArguments):
        jobs.assert_not_enqueued(typed, "no key")
    jobs.drain()
    assert seen == [(key, noon)]
    assert perform(typed, key, noon) == (key, noon)
