"""Pushes that wait at the same time go in one call, and each ends as if it had gone alone."""

from __future__ import annotations

import asyncio
import os
import textwrap
import threading
from collections import Counter
from collections.abc import Callable

import pytest
import redis

import gresque
import gresque.aio
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued
from gresque.store.joined import JOINED_BYTES, MOST_JOINED, Joined, may_join
from gresque.store.keys import Keys
from gresque.store.producer_slots import JOINING_SLOTS
from gresque.store.track import Track, tracked
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy
from tests.support.programs import PATCHED, stem
from tests.support.pushes import QUEUE, Redis, acl, ids
from tests.support.pushes import client_fixture as client_fixture
from tests.support.server import OwnServer

ODD = "\udcff"


def joined_sha() -> bytes:
    """That of the unit tests' own text, which checks the keys."""
    return script("enqueue_joined").sha


class Crowd:
    """Pushes by threads of which all but the first few wait, until the first ones are let go."""

    def __init__(self, client: gresque.Client, queues: list[str]) -> None:
        self.client = client
        self.ended: list[tuple[str, object]] = []
        """For each push its queue, and the id of its job or the error."""
        pool = client.store.enqueuer._slots.pools().joining
        taken = [pool.take() for _ in range(JOINING_SLOTS)]
        self._threads = [
            threading.Thread(target=self._push, args=each) for each in enumerate(queues)
        ]
        for number, thread in enumerate(self._threads):
            thread.start()  # they wait in this order
            wait_for(lambda number=number: len(pool._waiting) > number)
        self._let_go = lambda: [pool.give_back(slot) for slot in taken[:1]]
        self._rest = lambda: [pool.give_back(slot) for slot in taken[1:]]

    def _push(self, number: int, queue: str) -> None:
        try:
            if queue == ODD:
                self.client.store.enqueuer.push(queue, [b"{}"])
            self.ended.append((queue, self.client.enqueue_to(queue, "Job", number)))
        except Exception as error:
            self.ended.append((queue, error))

    def go(self) -> list[tuple[str, object]]:
        """One slot is free: the first push takes the others along."""
        self._let_go()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        self._rest()
        return self.ended


def calls_of(redis_client: Redis) -> int:
    return int(redis_client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_pushes_that_wait_are_one_call_in_their_order(
    client: gresque.Client, redis_client: Redis
) -> None:
    Crowd(client, ["q", "r"]).go()  # the script is known
    crowd = Crowd(client, ["q", "r", "q", "x"] * 10)
    before = calls_of(redis_client)
    ended = crowd.go()
    assert calls_of(redis_client) - before == 1
    numbers = []
    for queue in ("q", "r", "x"):
        assert {end for name, end in ended if name == queue} <= set(
            ids(redis_client, f"resque:queue:{queue}")
        )
        numbers.append([job["args"][0] for job in client.peek(queue, 0, 99)])
    assert numbers == [[0, *range(0, 40, 2)], [1, *range(1, 40, 4)], [*range(3, 40, 4)]]
    assert redis_client.smembers("resque:queues") == {b"q", b"r", b"x"}


def test_one_push_at_a_time_is_never_joined(client: gresque.Client, redis_client: Redis) -> None:
    redis_client.script_flush()
    for _ in range(50):
        client.enqueue_to("q", "Job", 1)
    assert not redis_client.script_exists(joined_sha().decode())[0]


def test_many_queues_fit_into_one_call(client: gresque.Client, redis_client: Redis) -> None:
    """The check of 3,900 KEYS and ARGV is that of all unit tests."""
    jobs = ((f"q{n}", b"{}") for n in range(MOST_JOINED))
    call = Joined(jobs)
    arguments = [*call.arguments()]
    keys = ["resque:producer:x", *call.keys(Keys("resque"))]
    text = script("enqueue_joined").text
    assert redis_client.eval(text, len(keys), *keys, 0, 1, call.size, 100, 0, *arguments) == 1
    assert redis_client.eval(text, len(keys), *keys, 0, 1, call.size, 100, 0, *arguments) == 0
    assert redis_client.scard("resque:queues") == MOST_JOINED
    assert redis_client.llen("resque:queue:q499") == 1


@pytest.mark.parametrize(
    ("raws", "may"),
    [
        ([b"x" * JOINED_BYTES], True),
        ([b"x" * (JOINED_BYTES + 1)], False),
        ([b"x", b"y"], False),
        (tracked([b"x"], Track(["id"], "Job", 1)), False),
        (tracked([b"x"], None), True),
    ],
)
def test_what_may_be_joined(raws: list[bytes], may: bool) -> None:
    assert may_join(raws) is may


# Each ends by itself


def test_what_one_queue_refuses_fails_no_other(client: gresque.Client, redis_client: Redis) -> None:
    redis_client.set("resque:queue:wrong", "no list")
    ended = Crowd(client, ["q", "wrong", "r", "wrong", "q"]).go()
    errors = [error for queue, error in ended if queue == "wrong"]
    assert [type(error) for error in errors] == [NotEnqueued] * 2
    assert all("WRONGTYPE" in str(error) and "queue:wrong" in str(error) for error in errors)
    assert [type(done) for queue, done in ended if queue != "wrong"] == [gresque.JobId] * 3
    assert (redis_client.llen(QUEUE), redis_client.llen("resque:queue:r")) == (2, 1)


@pytest.mark.parametrize("queues", [["q", ODD, "q"], [ODD, "q", "q"]])
def test_a_name_that_cannot_be_encoded_fails_no_other(
    client: gresque.Client, redis_client: Redis, queues: list[str]
) -> None:
    """No client lets it come so far."""
    ended = Crowd(client, queues).go()
    assert sorted(type(end).__name__ for _, end in ended) == ["JobId"] * 2 + ["UnicodeEncodeError"]
    assert redis_client.llen(QUEUE) == 2


@pytest.mark.parametrize("first", ["q", "wrong"])
def test_it_does_so_as_well_when_the_reply_is_lost(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, first: str
) -> None:
    redis_client.set("resque:queue:wrong", "no list")
    redis_client.script_load(script("enqueue_joined").text)
    crowd = Crowd(client, [first, "q", "wrong", "r", "wrong", "q"])
    cut = proxy.cut(joined_sha(), "reply", 0)
    ended = crowd.go()
    assert cut.done.wait(20)
    for queue, end in ended:
        assert type(end) is (NotEnqueued if queue == "wrong" else gresque.JobId)
    done = [end for queue, end in ended if queue == "q"]
    assert sorted(map(str, done)) == sorted(map(str, ids(redis_client)))


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_anywhere_neither_loses_nor_doubles(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, direction: str
) -> None:
    redis_client.script_load(script("enqueue_joined").text)
    returned: list[object] = []
    for after in range(5) if direction == "reply" else range(0, 900, 111):
        crowd = Crowd(client, ["q"] * 4)
        proxy.cut(joined_sha(), direction, after)
        returned += [end for _, end in crowd.go()]
    assert sorted(map(str, returned)) == sorted(map(str, ids(redis_client)))


def test_a_reply_that_never_comes_is_perhaps_for_each(
    proxy: FaultyProxy, redis_client: Redis
) -> None:
    redis_client.script_load(script("enqueue_joined").text)
    client = gresque.Client(proxy.url, retry_seconds=0.3)
    client.enqueue_to("x", "Job", 1)  # the slot that is let go has a connection
    crowd = Crowd(client, ["q", "r", "q", "r"])
    proxy.cut(joined_sha(), "reply", 0)
    proxy.refuses = True
    for queue, error in crowd.go():
        assert isinstance(error, PerhapsEnqueued)
        assert f"look into queue {queue!r} before" in str(error)
        assert isinstance(error.__cause__, redis.RedisError)
    assert redis_client.llen(QUEUE) == 2
    client.close()


def test_what_was_not_sent_is_not_enqueued_for_each(
    proxy: FaultyProxy, redis_client: Redis
) -> None:
    client = gresque.Client(proxy.url, retry_seconds=0.3)
    crowd = Crowd(client, ["q", "r", "q"])
    proxy.refuses = True
    assert [type(error) for _, error in crowd.go()] == [NotEnqueued] * 3
    assert redis_client.keys("resque:queue:*") == []
    client.close()


@pytest.mark.parametrize(
    ("arrange", "reason", "cure"),
    [
        (
            lambda own: own.redis.config_set("maxmemory", "1"),
            "OOM",
            lambda own: own.redis.config_set("maxmemory", "0"),
        ),
        (lambda own: own.redis.replicaof("127.0.0.1", "1"), "READONLY|MASTERDOWN", None),
        (lambda own: acl(own, "-sadd"), "NOPERM", None),
    ],
)
def test_a_server_that_refuses_all(
    own: OwnServer,
    arrange: Callable[[OwnServer], object],
    reason: str,
    cure: Callable[[OwnServer], object] | None,
) -> None:
    client = gresque.Client(own.url, retry_seconds=0.3)
    crowd = Crowd(client, ["q"] * 5)
    arrange(own)
    for _, error in crowd.go():
        assert isinstance(error, NotEnqueued)
        assert any(word in str(error) for word in reason.split("|"))
    client.close()
    if cure is not None:
        patient = gresque.Client(own.url, retry_seconds=30)
        crowd = Crowd(patient, ["q"] * 5)
        timer = threading.Timer(0.3, cure, args=(own,))
        timer.start()
        assert sorted(str(end) for _, end in crowd.go()) == sorted(map(str, ids(own.redis)))
        timer.join()
        patient.close()


def test_where_scripts_are_refused_each_is_plain(own: OwnServer) -> None:
    acl(own, "-evalsha")
    client = gresque.Client(own.url)
    ended = [end for _, end in Crowd(client, ["q"] * 5).go()]
    assert [str(end) for end in ended if isinstance(end, Exception)] == []
    assert own.redis.llen(QUEUE) == 5
    client.close()


@pytest.mark.parametrize("rule", ["-hset", "-hget"])
def test_without_the_right_to_note_refusals(own: OwnServer, rule: str) -> None:
    acl(own, rule)
    client = gresque.Client(own.url)
    ended = [end for _, end in Crowd(client, ["q"] * 5).go()]
    assert [str(end) for end in ended if isinstance(end, Exception)] == []
    assert own.redis.llen(QUEUE) == 5
    client.close()


# Kills, forks


KILLS = """
    import random, sys
    import gevent
    import gresque
    from gresque.store import producer_slots

    producer_slots.JOINING_SLOTS = 2
    client = gresque.Client(sys.argv[1])
    chance, returned = random.Random(int(sys.argv[2])), []

    class Killed(BaseException): ...

    def enqueue(n):
        try:
            for _ in range(8):
                returned.append(client.enqueue_to(f"q{n % 3}", "Job", 1))
        except Killed:
            pass

    for _ in range(10):
        greenlets = [gevent.spawn(enqueue, n) for n in range(60)]
        while not all(greenlets):
            alive = [each for each in greenlets if not each]
            for victim in chance.sample(alive, min(len(alive), chance.choice((1, 3, 20)))):
                victim.kill(Killed, block=False)
            gevent.sleep(chance.random() / 300)
        gevent.joinall(greenlets, raise_error=True)
    gevent.joinall([gevent.spawn(enqueue, n) for n in range(60)], raise_error=True)
    pools = client.store.enqueuer._slots.pools()
    slots = [each for pool in pools for each in pool._free]
    assert len({each.slot for each in slots}) == producer_slots.MOST_SLOTS
    assert not any(each.joined or each.call for each in slots)
    print(*returned)
    client.close()
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_kill_of_one_costs_no_other_its_push(
    redis_url: str, redis_client: Redis, seed: int
) -> None:
    redis_client.config_resetstat()
    ran = stem(PATCHED).run(textwrap.dedent(KILLS), redis_url, str(seed))
    assert (ran.returncode, ran.stderr) == (0, "")
    returned = ran.stdout.split()
    found = Counter(str(each) for n in range(3) for each in ids(redis_client, f"resque:queue:q{n}"))
    assert set(returned) <= set(found)
    assert set(found.values()) == {1}
    assert len(found) - len(returned) <= 600  # of each killed greenlet at most its last one
    assert calls_of(redis_client) < len(found)  # many were joined


@pytest.mark.parametrize("way", ["held up", "reply late"])
def test_one_that_was_taken_along_goes_on_for_those_killed(
    proxy: FaultyProxy, redis_client: Redis, way: str
) -> None:
    """Also when the call of the killed one arrives after that of the other."""
    redis_client.script_load(script("enqueue_joined").text)
    client = gresque.aio.Client(proxy.url)

    async def main() -> list[str]:
        await client.aenqueue_to("q", "Job", 0)
        store = client._twin.store
        pool = store.enqueuer._slots.pools().joining
        taken = [pool.take() for _ in range(JOINING_SLOTS)]
        tasks = [asyncio.create_task(client.aenqueue_to("q", "Job", n)) for n in range(6)]
        await asyncio.sleep(0)
        if way == "held up":
            proxy.hold = joined_sha()
        else:
            proxy.reply_delay_seconds = 0.3
        pool.give_back(taken.pop())
        while not (proxy._held.is_set() or redis_client.llen(QUEUE) > 1):
            await asyncio.sleep(0.005)
        for task in (tasks[0], tasks[1], tasks[3]):  # the one that leads, and the next one
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        pool.give_back(taken.pop())
        assert len(pool._free) == 2
        assert not any(each.joined or each.call for each in pool._free)
        await client.aclose()
        return [str(end) for end in ended if not isinstance(end, asyncio.CancelledError)]

    returned = asyncio.run(main())
    proxy.release()
    found = [str(each) for each in ids(redis_client)]
    assert len(found) == len(set(found)) == 7
    assert len(returned) == 3 and set(returned) < set(found)


def test_a_fork_in_the_middle_of_a_joined_call(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    redis_client.script_load(script("enqueue_joined").text)
    crowd = Crowd(client, ["q"] * 6)
    proxy.hold = joined_sha()
    releasing = threading.Thread(target=_fork_and_release, args=(client, proxy))
    releasing.start()
    ended = crowd.go()
    releasing.join(60)
    found = Counter(map(str, ids(redis_client)))
    assert {str(end) for _, end in ended} <= set(found)
    assert set(found.values()) == {1}
    assert len(found) == 6 + 3
    assert len(redis_client.keys("resque:producer:*")) == 2


def _fork_and_release(client: gresque.Client, proxy: FaultyProxy) -> None:
    proxy.wait_for_held()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for _ in range(3):
                client.enqueue_to("q", "Job", 1)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    proxy.release()
