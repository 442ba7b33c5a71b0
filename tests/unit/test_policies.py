"""What processes take of suspects: turns against a server, by each policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from gresque.jobs.crash_history import add_death
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.worker.policies import Ordinary, Policy
from gresque.worker.quarantine import JOBS_IN_QUARANTINE, Quarantine
from gresque.worker.turns.batch_size import BatchSize
from tests.support.turn_processes import Process

KEYS = Keys("resque")
POOL: Any = SimpleNamespace(threads=[])


class Worker:
    """A process that asks its policy as the loop of turns does."""

    def __init__(self, process: Process, policy: Callable[[Any], Policy], **settings: Any) -> None:
        self.cycle, self.in_flight = process.cycle, process.in_flight
        self.row = SimpleNamespace(suspects_seen=0)
        self.reports = 0
        named = {"thread_count": 1, "burst": False, "max_recoveries": 3} | settings
        spec = SimpleNamespace(
            settings=SimpleNamespace(**named), row=self.row, tell_master=self.report
        )
        self.policy = policy(spec)
        self.batch_size = BatchSize()
        self.batch_size.limit = 100
        self.batch_size._jobs_per_second = 10_000.0

    def report(self) -> None:
        self.reports += 1

    def turn(self) -> str:
        """The names of the jobs that it holds after a turn."""
        want = 0
        if not self.in_flight.returning:
            want = max(self.policy.room(self.in_flight, POOL, self.batch_size), 0)
        want = self.policy.prepare(self.cycle, self.in_flight, want)
        reserved = self.cycle.turn(want)
        self.cycle.forget_suspects()
        self.policy.on_turn(self.cycle, self.in_flight, want, reserved)
        return self.held

    @property
    def held(self) -> str:
        return " ".join(name_of(job[2]) for job in self.in_flight.ready)

    def end(self, count: int = 1) -> None:
        for _ in range(count):
            job = self.in_flight.ready.popleft()
            self.in_flight.done += 1
            self.in_flight.ended.append(job[0])


def raw_of(name: str) -> bytes:
    raw = b'{"class":"%s"}' % name.encode()
    for _ in range(int(name[1:] or 0)):
        raw = add_death(raw, "p at noon")
    return raw


def name_of(raw: bytes) -> str:
    return raw.split(b'"')[3].decode()


def fill(client: redis.Redis, names: str, queue: str = "a") -> None:
    """`x` saw no death, `x1` one, and so on."""
    for name in names.split():
        deaths = int(name[1:] or 0)
        key = KEYS.suspects_of(queue, deaths) if deaths else KEYS.queue(queue)
        client.rpush(key, raw_of(name))
        if deaths:
            client.sadd(KEYS.suspects, queue)


def lists(client: redis.Redis) -> str:
    found = [raw for place in KEYS.places("a") for raw in client.lrange(place, 0, -1)]
    return " ".join(map(name_of, found))


@pytest.fixture
def process(redis_url: str, redis_client: redis.Redis) -> Iterator[Process]:
    store = Store(redis_url, "resque")
    process = Process(redis_url, store, 2)
    process.cycle._slots.free = [b"%d" % number for number in range(200, -1, -1)]
    redis_client.hset(KEYS.ledger(process.name), "state", "0 0 0 0 0 0")
    yield process
    process.line.close()
    store.close()


def test_one_thread_takes_suspects_one_at_a_time(
    process: Process, redis_client: redis.Redis
) -> None:
    worker = Worker(process, Ordinary)
    fill(redis_client, "a b")
    assert worker.turn() == "a b"
    fill(redis_client, "c1 d2 e1 f")
    assert worker.turn() == "a b", "they came with others: all of them go back at once"
    assert worker.turn() == "a b"
    assert lists(redis_client) == "d2 c1 e1 f"
    worker.end(2)
    for held in ("d2", "c1", "e1"):
        assert worker.turn() == held
        assert worker.turn() == held, "nothing beside it"
        worker.end()
    assert worker.turn() == "f"
    fill(redis_client, "g h")
    assert worker.turn() == "f g h", "as before"
    assert not redis_client.exists(KEYS.suspects)
    assert worker.reports == 0, "no quarantine is needed"


def test_several_at_once_in_an_empty_process_go_back_but_one(
    process: Process, redis_client: redis.Redis
) -> None:
    worker = Worker(process, Ordinary)
    fill(redis_client, "c1 d2 e1 f")
    worker.turn()
    assert worker.turn() in ("", "d2")
    assert worker.turn() == "d2"
    assert lists(redis_client) == "c1 e1 f"
    assert redis_client.smembers(KEYS.suspects) == {b"a"}


def test_jobs_that_went_back_for_their_size_are_not_given_back_twice(
    process: Process, redis_client: redis.Redis
) -> None:
    worker = Worker(process, Ordinary)
    fill(redis_client, "c1 a")
    want = worker.policy.prepare(worker.cycle, worker.in_flight, 2)
    reserved = worker.cycle.turn(want)
    worker.in_flight.give_back_ready(keep=1)
    worker.policy.on_turn(worker.cycle, worker.in_flight, want, reserved)
    assert (worker.held, worker.in_flight.requeued) == ("", 2)


def test_a_suspect_is_reported_when_it_stands_in_its_list(
    process: Process, redis_client: redis.Redis
) -> None:
    """A quarantine that is forked before finds none, and leaves."""
    worker = Worker(process, Ordinary, thread_count=20)
    fill(redis_client, "a")
    worker.turn()
    worker.policy.prepare(worker.cycle, worker.in_flight, 0)
    worker.cycle.turn(0)
    process.in_flight.hand_over((process.in_flight.ready.pop()[0], "a", raw_of("a1")))
    worker.policy.on_turn(worker.cycle, worker.in_flight, 0, 0)
    assert worker.reports == 0
    worker.turn()
    assert worker.reports == 1


def test_several_threads_leave_suspects_alone(process: Process, redis_client: redis.Redis) -> None:
    worker = Worker(process, Ordinary, thread_count=20, burst=True)
    fill(redis_client, "c1 d2 f g1")
    assert worker.turn() == "f"
    assert worker.reports == 0
    process.in_flight.hand_over((process.in_flight.ready.pop()[0], "a", raw_of("f1")))
    worker.turn()
    assert (worker.reports, worker.row.suspects_seen) == (1, 1), "it met one in the queue itself"
    worker.policy.on_dry(worker.cycle)
    assert (worker.reports, worker.row.suspects_seen) == (2, 2), "a burst is not over yet"
    redis_client.delete(*KEYS.places("a"))
    worker.policy.on_dry(worker.cycle)
    assert worker.reports == 2


def test_a_quarantine_holds_32_of_those_that_saw_one_death(
    process: Process, redis_client: redis.Redis
) -> None:
    worker = Worker(process, Quarantine, thread_count=100)
    fill(redis_client, "x " + "c1 " * 40)
    for _ in range(3):
        worker.turn()
    assert worker.held.split() == ["c1"] * JOBS_IN_QUARANTINE
    worker.end(10)
    worker.turn()
    assert worker.held.split() == ["c1"] * (JOBS_IN_QUARANTINE - 2)
    assert lists(redis_client) == "x"
    assert not redis_client.exists(KEYS.suspects)


def test_a_quarantine_runs_one_that_saw_several_deaths_alone(
    process: Process, redis_client: redis.Redis
) -> None:
    """Those that saw one death do not keep it waiting: they run out first."""
    worker = Worker(process, Quarantine, thread_count=100)
    fill(redis_client, "c1 c1 c1")
    worker.turn()
    assert worker.turn() == "c1 c1 c1"
    fill(redis_client, "d2 e3 c1")
    assert worker.turn() == "c1 c1 c1"
    worker.end(2)
    assert worker.turn() == "c1"
    worker.end()
    for held in ("d2", "e3"):
        assert worker.turn() == held
        assert worker.turn() == held
        worker.end()
    assert worker.turn() == "c1"


def test_where_a_second_death_is_the_last_each_is_alone(
    process: Process, redis_client: redis.Redis
) -> None:
    worker = Worker(process, Quarantine, thread_count=100, max_recoveries=2)
    fill(redis_client, "c1 d1")
    assert worker.turn() == "c1"
    assert worker.turn() == "c1"
    worker.end()
    assert worker.turn() == "d1"


def test_a_quarantine_with_jobs_that_take_long_makes_room_for_another(
    process: Process, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(process, Quarantine, thread_count=100)
    fill(redis_client, "d2 e2")
    worker.turn()
    policy = worker.policy
    assert not policy.is_over(worker.in_flight, POOL, dry=False)
    thread = SimpleNamespace(job=worker.in_flight.ready[0], since=float("-inf"))
    pool: Any = SimpleNamespace(threads=[thread])
    for _ in range(2):
        assert policy.is_over(worker.in_flight, pool, dry=False)
        assert worker.row.suspects_seen == 1, "another one may be needed, once"


def test_a_quarantine_whose_threads_are_all_taken_for_long_makes_room_for_another(
    process: Process, redis_client: redis.Redis
) -> None:
    worker = Worker(process, Quarantine, thread_count=2)
    fill(redis_client, "c1 c1 c1")
    worker.turn()
    assert worker.turn() == "c1 c1"
    ready = worker.in_flight.ready
    pool: Any = SimpleNamespace(
        threads=[SimpleNamespace(job=job, since=float("-inf")) for job in ready]
    )
    assert worker.policy.is_over(worker.in_flight, pool, dry=False)
