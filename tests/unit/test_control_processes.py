"""Orders to worker processes: what is said of them. What they do is in tests/process."""

from __future__ import annotations

import msgspec
import pytest
import redis

from gresque.control.processes import Order, Ordered, order, order_named
from gresque.errors import GresqueError
from gresque.inspector.audit import read_audit
from gresque.store.commands import Command, OrderAnswer
from gresque.store.store import Store
from tests.support.views import OTHER, PROCESS, item, process


@pytest.mark.parametrize(
    ("what", "state", "held", "is_over", "outcome"),
    [
        (Order.PAUSE, None, None, False, "did not answer"),
        (Order.PAUSE, "paused", 0, True, "paused"),
        (Order.PAUSE, "paused", 3, True, "paused; 3 jobs still held"),
        (Order.PAUSE, "working", 3, False, "taken, not done yet: a job blocks its loop (3 jobs)"),
        (Order.PAUSE, "draining", 1, False, "cannot: it is draining"),
        (Order.CONTINUE, "working", 1, True, "continues (working)"),
        (Order.DRAIN, "paused", 1, False, "takes no more jobs, and finishes 1 job"),
        (Order.DRAIN, "paused", 0, True, "drained: it holds no job, and takes none"),
        (Order.RECYCLE, "draining", 2, False, "takes no more jobs, finishes 2 jobs, and leaves"),
        (Order.RECYCLE, "draining", 0, True, "left; its master starts another one"),
        (Order.RECYCLE, "working", 1, False, "taken, not done yet: a job blocks its loop (1 job)"),
    ],
)
def test_outcomes(
    what: Order, state: str | None, held: int | None, is_over: bool, outcome: str
) -> None:
    assert Ordered("p", what, state, held, is_over).outcome == outcome


def test_processes_are_asked_and_answer(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are written while the operator waits; one process stays silent."""
    process(redis_client, PROCESS, item("A", 0))
    process(redis_client, OTHER)

    def answer(seconds: float) -> None:
        for raw in redis_client.lrange(store.keys.commands(PROCESS), 0, -1):
            command = Command.parse(raw)
            assert (command.name, command.by) == ("pause", "ana")
            found = msgspec.json.encode(OrderAnswer("paused", 1, True))
            redis_client.rpush(store.keys.answer(command.token), found)

    monkeypatch.setattr("gresque.control.processes.time.sleep", answer)
    paused, silent = order(store, Order.PAUSE, [PROCESS, OTHER], by="ana", wait_seconds=0.05)
    assert (paused.outcome, silent.outcome) == ("paused; 1 job still held", "did not answer")
    (entry,) = read_audit(store)
    assert (entry.verb, entry.count) == ("process pause", 1)
    assert entry.outcome == "paused; 1 job still held, did not answer"


def test_a_drain_waits_for_the_last_job_and_a_recycle_for_the_process(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(redis_client, PROCESS, item("A", 0))
    looks: list[int] = []

    def next_look(seconds: float) -> None:
        looks.append(1)
        if len(looks) == 1:
            (raw,) = redis_client.lrange(store.keys.commands(PROCESS), 0, -1)
            found = msgspec.json.encode(OrderAnswer("paused", 1, True))
            redis_client.rpush(store.keys.answer(Command.parse(raw).token), found)
        elif len(looks) == 3:
            redis_client.hdel(store.keys.ledger(PROCESS), "0")

    monkeypatch.setattr("gresque.control.processes.time.sleep", next_look)
    (drained,) = order(store, Order.DRAIN, [PROCESS], by="ana", wait_seconds=60)
    assert (drained.is_over, drained.held, len(looks)) == (True, 0, 3)


def test_a_name_that_no_process_has(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS)
    with pytest.raises(GresqueError, match="no process, worker or host is named nowhere"):
        order_named(store, Order.DRAIN, ["vm", "nowhere"], by="ana", wait_seconds=0)
    assert not redis_client.exists(store.keys.commands(PROCESS))
    assert order(store, Order.DRAIN, [], by="ana", wait_seconds=0) == []
