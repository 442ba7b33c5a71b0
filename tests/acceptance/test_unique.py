"""Unique jobs under kills: nothing is lost that was enqueued, nothing waits twice, and no lock is
left."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

import gresque
from tests.acceptance.flow import (
    DEATHS_ARE_NO_FAULT,
    LONG_LIVED,
    connection,
    end_well,
    kills,
)
from tests.process import flow_jobs
from tests.process.support import Bench, wait_for

CLIENTS = 200
TIMES = 10_000

MARKED = """
local waiting, held, locks = {}, {}, {}
local function note(raw, found)
    local ok, payload = pcall(cjson.decode, raw)
    local own = ok and payload.gresque
    local mark = type(own) == 'table' and own.unique
    if mark then found[#found + 1] = {mark[1], payload.id} end
end
for _, key in ipairs(redis.call('KEYS', 'resque:ledger:*')) do
    local fields = redis.call('HGETALL', key)
    for n = 1, #fields, 2 do
        if fields[n] ~= 'state' then
            local digits = fields[n + 1]:match('^(%d+)')
            note(fields[n + 1]:sub(#digits + 2 + digits), held)
        end
    end
end
for _, list in ipairs({'queue:sync', 'suspects:1:sync', 'suspects:2:sync'}) do
    for _, raw in ipairs(redis.call('LRANGE', 'resque:' .. list, 0, -1)) do note(raw, waiting) end
end
for _, entry in ipairs(redis.call('HVALS', 'resque:later:jobs')) do
    local digits = entry:match('^(%d+)')
    note(entry:sub(#digits + 2 + digits), waiting)
end
for _, key in ipairs(redis.call('KEYS', 'resque:unique:*')) do
    local digest = key:sub(15)
    if not digest:find(':') then locks[#locks + 1] = {digest, redis.call('HGET', key, 'id')} end
end
return cjson.encode({waiting, held, locks})
"""


class Marked:
    """Jobs that carry the mark of a lock: each lock has its job at any moment. Where the lock is
    kept until the job ends there is no other one; else others have started, or had started when
    their process died."""

    def __init__(self, bench: Bench, *, until_the_end: bool) -> None:
        self._look = connection(bench).register_script(MARKED)
        self._until_the_end = until_the_end
        self.looks = 0
        self.wrong: list[tuple[list[Any], list[Any]]] = []
        self.second: set[str] = set()
        """Ids of jobs that waited beside the one that held the lock."""

    def __call__(self) -> None:
        waiting, held, locks = map(list, json.loads(self._look()))
        marked = sorted(waiting + held)
        if self._until_the_end:
            right = marked == sorted(locks)
        else:
            right = all(lock in marked for lock in locks)
        if not right:
            self.wrong.append((marked, locks))
        self.second |= {job_id for digest, job_id in waiting if [digest, job_id] not in locks}
        self.looks += 1

    @contextmanager
    def watch(self) -> Iterator[None]:
        stop = threading.Event()

        def repeat() -> None:
            while not stop.wait(0.005):
                self()

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def locks(bench: Bench) -> list[bytes]:
    return bench.redis.keys("resque:unique:*")


def trigger(bench: Bench, enqueue: Callable[[gresque.Client, int], object]) -> None:
    """200 clients, each with a connection of its own, count and enqueue in turns."""

    def one(times: int) -> None:
        client = gresque.Client(bench.redis_url)
        server = connection(bench)
        try:
            for _ in range(times):
                time.sleep(random.uniform(0, 0.4))
                enqueue(client, server.incr("counter:k"))
        finally:
            client.close()
            server.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, [TIMES // CLIENTS] * CLIENTS))


@pytest.mark.parametrize("name", ["sync_queued", "sync_again"])
def test_no_trigger_is_lost(bench: Bench, name: str) -> None:
    """A run begins after the last enqueue, whatever dies meanwhile."""
    master = bench.start(*("-q", "sync", "-w", "4", "-t", "10", *LONG_LIVED), **DEATHS_ARE_NO_FAULT)
    marked = Marked(bench, until_the_end=name == "sync_again")
    wait_for(lambda: len(bench.client.store.processes.ids()) == 4, 60)
    with marked.watch(), kills(master, 0.3) as killed:
        job = getattr(flow_jobs, name)
        trigger(bench, lambda client, _: client.enqueue(job, "k"))
    with marked.watch():
        wait_for(lambda: not bench.client.size("sync") and not bench.held(), 120)
        wait_for(lambda: bench.client.delayed_count() == 0)
    runs = [int(n) for n in bench.redis.lrange("ran:k", 0, -1)]
    print(f"{name}: {len(runs):,} runs, {len(killed)} kills, {marked.looks:,} looks")
    assert max(runs) == TIMES, "one began after the last enqueue"
    assert len(runs) < TIMES
    assert not marked.wrong, marked.wrong[0]
    begun = {each.decode() for each in bench.redis.smembers("begun:k")}
    assert len(marked.second - begun) <= len(killed), "a kill may come before the note"
    assert locks(bench) == []
    end_well(master)
    assert bench.stat("failed") == 0


@pytest.mark.parametrize("name", ["sync_replace", "sync_latest"])
def test_the_last_value_is_what_runs(bench: Bench, name: str) -> None:
    """One program writes values in their order; processes are killed; the last one runs, and none
    runs after a later one but the jobs that a death has cut short."""
    master = bench.start(*("-q", "sync", "-w", "4", "-t", "10", *LONG_LIVED), **DEATHS_ARE_NO_FAULT)
    marked = Marked(bench, until_the_end=name == "sync_latest")
    job = getattr(flow_jobs, name)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 4, 60)
    with marked.watch():
        with kills(master, 0.3) as killed:
            for value in range(1, TIMES + 1):
                bench.client.enqueue(job, "k", value)
        wait_for(lambda: not bench.client.size("sync") and not bench.held(), 120)
    runs = [int(n) for n in bench.redis.lrange("ran:k", 0, -1)]
    print(f"{name}: {len(runs):,} runs, {len(killed)} kills")
    assert max(runs) == TIMES
    if name == "sync_latest":  # one at a time: a kill cuts one short at most
        began = [int(n) for n in bench.redis.lrange("began:k", 0, -1)]
        assert sum(second < first for first, second in pairwise(began)) <= len(killed)
    assert not marked.wrong, marked.wrong[0]
    assert locks(bench) == []
    end_well(master)


def test_a_job_that_waits_takes_the_last_value_at_its_place(bench: Bench) -> None:
    """Its position and its id stay; the queue is paused meanwhile."""
    bench.client.pause("sync")
    first = bench.client.enqueue(flow_jobs.sync_replace, "k", 0)
    bench.client.enqueue_to("sync", "Began", "behind")
    for value in range(1, 1001):
        again = bench.client.enqueue(flow_jobs.sync_replace, "k", value)
        assert again == first and again is not None and again.duplicate
    assert bench.client.size("sync") == 2
    master = bench.start("-q", "sync", "-t", "1", *LONG_LIVED)
    bench.client.unpause("sync")
    wait_for(lambda: bench.redis.exists("began:behind"))
    assert bench.redis.lrange("began:k", 0, -1) == [b"1000"]
    wait_for(lambda: locks(bench) == [])
    end_well(master)


def test_never_two_at_once_and_none_dropped(bench: Bench) -> None:
    """`running`, with 40 threads that compete for each of three keys."""
    master = bench.start("-q", "sync", "-w", "2", "-t", "20", *LONG_LIVED)
    for _ in range(100):
        for key in "abc":
            job = bench.client.enqueue(flow_jobs.sync_running, key)
            assert job is not None and not job.duplicate
    wait_for(lambda: bench.runs() == {"a": 100, "b": 100, "c": 100}, 120)
    assert not bench.redis.exists("two at once")
    wait_for(lambda: locks(bench) == [])
    assert not bench.redis.exists("resque:later", "resque:later:jobs")
    end_well(master)


def test_none_that_waits_for_another_is_lost_to_kills(bench: Bench) -> None:
    master = bench.start(*("-q", "sync", "-w", "4", "-t", "10", *LONG_LIVED), **DEATHS_ARE_NO_FAULT)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 4, 60)
    with kills(master, 0.5) as killed:
        for n in range(600):
            bench.client.enqueue(flow_jobs.sync_running, f"k{n % 5}", 0.05)
            time.sleep(0.01)
    wait_for(
        lambda: (
            not bench.client.size("sync")
            and not bench.held()
            and not bench.client.delayed_count()
            and not bench.client.size("sync")
        ),
        150,
    )
    print(f"{sum(bench.runs().values())} runs of 600, {len(killed)} kills")
    assert bench.stat("processed") == 600, "each job has ended, once"
    assert locks(bench) == []
    end_well(master)


def test_a_shutdown_keeps_the_lock_of_a_job_that_goes_back(bench: Bench) -> None:
    master = bench.start("-q", "sync", "-t", "2", "--term-timeout", "0.5", *LONG_LIVED)
    first = bench.client.enqueue(flow_jobs.sync_slow, "k", 30)
    wait_for(lambda: bench.redis.exists("began:k"))
    end_well(master)
    assert bench.client.size("sync") == 1
    again = bench.client.enqueue(flow_jobs.sync_slow, "k", 30)
    assert again == first and again is not None and again.duplicate
    assert bench.client.size("sync") == 1
    (lock,) = locks(bench)
    assert bench.redis.hget(lock, "id") == str(first).encode()


def test_half_of_ten_thousand_are_duplicates(bench: Bench) -> None:
    calls = [(f"k{n % 5000}",) for n in range(TIMES)]
    ids = bench.client.enqueue_many(flow_jobs.sync_both, calls)
    assert len(ids) == TIMES
    assert len(set(ids)) == 5000 == sum(each.duplicate for each in ids)
    assert bench.client.size("sync") == 5000 == len(locks(bench))
    master = bench.start("-q", "sync", "-w", "2", "-t", "100", *LONG_LIVED)
    wait_for(lambda: bench.stat("processed") == 5000, 60)
    wait_for(lambda: locks(bench) == [])
    end_well(master)


def test_a_queue_that_is_removed_leaves_no_lock(bench: Bench) -> None:
    calls = [(f"k{n}",) for n in range(2500)]
    for job in (flow_jobs.sync_queued, flow_jobs.sync_both, flow_jobs.sync_again):
        bench.client.enqueue_many(job, calls)
    assert len(locks(bench)) == 7500
    bench.client.remove_queue("sync")
    assert locks(bench) == []


def test_a_job_that_is_tried_again_is_not_in_conflict_with_itself(bench: Bench) -> None:
    """And no other comes in between, until its last attempt has ended."""
    master = bench.start("-q", "sync", "-t", "5", *LONG_LIVED)
    first = bench.client.enqueue(flow_jobs.sync_flaky, "k")
    for attempts in (1, 2, 3):
        wait_for(lambda attempts=attempts: bench.redis.llen("attempts:k") == attempts)
        wait_for(lambda: bench.client.delayed_count() == 1)
        again = bench.client.enqueue(flow_jobs.sync_flaky, "k")
        assert again == first
    wait_for(lambda: bench.stat("processed") == 1)
    assert bench.redis.lrange("attempts:k", 0, -1) == [b"1", b"2", b"3", b"4"]
    wait_for(lambda: locks(bench) == [])
    second = bench.client.enqueue(flow_jobs.sync_flaky, "other")
    assert second not in (None, first)
    end_well(master)
