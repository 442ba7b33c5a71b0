"""Waiting for tracked jobs on an event loop: all tasks over one connection, no end is missed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
import gresque.aio
from gresque.aio.client import Client
from tests.support.on_loop import Ticks
from tests.support.server import OwnServer
from tests.unit.test_result_waits import SECONDS, begin, connections, end


def waited_for(client: Client) -> int:
    """The number of jobs that tasks wait for."""
    store: Any = client._twin._made.known
    return sum(len(line._waiting) for _, line in store.result_waits._lines.values())


async def until_all_wait(client: Client, db: redis.Redis, count: int = 1) -> None:
    async with asyncio.timeout(SECONDS):
        while not (client._twin.is_open and waited_for(client) >= count and connections(db)):
            await asyncio.sleep(0.002)


def test_a_job_from_its_enqueue_to_its_end(redis_url: str, redis_client: redis.Redis) -> None:
    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client:
            job_id = await client.options("Job", queue="q", track=60).aenqueue(1)
            assert job_id is not None
            assert (await client.astatus(job_id)).state == "queued"
            with pytest.raises(gresque.NotEnded, match=r"has not ended within 0\.05 s"):
                await client.aresult(job_id, timeout=0.05)
            waiting = asyncio.create_task(client.aresult(job_id, timeout=SECONDS))
            await until_all_wait(client, redis_client)
            end(redis_client, job_id, {"x": [1]})
            assert await waiting == {"x": [1]}
            assert (await client.astatus(job_id)).state == "done"
            with pytest.raises(gresque.NotKnown):
                await client.aresult("nope")

    asyncio.run(main())


def test_a_thousand_tasks_wait_over_one_connection(
    redis_url: str, redis_client: redis.Redis
) -> None:
    ids = [f"id{number}" for number in range(1000)]
    begin(redis_client, *ids)

    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client:
            waits = [asyncio.create_task(client.aresult(job_id, SECONDS)) for job_id in ids]
            all_of_them = asyncio.create_task(client.await_(ids, SECONDS))
            first = asyncio.create_task(client.await_(ids, SECONDS, count=1))
            await until_all_wait(client, redis_client, len(ids))
            assert len(connections(redis_client)) == 1
            for number, job_id in enumerate(ids):
                end(redis_client, job_id, number)
                if not number % 100:
                    await asyncio.sleep(0)
            assert await asyncio.gather(*waits) == list(range(1000))
            assert [*await all_of_them] == ids
            assert 1 <= len(await first) <= 1000
            assert len(connections(redis_client)) == 1
            assert waited_for(client) == 0

    asyncio.run(main())


def test_tasks_that_are_cancelled_leave_the_others_waiting(
    redis_url: str, redis_client: redis.Redis
) -> None:
    """The one that reads for all, too."""
    ids, chance = [f"id{number}" for number in range(100)], random.Random(7)
    begin(redis_client, *ids)

    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client:
            waits = [asyncio.create_task(client.aresult(job_id, SECONDS)) for job_id in ids]
            await until_all_wait(client, redis_client)
            left = dict(enumerate(waits))
            for number in [0, *chance.sample(range(1, 100), 60)]:
                left.pop(number).cancel()
                if chance.random() < 0.5:
                    await asyncio.sleep(chance.choice((0, 0, 0.001)))
            for number, job_id in enumerate(ids):
                end(redis_client, job_id, number)
            assert await asyncio.gather(*left.values()) == [*left]
            assert waited_for(client) == 0

    asyncio.run(main())


def test_a_connection_that_is_cut(redis_url: str, redis_client: redis.Redis) -> None:
    begin(redis_client, "a", "b")

    async def main() -> None:
        async with gresque.aio.Client(redis_url) as client:
            waits = [asyncio.create_task(client.aresult(each, SECONDS)) for each in ("a", "b")]
            for _ in range(5):
                await until_all_wait(client, redis_client)
                for each in connections(redis_client):
                    redis_client.client_kill(each["addr"])
            end(redis_client, "a", 7)
            end(redis_client, "b", 8)
            assert await asyncio.gather(*waits) == [7, 8]

    asyncio.run(main())


def test_an_outage_blocks_no_other_task(tmp_path: Path) -> None:
    own = OwnServer(tmp_path, "--appendonly", "yes").start()
    begin(own.redis, "a", "b")

    async def main() -> None:
        async with gresque.aio.Client(own.url, retry_seconds=SECONDS) as client:
            waiting = asyncio.create_task(client.aresult("a", SECONDS))
            await until_all_wait(client, own.redis)
            own.kill()
            async with Ticks() as ticks:
                await asyncio.sleep(0.3)
            assert ticks.count > 20
            await asyncio.to_thread(own.start)
            end(own.redis, "a", 7)
            assert await waiting == 7
        async with gresque.aio.Client(own.url, retry_seconds=0.2) as client:
            waiting = asyncio.create_task(client.aresult("b", SECONDS))
            await until_all_wait(client, own.redis)
            own.kill()
            with pytest.raises(gresque.RedisUnavailable):
                await waiting

    asyncio.run(main())
    own.kill()
