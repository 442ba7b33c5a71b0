"""The client of asyncio programs: its methods, its loops, its processes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import gresque
import gresque.aio
import gresque.testing
from gresque.aio.client import Client
from tests.support.client_jobs import Hooked, Redis, calls, items, noop
from tests.support.on_loop import OnLoop, Ticks
from tests.support.programs import PATCHED, stem
from tests.support.pushes import ids

pytestmark = pytest.mark.usefixtures("_no_calls")


@pytest.fixture
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def default(redis_url: str) -> Iterator[gresque.Client]:
    """The default client, for `noop.aenqueue`."""
    yield gresque.configure(redis_url)
    gresque.configure()


# Its methods


def test_every_way_to_enqueue(redis_url: str, redis_client: Redis) -> None:
    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client:
            first = await client.aenqueue(noop, 1, two=2)
            assert isinstance(first, gresque.JobId)
            second = await client.aenqueue_to("low", noop, 2)
            delayed = await client.aenqueue_in(60, noop, 3)
            at = await client.aenqueue_at(2**31, noop, 4)
            third = await client.options(noop, queue="low").aenqueue(5)
            bulk = await client.aenqueue_many(noop, [(6,), {"seven": 7}])
            more = await client.options(noop, in_=60).aenqueue_many([(8,)])
        assert [item["id"] for item in items(redis_client)] == [first, *bulk]
        assert [item["id"] for item in items(redis_client, "low")] == [second, third]
        blocking = gresque.Client(redis_url)
        assert {job.id for job in blocking.delayed(0, 10)} == {delayed, at, *more}

    asyncio.run(main())
    assert items(redis_client)[0]["args"] == [1, {"two": 2, "_kwargs": True}]


def test_declared_jobs(default: gresque.Client, redis_client: Redis) -> None:
    async def main() -> list[Any]:
        return [
            await noop.aenqueue(1),
            await noop.aenqueue_to("bench", 2),
            await noop.options(queue="bench").aenqueue(3),
            *await noop.options(queue="bench").aenqueue_many([(4,), (5,)]),
            await Hooked.aenqueue_to("bench", 6),
            await default.options(noop).aenqueue(7),
        ], [
            await noop.aenqueue_in(60, 8),
            await noop.aenqueue_at(2**31, 9),
            await Hooked.aenqueue_in(60, 10),
            await Hooked.aenqueue_at(2**31, 11),
        ]

    now, later = asyncio.run(main())
    assert [item["id"] for item in items(redis_client)] == now
    assert {job.id for job in default.delayed(0, 10)} == set(later)


def test_unique_jobs(default: gresque.Client, redis_client: Redis) -> None:
    async def main() -> None:
        first = await noop.aenqueue_unique(1)
        again = await noop.aenqueue_unique(1)
        assert again == first and again.duplicate
        assert (await noop.aenqueue_debounce(2)) != first
        await Hooked.aenqueue_unique(1)
        assert (await Hooked.aenqueue_unique(1)).duplicate
        await Hooked.aenqueue_debounce(2)
        with pytest.raises(gresque.DuplicateJob):
            await noop.options(unique="both", on_duplicate="raise").aenqueue(1)

    asyncio.run(main())
    assert (len(items(redis_client)), len(items(redis_client, "hooked"))) == (2, 2)


def test_hooks_are_called_as_in_the_blocking_client(
    default: gresque.Client, redis_client: Redis
) -> None:
    async def main() -> None:
        assert await Hooked.aenqueue(False) is None
        assert calls == ["before 1"]
        calls.clear()
        assert await Hooked.aenqueue(1) is not None
        assert calls == ["before 1", "before 2", "after"]

    asyncio.run(main())
    assert len(items(redis_client, "hooked")) == 1


seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen")


class Asking(gresque.Job):
    queue = "asking"

    def perform() -> None: ...

    def before_enqueue_ask() -> None:
        calls.append((seen.get(), asyncio.current_task()))
        seen.set("by the hook")


def test_hooks_have_the_context_of_the_task(default: gresque.Client) -> None:
    async def main(value: str) -> None:
        seen.set(value)
        await Asking.aenqueue()
        assert (value, asyncio.current_task()) in calls
        assert seen.get() == "by the hook"

    async def both() -> None:
        await asyncio.gather(main("a"), main("b"))

    asyncio.run(both())


def test_taking_back(redis_url: str, redis_client: Redis) -> None:
    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client:
            ids = await client.aenqueue_many(noop, [(n,) for n in range(2500)])
            assert await client.adequeue(noop, 7) == 1
            assert await client.acancel(ids[8])
            assert not await client.acancel(ids[8])
            assert await client.asize("bench") == 2498
            assert await client.adequeue(noop) == 2498
            later = await client.aenqueue_in(60, noop, 1)
            assert later is not None
            assert await client.areschedule(later, in_=120)
            assert await client.arun_now(later)
            assert await client.asize("bench") == 1

    asyncio.run(main())


def test_inline_jobs_run_at_once() -> None:
    async def main() -> None:
        client = gresque.aio.Client("redis://nowhere.invalid", inline=True)
        assert await client.aenqueue(noop, 1) is not None
        assert calls == [((1,), {})]

    asyncio.run(main())


# Bulks


async def generate(count: int) -> AsyncIterator[tuple[int]]:
    for number in range(count):
        await asyncio.sleep(0)
        yield (number,)


def test_the_calls_of_a_bulk_may_come_from_an_asynchronous_generator(
    redis_url: str, redis_client: Redis
) -> None:
    async def main() -> list[gresque.JobId]:
        async with gresque.aio.Client(redis_url) as client:
            return await client.aenqueue_many(noop, generate(2500))

    returned = asyncio.run(main())
    assert [item["id"] for item in items(redis_client)] == returned
    assert [item["args"] for item in items(redis_client)] == [[n] for n in range(2500)]


def test_a_bulk_of_known_length_is_spread_in_order(redis_url: str) -> None:
    async def main() -> list[gresque.JobId]:
        async with gresque.aio.Client(redis_url) as client:
            return await client.aenqueue_many(noop, [(n,) for n in range(4)], in_=60, spread=100)

    returned = asyncio.run(main())
    assert [job.id for job in gresque.Client(redis_url).delayed(0, 10)] == returned


def test_a_bulk_is_made_in_slices(redis_url: str) -> None:
    """Other tasks have turns before the first thousand is sent."""
    turns = 0

    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client, Ticks() as ticks:

            def slow() -> Iterator[tuple[int]]:
                nonlocal turns
                for number in range(300):
                    time.sleep(0.001)
                    yield (number,)
                turns = ticks.count

            await client.aenqueue_many(noop, slow())

    asyncio.run(main())
    assert turns > 20


def test_a_bulk_that_fails_says_what_is_enqueued(own: Any) -> None:
    async def main() -> None:
        client = gresque.aio.Client(own.url, retry_seconds=0)

        async def calls() -> AsyncIterator[tuple[int]]:
            async for call in generate(1500):
                if call == (1200,):
                    own.kill()
                yield call

        with pytest.raises(gresque.NotEnqueued, match="1,000 jobs of the bulk") as raised:
            await client.aenqueue_many(noop, calls())
        assert len(raised.value.enqueued_ids) == 1000

    asyncio.run(main())


# Loops, threads and processes


def test_a_client_belongs_to_its_loop(redis_url: str) -> None:
    on_loop = OnLoop(redis_url)
    on_loop.enqueue_to("q", "Job", 1)
    with (
        asyncio.Runner() as another,
        pytest.raises(gresque.GresqueError, match=r"^gresque\.aio\.Client\(.*another event loop"),
    ):
        another.run(on_loop.client.aenqueue_to("q", "Job", 2))
    on_loop.enqueue_to("q", "Job", 3)
    on_loop.close()


def test_a_client_outlives_its_loop(redis_url: str, redis_client: Redis) -> None:
    client = gresque.aio.Client(redis_url)
    for number in range(3):
        asyncio.run(client.aenqueue_to("q", "Job", number))
    assert redis_client.llen("resque:queue:q") == 3


def test_each_loop_has_a_default_client(default: gresque.Client, redis_client: Redis) -> None:
    found: list[Client] = []

    async def main() -> None:
        found.append(gresque.aio.default_client())
        assert gresque.aio.default_client() is found[-1]
        await asyncio.gather(*(noop.aenqueue(n) for n in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(50):
        default.enqueue(noop, number)
    for thread in threads:
        thread.join()
    assert len({id(each) for each in found}) == 4
    assert len(items(redis_client)) == 250


def test_the_default_client_follows_configure(default: gresque.Client, redis_url: str) -> None:
    async def main() -> None:
        before = gresque.aio.default_client()
        gresque.configure(redis_url, "other")
        assert gresque.aio.default_client() is not before
        await noop.aenqueue(1)

    asyncio.run(main())
    assert gresque.Client(redis_url, "other").size("bench") == 1


def test_a_loop_takes_its_clients_along(default: gresque.Client, redis_client: Redis) -> None:
    before = {found["id"] for found in redis_client.client_list()}
    gone: list[weakref.ref[Client]] = []

    async def main() -> None:
        await noop.aenqueue(1)
        gone.append(weakref.ref(gresque.aio.default_client()))

    asyncio.run(main())
    gc.collect()
    assert gone[0]() is None
    deadline = time.monotonic() + 20
    while {found["id"] for found in redis_client.client_list()} - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_forked_child_has_connections_of_its_own(redis_url: str, redis_client: Redis) -> None:
    on_loop = OnLoop(redis_url)
    first = on_loop.enqueue_to("q", "Job", 1)
    child = os.fork()
    if not child:
        status = 1
        try:
            with asyncio.Runner() as own:
                own.run(on_loop.client.aenqueue_to("q", "Job", 2))
                own.run(on_loop.client.aclose())
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    last = on_loop.enqueue_to("q", "Job", 3)
    found = ids(redis_client)
    assert (len(found), found[0], found[2]) == (3, first, last)
    assert len(redis_client.keys("resque:producer:*")) == 2
    on_loop.close()


def run_alone(program: str, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_no_program_loads_gevent_for_it(redis_url: str) -> None:
    said = run_alone(
        """
        import asyncio, sys
        import gresque
        print("gresque.aio" in sys.modules, "asyncio.events" in sys.modules)
        import gresque.aio
        print(sorted({"redis", "gevent"} & set(sys.modules)))
        gresque.configure(sys.argv[1])
        job = gresque.job(queue="q", name="Job")(lambda n: None)

        async def main():
            await asyncio.gather(*(job.aenqueue(n) for n in range(100)))
            await gresque.aio.default_client().adequeue(job)

        asyncio.run(main())
        print(sorted({"redis", "gevent"} & set(sys.modules)))
        """,
        redis_url,
    )
    assert said.split("\n") == ["False True", "[]", "['redis']", ""]


def test_a_loop_that_ends_first_leaves_no_noise(redis_url: str, redis_client: Redis) -> None:
    """Tasks that still push are cancelled by `asyncio.run`, or dropped with a loop that is only
    closed."""
    run_alone(
        """
        import asyncio, logging, sys
        import gresque.aio
        client = gresque.aio.Client(sys.argv[1])

        async def main():
            await client.aenqueue_to("q", "Job", 0)
            main.tasks = [asyncio.create_task(client.aenqueue_to("q", "Job", 1)) for _ in range(50)]
            await asyncio.sleep(0)

        asyncio.run(main())
        asyncio.run(client.aenqueue_to("q", "Job", 2))
        """,
        redis_url,
    )
    found = [item["args"][0] for item in items(redis_client, "q")]
    assert (found[0], found[-1]) == (0, 2)


PATCHED_LOOP = """
    import asyncio, sys
    import gevent
    import gresque, gresque.aio
    gresque.configure(sys.argv[1])
    job = gresque.job(queue="q", name="Job")(lambda n: None)
    turns = 0

    def tick():
        global turns
        while True:
            gevent.sleep(0.001)
            turns += 1

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(job.aenqueue(number))
        print(await gresque.aio.default_client().asize("q"))

    gevent.spawn(tick)
    asyncio.run(main())
    asyncio.run(main())
    print(turns > 1)
"""


def test_a_loop_under_the_patches_of_gevent(redis_url: str) -> None:
    """A job may use the coroutines of its module; other greenlets run meanwhile."""
    ran = stem(PATCHED).run(textwrap.dedent(PATCHED_LOOP), redis_url)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split() == ["100", "200", "True"]


# Within tests of programs


def test_the_testing_kit_catches_what_a_loop_enqueues(default: gresque.Client) -> None:
    async def main() -> None:
        with gresque.testing.fake() as jobs:
            job_id = await noop.aenqueue(1)
            await noop.aenqueue_in(60, 2)
            await noop.options(queue="low").aenqueue_many([(3,), (4,)])
            jobs.assert_enqueued(noop, 1)
            assert await gresque.aio.default_client().adequeue(noop, 1) == 1
            assert not await gresque.aio.default_client().acancel(str(job_id))
            assert len(jobs) == 3
            jobs.drain()
        with gresque.testing.inline():
            await noop.aenqueue(5)

    asyncio.run(main())
    assert sorted(args for args, _ in calls) == [(3,), (4,), (5,)]
    assert default.queues() == []
