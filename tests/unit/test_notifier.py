"""The notifier: of many idle processes, a push wakes four, and these see to the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import redis

from gresque.jobs.registry import registry
from gresque.processes.spec import DeadProcess
from gresque.queue_list import QueueList
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.worker.recovery import Recovery
from gresque.worker.turns.blocked import Blocked
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.notifier import LISTENING, Notifier, Role

KEYS = Keys("resque")
QUEUES = "a,b"
Idle = Callable[..., Notifier]


@pytest.fixture
def process(redis_url: str) -> Iterator[Idle]:
    """Makes the notifier of one more worker process, which is connected."""
    cycles: list[Cycle] = []

    def make(queues: str = QUEUES, interval: float = 5.0) -> Notifier:
        name = f"host:1:{queues}:1:1:1:{len(cycles)}:0"
        in_flight, listed = InFlight(Totals(0, 0, 0, 0), Keys("resque")), QueueList.parse(queues)
        cycle = Cycle(
            redis_url, KEYS, in_flight, "w", name, listed, 1,
            pause=lambda _: False, revive=lambda *_: False, running=list,
        )  # fmt: skip
        cycle.connect()
        cycles.append(cycle)
        return Notifier(cycle, KEYS, name, interval)

    yield make
    for cycle in cycles:
        cycle.connection.close()


def idle(process: Idle, count: int, **options: float) -> list[Notifier]:
    notifiers = [process(**options) for _ in range(count)]
    for notifier in notifiers:
        assert not notifier.on_dry()
    return notifiers


def rung(notifier: Notifier) -> bool:
    """Whether its connection was told of something since the last call."""
    connection = notifier._cycle.connection
    connection.call(b"PING")  # what was to be announced came before this reply
    heard = connection.hear()
    connection.invalidated.clear()
    return heard


def push(client: redis.Redis, queue: str = "a") -> None:
    client.rpush(KEYS.queue(queue), "x")


def test_four_are_armed_and_the_others_are_spare(process: Idle, redis_client: redis.Redis) -> None:
    notifiers = idle(process, LISTENING + 3)
    assert [notifier.role for notifier in notifiers] == [Role.LISTENING] * LISTENING + [
        Role.WAITING
    ] * 3
    push(redis_client, "b")
    assert [rung(notifier) for notifier in notifiers] == [True] * LISTENING + [False] * 3


def test_each_queue_list_has_its_own(process: Idle) -> None:
    idle(process, LISTENING)
    other = process(queues="b,a")
    other.on_dry()
    assert other.role is Role.LISTENING


def test_who_found_work_hands_over_to_a_spare(process: Idle, redis_client: redis.Redis) -> None:
    notifiers = idle(process, LISTENING + 2)
    notifiers[0].on_jobs(more=False)
    assert notifiers[0].role is Role.BUSY
    waiting = notifiers[LISTENING:]
    woken = [notifier for notifier in waiting if rung(notifier)]
    assert len(woken) == 1
    assert not woken[0].on_dry()
    assert woken[0].role is Role.LISTENING
    push(redis_client)
    assert sum(rung(notifier) for notifier in notifiers[1:]) == LISTENING


def test_more_than_it_can_take_wakes_two_and_each_of_them_two(process: Idle) -> None:
    notifiers = idle(process, LISTENING + 6)
    notifiers[0].on_jobs(more=True)
    first = [notifier for notifier in notifiers[LISTENING:] if rung(notifier)]
    assert len(first) == 2
    for notifier in first:
        notifier.on_jobs(more=True)
    assert sum(rung(notifier) for notifier in notifiers[LISTENING:]) == 4


def test_a_busy_process_calls_spares_at_most_so_often(
    process: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifiers = idle(process, LISTENING + 6)
    busy = process()
    busy.on_jobs(more=True)
    assert not any(map(rung, notifiers))
    monkeypatch.setattr("gresque.worker.turns.notifier.CALL_EVERY_SECONDS", 0.0)
    busy.on_jobs(more=False)
    assert not any(map(rung, notifiers))
    busy.on_jobs(more=True)
    assert sum(map(rung, notifiers)) == 2


def test_a_process_that_hands_over_again_needs_one_call(
    process: Idle, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gresque.worker.turns.notifier.CALL_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("gresque.worker.turns.notifier.CALL_AGAIN_SECONDS", 0.0)
    notifiers = idle(process, LISTENING + 6)

    def calls() -> int:
        before = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
        notifiers[0].on_jobs(more=True)
        return int(redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]) - before

    assert calls() == 2
    assert sum(map(rung, notifiers[LISTENING:])) == 2
    assert calls() == 1
    assert sum(map(rung, notifiers[LISTENING:])) == 2


def test_the_first_jobs_of_a_process_that_stood_by_call_nobody(
    process: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifiers = idle(process, LISTENING + 2)
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("gresque.worker.turns.notifier.time", clock)
    busy = process()
    now[0] += 60
    busy.on_jobs(more=True)
    assert not any(map(rung, notifiers))
    now[0] += 1
    busy.on_jobs(more=True)
    assert sum(map(rung, notifiers)) == 2


def test_where_a_call_takes_long_it_is_made_seldom(
    process: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle(process, LISTENING + 1)
    busy = process()
    now, hand_over, calls = [100.0], busy._hand_over, []

    def slowly(*, more: bool) -> None:
        hand_over(more=more)
        calls.append(now[0])
        now[0] += 0.2

    monkeypatch.setattr(busy, "_hand_over", slowly)
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("gresque.worker.turns.notifier.time", clock)
    monkeypatch.setattr(busy, "_called", 0.0)
    while now[0] < 110:
        busy.on_jobs(more=True)
        now[0] += 0.05
    assert len(calls) == 5  # every 2 seconds, a tenth of the time


def test_nobody_is_called_when_four_others_are_armed(process: Idle) -> None:
    notifiers = idle(process, LISTENING + 2)
    notifiers[-1].on_jobs(more=False)
    assert not rung(notifiers[-2])


def test_work_that_came_meanwhile_is_looked_for_once(
    process: Idle, redis_client: redis.Redis
) -> None:
    push(redis_client)
    notifier = process()
    assert notifier.on_dry()
    # What stands there is nothing that can be taken, such as a key that is no list.
    assert not notifier.on_dry()
    push(redis_client)
    assert rung(notifier)


def test_who_stands_down_is_replaced(process: Idle, redis_client: redis.Redis) -> None:
    notifiers = idle(process, LISTENING + 1)
    notifiers[0].stand_down()
    assert rung(notifiers[-1])
    notifiers[-1].on_dry()
    assert notifiers[-1].role is Role.LISTENING
    for notifier in notifiers:
        notifier.stand_down()
    assert redis_client.keys("*") == [KEYS.polls(QUEUES).encode()]
    assert 0 < redis_client.pttl(KEYS.polls(QUEUES)) <= 5000


def test_the_dead_do_not_count_for_long(
    process: Idle, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle(process, LISTENING)
    seconds = redis_client.time()[0]
    for name, expires in redis_client.zrange(KEYS.listening(QUEUES), 0, -1, withscores=True):
        assert seconds < expires <= seconds + 12  # two intervals of 5 s, and one second
        redis_client.zadd(KEYS.listening(QUEUES), {name: seconds})
    assert [notifier.role for notifier in idle(process, LISTENING + 1)] == [
        Role.LISTENING
    ] * LISTENING + [Role.WAITING]


def test_entries_from_before_the_clock_was_set_back_do_not_count(
    process: Idle, redis_client: redis.Redis
) -> None:
    now = redis_client.time()[0]
    dead = {f"resque:wake:dead:{number}": now + 3600 for number in range(LISTENING)}
    redis_client.zadd(KEYS.listening(QUEUES), dead)
    assert {notifier.role for notifier in idle(process, LISTENING)} == {Role.LISTENING}
    assert not dead.keys() & {
        name.decode() for name in redis_client.zrange(KEYS.listening(QUEUES), 0, -1)
    }


def test_with_rare_polls_there_are_no_spares(process: Idle) -> None:
    notifiers = idle(process, LISTENING + 2, interval=60.0)
    assert {notifier.role for notifier in notifiers} == {Role.LISTENING}


def test_the_dead_make_room_when_they_are_recovered(
    process: Idle, redis_url: str, redis_client: redis.Redis
) -> None:
    notifiers = idle(process, LISTENING + 1)
    store = Store(redis_url, "resque")
    recovery = Recovery(store, registry, "requeue", 3)
    recovery.recover(DeadProcess("host:1:a,b:1:1:1:0:0", "killed", None, False))
    recovery.close()
    assert rung(notifiers[-1])
    assert not notifiers[-1].on_dry()
    assert notifiers[-1].role is Role.LISTENING
    for notifier in notifiers[1:]:
        notifier.stand_down()
    assert not redis_client.keys("resque:listening*")


def test_who_came_too_late_is_second_until_it_finds_work(process: Idle) -> None:
    notifier = process()
    notifier.on_dry()
    assert not notifier.is_second, "nobody told it of a push"
    assert notifier.on_announcement()
    notifier.on_dry()
    assert notifier.is_second
    notifier.on_dry()
    assert notifier.is_second, "a look of its own changes nothing"
    assert notifier.on_announcement()
    notifier.on_jobs(more=False)
    assert not notifier.is_second
    notifier.on_dry()
    assert not notifier.is_second, "the look after its job was not for a push"


def test_a_turn_that_does_not_look_keeps_what_was_announced(
    process: Idle, redis_client: redis.Redis
) -> None:
    """It settles a job's end only; the push came while it was on its way."""
    (notifier,) = idle(process, 1)
    cycle = notifier._cycle
    redis_client.hset(cycle._fixed_keys[0], "state", "0 0 0 0 0 0")
    push(redis_client)
    assert cycle.turn(0, listen=True) == 0
    assert cycle.heard()
    assert cycle.turn(1, listen=True) == 1
    assert not cycle.heard()


# Spares


def test_four_of_the_spares_look_at_every_interval(
    process: Idle, redis_client: redis.Redis
) -> None:
    notifiers = idle(process, LISTENING + 7)
    often, rarely = notifiers[: 2 * LISTENING], notifiers[2 * LISTENING :]
    assert [notifier.poll_seconds for notifier in often] == [5.0] * 2 * LISTENING
    assert all(5.0 < notifier.poll_seconds < 30.0 for notifier in rarely)
    for notifier in rarely:
        notifier.on_dry()
    assert [notifier.poll_seconds for notifier in rarely] == [30.0] * 3
    redis_client.delete(KEYS.polls(QUEUES))  # an interval is over, and those have not looked
    for notifier in rarely:
        notifier.on_dry()
    assert [notifier.poll_seconds for notifier in rarely] == [5.0] * 3


def test_without_announcements_every_spare_looks_at_every_interval(process: Idle) -> None:
    *_, last = idle(process, 2 * LISTENING)
    last._cycle.connection.tracking = False
    for _ in range(2):
        last.on_dry()
        assert (last.role, last.poll_seconds) == (Role.WAITING, 5.0)


def test_a_spare_that_looks_rarely_is_called_long_after_its_look(
    process: Idle, redis_client: redis.Redis
) -> None:
    idle(process, LISTENING + 1)
    assert redis_client.ttl(KEYS.waiting(QUEUES)) > 60
    assert redis_client.ttl(KEYS.listening(QUEUES)) <= 11


def test_who_is_called_listens_without_a_look(process: Idle, redis_client: redis.Redis) -> None:
    notifiers = idle(process, LISTENING + 1)
    called = notifiers[-1]
    notifiers[0].on_jobs(more=False)
    called._cycle.connection.call(b"PING")  # what was to be announced came before this reply
    assert called._cycle.heard()
    assert not called.on_announcement()
    assert called.role is Role.LISTENING
    assert not called._cycle.heard()
    push(redis_client)
    assert rung(called)


def test_who_is_called_for_jobs_looks_for_them(process: Idle, redis_client: redis.Redis) -> None:
    notifiers = idle(process, LISTENING + 2)
    push(redis_client)
    notifiers[0].on_jobs(more=True)
    first, second = notifiers[LISTENING:]
    assert first.on_announcement()
    assert first.role is Role.LISTENING
    assert second.on_announcement(), "though the places are taken"
    assert second.role is Role.WAITING


def test_who_listens_knows_whom_to_call(process: Idle, redis_client: redis.Redis) -> None:
    notifiers = idle(process, LISTENING + 3)
    notifiers[0]._renewed = 0.0
    notifiers[0].on_dry()

    def calls() -> int:
        return int(redis_client.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = calls()
    notifiers[0].on_jobs(more=False)
    assert calls() - before == 1
    assert sum(map(rung, notifiers[LISTENING:])) == 1


# Limits


def block(notifier: Notifier, ms: int = 0) -> None:
    """Its last turn found queue `a` in the way."""
    notifier._cycle.blocked = blocked = Blocked()
    (window,) = notifier._cycle.lists.windows(notifier._cycle.takes)
    blocked.note(window, ms, [], [0])


def test_with_queues_in_the_way_it_listens_after_each_turn(
    process: Idle, redis_client: redis.Redis
) -> None:
    redis_client.hset(KEYS.policies, "a", "p")
    (notifier,) = idle(process, 1)
    push(redis_client, "b")
    assert rung(notifier)
    block(notifier)
    assert notifier.on_dry(), "there is a job in b"
    redis_client.delete(KEYS.queue("b"))
    assert rung(notifier)
    push(redis_client, "a")
    assert rung(notifier), "it had been told of a before that was paused"
    assert not notifier.on_dry()
    push(redis_client, "a")
    assert not rung(notifier)
    push(redis_client, "b")
    assert rung(notifier)


def test_those_that_listen_look_when_a_rate_allows_it(
    process: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    for module in ("notifier", "blocked"):
        monkeypatch.setattr(f"gresque.worker.turns.{module}.time", clock)
    notifiers = idle(process, LISTENING + 1)
    looks = []
    for notifier in notifiers:
        block(notifier, ms=500)
        assert not notifier.on_dry()
        looks.append(notifier.look_at)
    assert looks == [100.5] * LISTENING + [None]
    first = notifiers[0]
    for late in (0.001, 0.003, 0.007, 0.015, 0.031, 0.063, 0.1, 0.1):
        first.on_rate()  # and finds that others were quicker
        first.on_dry()
        assert first.look_at == pytest.approx(100.5 + late)
    first.on_last_jobs()
    assert (first.look_at, first.is_to_listen) == (None, True)
    first.on_dry()
    assert (first.look_at, first.is_to_listen) == (100.5, False)
    first.on_jobs(more=False)
    assert first.look_at is None


def test_where_nothing_is_in_the_way_any_more_no_time_is_waited_for(process: Idle) -> None:
    (notifier,) = idle(process, 1)
    block(notifier, ms=500)
    notifier.on_dry()
    notifier._cycle.blocked = None
    assert not notifier.on_dry()
    assert notifier.look_at is None


def test_a_worker_with_caps_has_a_line_of_its_own(process: Idle, redis_client: redis.Redis) -> None:
    idle(process, LISTENING)
    capped = process(queues="a:2,b")
    assert not capped.on_dry()
    assert capped.role is Role.LISTENING
    assert redis_client.exists(KEYS.listening("host:1:a:2,b:1:1:1"))
