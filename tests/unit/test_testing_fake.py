"""Jobs are enqueued into a fake as in production."""

from __future__ import annotations

import asyncio
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import gresque
import gresque.aio
from gresque.client import stand_in
from gresque.testing import FakeJobs, NotImitated, fake
from tests.support.faked_jobs import Hooked, seen, send
from tests.support.faked_jobs import jobs_fixture as jobs_fixture
from tests.support.programs import PLAIN, stem


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


def test_fakes_of_two_threads_end_in_any_order() -> None:
    first, second = fake(), fake()
    first.__enter__()
    jobs = second.__enter__()
    first.__exit__(None, None, None)
    send.enqueue(1)
    second.__exit__(None, None, None)
    assert len(jobs) == 1
    assert stand_in.current is None


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
