"""Slots of a producer: few connections, handed over in order, also while greenlets are killed."""

from __future__ import annotations

import json
import os
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import redis

import gresque
from gresque.errors import NotEnqueued
from gresque.store import producer_slots as slots_module
from gresque.store import push_tries
from gresque.store.keys import Keys
from gresque.store.producer_slots import JOINING_SLOTS, MOST_SLOTS, ProducerSlot, ProducerSlots
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy
from tests.support.programs import PATCHED, stem
from tests.support.server import OwnServer

ALONE = MOST_SLOTS - JOINING_SLOTS

Redis = redis.Redis
QUEUE = "resque:queue:q"


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[gresque.Client]:
    client = gresque.Client(proxy.url)
    yield client
    client.close()


def ids(redis_client: Redis, queue: str = QUEUE) -> list[str]:
    return [json.loads(raw)["id"] for raw in redis_client.lrange(queue, 0, -1)]


def clients(redis_client: Redis) -> set[str]:
    """The ids of the server's clients: one of an earlier test may be about to go."""
    return {found["id"] for found in redis_client.client_list()}


def enqueue(client: gresque.Client) -> str | None:
    return client.enqueue_to("q", "Job", 1)


def test_the_slots_are_bounded_by_what_was_at_the_same_time(
    client: gresque.Client, redis_client: Redis
) -> None:
    def run() -> None:
        for _ in range(20):
            enqueue(client)

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = ids(redis_client)
    assert len(found) == len(set(found)) == 400
    (key,) = redis_client.keys("resque:producer:*")
    assert redis_client.hlen(key) <= 20
    assert 100 < redis_client.ttl(key) <= 132
    assert sum(map(int, redis_client.hvals(key))) <= 400


def test_the_expiry_is_renewed_now_and_then_and_never_missing(
    client: gresque.Client, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(client)
    (key,) = redis_client.keys("resque:producer:*")
    redis_client.expire(key, 100)
    enqueue(client)
    assert redis_client.ttl(key) <= 100
    redis_client.delete(key)  # as a server that has lost its data
    enqueue(client)
    assert redis_client.ttl(key) > 120
    redis_client.expire(key, 100)
    monkeypatch.setattr(push_tries, "RENEWAL_SECONDS", 0)
    enqueue(client)
    assert redis_client.ttl(key) > 120


def test_a_fork_has_slots_of_its_own(client: gresque.Client, redis_client: Redis) -> None:
    enqueue(client)
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for _ in range(50):
                    enqueue(client)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    for _ in range(50):
        enqueue(client)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    found = ids(redis_client)
    assert len(found) == len(set(found)) == 251
    assert len(redis_client.keys("resque:producer:*")) == 5


GEVENT = """
    import random, sys
    import gevent, gevent.pool
    import gresque

    client = gresque.Client(sys.argv[1])
    chance, returned = random.Random(4), []

    class Killed(BaseException): ...

    def enqueue():
        try:
            for _ in range(20):
                returned.append(client.enqueue_to("q", "Job", 1))
        except Killed:
            pass

    def kill_some(greenlets):
        while not all(greenlets):
            victim = chance.choice(greenlets)
            if victim:
                victim.kill(Killed, block=False)
            gevent.sleep(chance.random() / 500)

    for _ in range(4):
        greenlets = [gevent.spawn(enqueue) for _ in range(50)]
        gevent.spawn(kill_some, greenlets)
        gevent.joinall(greenlets)
    enqueue()
    threadpool = gevent.get_hub().threadpool
    gevent.joinall([threadpool.spawn(enqueue) for _ in range(5)], raise_error=True)
    print(*returned)
    client.close()
"""


def test_greenlets_that_are_killed_in_the_middle_do_no_harm(
    redis_url: str, redis_client: Redis
) -> None:
    """Whatever a kill left half read is never taken for the answer to somebody else."""
    returned = run_gevent(GEVENT, redis_url)
    found = Counter(ids(redis_client))
    assert len(returned) >= 120  # those after the killing
    assert set(returned) <= set(found)
    assert set(found.values()) == {1}
    assert len(found) - len(returned) <= 200  # of each killed greenlet at most its last one
    (key,) = redis_client.keys("resque:producer:*")
    assert redis_client.hlen(key) <= 6 * MOST_SLOTS  # of the hub, and of the pool's threads


def test_a_closed_client_has_no_connection_left(redis_url: str, redis_client: Redis) -> None:
    client = gresque.Client(redis_url)
    before = clients(redis_client)
    enqueue(client)
    assert len(clients(redis_client) - before) == 1
    client.close()
    wait_for(lambda: not clients(redis_client) - before)


def test_the_order_of_a_thread_stays(client: gresque.Client, redis_client: Redis) -> None:
    assert [enqueue(client) for _ in range(50)] == ids(redis_client)


# Few connections

MANY = """
    import sys
    import gevent
    import gresque

    client = gresque.Client(sys.argv[1])
    returned = []
    def enqueue(n):
        for _ in range(4):
            returned.append(client.enqueue_to("q", "Job", n))
    gevent.joinall([gevent.spawn(enqueue, n) for n in range(500)], raise_error=True)
    print(client.store.redis.info()["connected_clients"], *returned)
    client.close()
"""


def run_gevent(program: str, *arguments: str) -> list[str]:
    ran = stem(PATCHED).run(textwrap.dedent(program), *arguments)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.split()


def test_many_greenlets_share_few_connections(redis_url: str, redis_client: Redis) -> None:
    before = len(redis_client.client_list())
    connections, *returned = run_gevent(MANY, redis_url)
    assert int(connections) <= before + MOST_SLOTS + 1
    assert sorted(returned) == sorted(ids(redis_client))
    assert len(set(returned)) == 2000


ONE_AFTER_THE_OTHER = """
    import sys
    from gevent.monkey import get_original
    import gresque

    client = gresque.Client(sys.argv[1])
    lock, ident = get_original("_thread", "allocate_lock")(), get_original("_thread", "get_ident")
    threads, told = set(), []
    def enqueue(n):
        try:
            told.append(client.enqueue_to("q", "Job", n))
        except BaseException as error:
            told.append(repr(error))
        threads.add(ident())
        lock.release()
    for n in range(8):
        lock.acquire()
        get_original("_thread", "start_new_thread")(enqueue, (n,))
        with lock:
            pass
        get_original("time", "sleep")(0.02)
    print(len(threads), client.store.redis.info()["connected_clients"], *told)
    client.close()
"""


def test_a_native_thread_may_have_the_number_of_one_that_has_ended(
    redis_url: str, redis_client: Redis
) -> None:
    """The connections of that one belong to a hub that turns no more."""
    before = len(redis_client.client_list())
    threads, connections, *returned = run_gevent(ONE_AFTER_THE_OTHER, redis_url)
    assert returned == ids(redis_client)
    assert int(threads) < 8, "no number was given out again: the test shows nothing"
    assert int(connections) <= before + int(threads) + 1
    (key,) = redis_client.keys("resque:producer:*")
    assert redis_client.hlen(key) == int(threads)


def test_many_threads_share_few_connections(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    before = clients(redis_client)
    proxy.reply_delay_seconds = 0.02
    threads = [threading.Thread(target=enqueue, args=(client,)) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(ids(redis_client))) == 100
    assert 0 < len(clients(redis_client) - before) <= MOST_SLOTS


def test_who_waits_is_told_of_an_outage_in_time(own: OwnServer) -> None:
    """200 pushes at a time over few slots: nobody waits for those before it to give up."""
    client = gresque.Client(own.url, retry_seconds=2)
    own.kill()
    ended: list[tuple[float, bool]] = []

    def try_it() -> None:
        try:
            enqueue(client)
        except NotEnqueued as error:
            ended.append((time.monotonic(), "no answer from Redis" in str(error)))

    started = time.monotonic()
    threads = [threading.Thread(target=try_it) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ended) == 200
    assert all(told for _, told in ended)
    assert max(at for at, _ in ended) - started < 200 / JOINING_SLOTS * 2
    client.close()


def test_slots_are_given_in_order() -> None:
    pool = ProducerSlots(Keys("resque")).pools().alone
    taken = [pool.take() for _ in range(ALONE)]
    order: list[int] = []

    def wait(n: int) -> None:
        producer_slot = pool.take()
        order.append(n)
        pool.give_back(producer_slot)

    threads = []
    for n in range(5):
        threads.append(threading.Thread(target=wait, args=(n,)))
        threads[-1].start()
        wait_for(lambda n=n: len(pool._waiting) == n + 1)
    pool.give_back(taken.pop())
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4]


def test_a_slot_that_is_lost_is_replaced() -> None:
    pool = ProducerSlots(Keys("resque")).pools().alone
    taken = [pool.take() for _ in range(ALONE)]
    slots = {producer_slot.slot for producer_slot in taken}
    del taken  # as by a kill between two instructions
    taken = [pool.take() for _ in range(ALONE)]
    assert not slots & {producer_slot.slot for producer_slot in taken}
    waiting: list[ProducerSlot] = []
    thread = threading.Thread(target=lambda: waiting.append(pool.take()))
    thread.start()
    wait_for(lambda: pool._waiting)
    del taken[0]
    thread.join(60)
    assert len(waiting) == 1


KILL_WAITING = """
    import random, sys
    import gevent
    from gresque.store.keys import Keys
    from gresque.store.producer_slots import ProducerSlots

    chance = random.Random(7)
    pool = ProducerSlots(Keys("resque")).pools().alone
    most = under_way = 0

    def push():
        global most, under_way
        try:
            producer_slot = pool.take()
            try:
                under_way += 1
                most = max(most, under_way)
                gevent.sleep(chance.random() / 100)
            finally:
                under_way -= 1
                pool.give_back(producer_slot)
        except gevent.GreenletExit:
            pass

    greenlets = []
    for _ in range(2000):
        greenlets.append(gevent.spawn(push))
        if chance.random() < 0.5:
            chance.choice(greenlets).kill(block=chance.random() < 0.5)
        if chance.random() < 0.1:
            gevent.sleep(chance.random() / 100)
    gevent.joinall(greenlets, raise_error=True)
    print(most, len(pool._free), len(pool._waiting), len({one.slot for one in pool._free}))
"""


def test_a_kill_of_one_that_waits_loses_no_slot() -> None:
    assert run_gevent(KILL_WAITING) == [str(ALONE), str(ALONE), "0", str(ALONE)]


def test_idle_connections_are_closed(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "IDLE_SECONDS", 0.3)
    before = clients(redis_client)
    proxy.reply_delay_seconds = 0.05
    threads = [threading.Thread(target=enqueue, args=(client,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.reply_delay_seconds = 0
    assert len(clients(redis_client) - before) > 1

    def one_is_left() -> bool:
        enqueue(client)
        return len(clients(redis_client) - before) == 1

    wait_for(one_is_left)
