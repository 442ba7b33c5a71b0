"""What a worker process answers to kills."""

from __future__ import annotations

import json
from collections.abc import Iterator

import gevent
import pytest

from gresque.store.commands import Fate, KillAnswer
from gresque.worker.threads.kill_commands import KillCommands
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.in_flight import ReservedJob
from tests.unit.test_worker_parts import PATIENCE_SECONDS, Shop


def a_job(slot: int, job_id: str, name: str = "wait") -> ReservedJob:
    return str(slot).encode(), "q", json.dumps({"class": name, "args": [], "id": job_id}).encode()


def catch() -> None:
    try:
        gevent.sleep(PATIENCE_SECONDS)
    except BaseException:
        return


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop(2)
    shop.add("wait", lambda: gevent.sleep(PATIENCE_SECONDS))
    shop.add("catch", catch)
    shop.add("unseen", lambda: gevent.sleep(PATIENCE_SECONDS), skip_failed_queue=True)
    yield shop
    gevent.killall(shop.pool.threads, block=False)
    gevent.sleep(0)


@pytest.fixture
def kills(shop: Shop) -> KillCommands:
    return KillCommands(shop.pool, shop.in_flight, shop.wakeup, shop.outcome)


def settle(shop: Shop) -> None:
    """As a turn does."""
    shop.in_flight.held -= len(shop.in_flight.ended)
    shop.in_flight.ended.clear()


def runs(shop: Shop, count: int = 1) -> bool:
    return sum(thread.job is not None for thread in shop.pool.threads) == count


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("wait", KillAnswer(Fate.DEAD, in_failed=True)),
        ("unseen", KillAnswer(Fate.DEAD, in_failed=False)),
        ("catch", KillAnswer(Fate.ENDED)),
    ],
)
def test_it_is_answered_when_the_job_is_settled(
    shop: Shop, kills: KillCommands, name: str, answer: KillAnswer
) -> None:
    shop.put(a_job(0, "a", name))
    shop.until(lambda: runs(shop))
    assert not kills
    assert kills.order("token", "a") == KillAnswer(Fate.DELIVERED)
    assert kills
    assert kills.pop_answers() == []
    shop.until(lambda: len(shop.in_flight.ended) == 1)
    assert kills.pop_answers() == []  # Redis does not say so yet
    settle(shop)
    assert kills.pop_answers(refused=[b"0"]) == []
    assert kills.pop_answers() == [("token", answer)]
    assert not kills


def test_one_that_has_not_started_never_does(shop: Shop, kills: KillCommands) -> None:
    shop.put(a_job(0, "a"), a_job(1, "b"))
    shop.until(lambda: runs(shop, 2))
    shop.put(a_job(2, "c"))
    assert kills.order("token", "c") == KillAnswer(Fate.DELIVERED)
    shop.until(lambda: shop.in_flight.ended == [b"2"])
    settle(shop)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]
    assert shop.counts == (0, 1, 0)
    assert runs(shop, 2)


def test_one_that_a_thread_takes_up_meanwhile_dies_too(shop: Shop, kills: KillCommands) -> None:
    shop.in_flight.ready.append(a_job(0, "a"))
    shop.in_flight.held += 1
    kills.order("token", "a")
    shop.pool.wake_one()  # before the loop gets to the kill
    shop.until(lambda: shop.in_flight.ended == [b"0"])
    settle(shop)
    ((_, answer),) = kills.pop_answers()
    assert answer.fate is Fate.DEAD


def test_what_is_not_there_has_ended(shop: Shop, kills: KillCommands) -> None:
    assert kills.order("token", "a") == KillAnswer(Fate.ENDED)
    assert not kills


def test_two_with_one_id_die_together(shop: Shop, kills: KillCommands) -> None:
    shop.put(a_job(0, "a"), a_job(1, "a"))
    shop.until(lambda: runs(shop, 2))
    kills.order("token", "a")
    shop.until(lambda: len(shop.in_flight.ended) == 2)
    settle(shop)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_asked_again_it_is_not_thrown_anew(shop: Shop, kills: KillCommands) -> None:
    shop.put(a_job(0, "a"))
    shop.until(lambda: runs(shop))
    (thread,) = shop.pool.threads
    kills.order("token", "a")
    kill = thread.to_kill
    assert kills.order("token", "a") == KillAnswer(Fate.DELIVERED)
    assert thread.to_kill is kill  # by its time a guarded job is given up in the end


def test_a_shutdown_does_not_put_back_what_was_killed(shop: Shop, kills: KillCommands) -> None:
    shop.put(a_job(0, "a"), a_job(1, "b"))
    shop.until(lambda: runs(shop, 2))
    kills.order("token", "a")
    shop.pool.kill_jobs("shutdown", requeue=True)
    shop.until(lambda: len(shop.in_flight.ended) == 2)
    assert shop.counts == (0, 1, 1)
    settle(shop)
    assert kills.pop_answers() == [("token", KillAnswer(Fate.DEAD, in_failed=True))]


def test_one_that_a_shutdown_put_back_first_is_said_to_be(shop: Shop, kills: KillCommands) -> None:
    shop.put(a_job(0, "a"))
    shop.until(lambda: runs(shop))
    shop.pool.kill_jobs("shutdown", requeue=True)
    thread: WorkerThread = shop.pool.threads[0]
    shutdown = thread.to_kill
    kills.order("token", "a")
    thread.to_kill = shutdown  # it lands before the operator's
    shop.until(lambda: len(shop.in_flight.ended) == 1)
    settle(shop)
    ((_, answer),) = kills.pop_answers()
    assert answer.fate is Fate.REQUEUED


def test_what_the_turn_missed_is_answered_when_asked_again(shop: Shop, kills: KillCommands) -> None:
    shop.put(a_job(0, "a"))
    shop.until(lambda: runs(shop))
    kills.order("token", "a")
    shop.until(lambda: len(shop.in_flight.ended) == 1)
    settle(shop)
    assert not kills.order("token", "a").is_final
    assert kills.order("token", "a").fate is Fate.DEAD
    assert not kills
