"""Stacks, with processes that the test plays; see also tests/process/test_signals.py."""

from __future__ import annotations

import threading
import time

import redis

from benchmarks.held import hold, job_id, process_name
from gresque.control.stacks import read_stacks
from gresque.processes.short_names import short_process
from gresque.store.commands import Command
from gresque.store.store import Store


def answered(
    store: Store, client: redis.Redis, target: str | None, silent: int = -1
) -> tuple[dict[str, object] | None, dict[str, Command]]:
    """What `read_stacks` returns, and what each process was asked; all answer but one."""
    taken: dict[str, Command] = {}
    over = threading.Event()

    def play() -> None:
        while not over.is_set():
            for number in range(3):
                raw = client.lpop(f"resque:commands:{process_name(number)}")
                if isinstance(raw, bytes):
                    taken[process_name(number)] = command = Command.parse(raw)
                    if number != silent:
                        store.commands.give_answer(command.token, [{"id": number}])
            time.sleep(0.005)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        wait_seconds = 2 if silent >= 0 else 10
        found = read_stacks(store, target, by="ana", wait_seconds=wait_seconds)
        return (None if found is None else dict(found)), taken
    finally:
        over.set()
        thread.join()


def test_all_processes(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 3, 1)
    found, taken = answered(store, redis_client, None)
    assert found == {process_name(number): [{"id": number}] for number in range(3)}
    assert {(each.name, each.argument, each.by) for each in taken.values()} == {
        ("stacks", "", "ana")
    }


def test_one_that_does_not_answer(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 3, 1)
    found, _ = answered(store, redis_client, "vm", silent=1)
    assert found is not None
    assert found[process_name(1)] is None
    assert found[process_name(2)] == [{"id": 2}]


def test_one_process_and_one_job(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 3, 2)
    found, taken = answered(store, redis_client, process_name(2))
    assert found == {process_name(2): [{"id": 2}]}
    found, taken = answered(store, redis_client, job_id(1, 1))
    assert found == {process_name(1): [{"id": 1}]}
    assert taken[process_name(1)].argument == job_id(1, 1)


def test_short_names(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 3, 2)
    found, _ = answered(store, redis_client, short_process(process_name(2)))
    assert found == {process_name(2): [{"id": 2}]}
    found, taken = answered(store, redis_client, job_id(1, 1)[-20:])
    assert found == {process_name(1): [{"id": 1}]}
    assert taken[process_name(1)].argument == job_id(1, 1)


def test_nothing_of_that_name(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 1, 1)
    assert answered(store, redis_client, "nobody") == (None, {})
