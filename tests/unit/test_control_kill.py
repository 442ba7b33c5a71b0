"""Kills, with processes that the test plays; see also tests/process/test_kill.py."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
import redis

from benchmarks.held import Traffic, hold, job_id, process_name
from gresque.control.kill import Killed, kill, kill_all
from gresque.control.targets import targets_selected
from gresque.inspector.filters import parse
from gresque.store.commands import Command, Fate, KillAnswer
from gresque.store.store import Store

PROCESS = process_name(0)
LEDGER, COMMANDS = f"resque:ledger:{PROCESS}", f"resque:commands:{PROCESS}"


def next_command(client: redis.Redis, key: str = COMMANDS) -> Command:
    asked = client.blpop([key], 10)
    assert isinstance(asked, tuple | list)
    return Command.parse(asked[1])


@contextmanager
def played(run: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("starts", [True, False])
def test_a_process_that_does_not_know_yet_that_it_holds_the_job(
    store: Store, redis_client: redis.Redis, starts: bool
) -> None:
    """Its loop is busy, and has not read what Redis gave it; or the job's end is not settled."""
    hold(redis_client, 1, 1)

    def play() -> None:
        store.commands.give_answer(next_command(redis_client).token, KillAnswer(Fate.ENDED))
        if starts:
            token = next_command(redis_client).token
            store.commands.give_answer(token, KillAnswer(Fate.DEAD, in_failed=True))
        redis_client.delete(LEDGER)

    with played(play):
        (killed,) = kill(store, job_id(0, 0), by="ana", wait_seconds=10)
    expected = KillAnswer(Fate.DEAD, in_failed=True) if starts else KillAnswer(Fate.ENDED)
    assert killed == Killed(PROCESS, job_id(0, 0), expected)
    assert killed.is_over


def test_nothing_is_asked_for_a_job_that_does_not_run(
    store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 3, 3)
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    assert kill(store, "none", by="ana", wait_seconds=10) == []
    assert kill(store, "", by="ana", wait_seconds=10) == []
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before


def test_without_waiting_it_only_asks(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 3)
    (killed,) = kill(store, job_id(1, 2), by="ana", wait_seconds=0)
    assert (killed.process, killed.answer) == (process_name(1), KillAnswer(Fate.REQUESTED))
    assert not killed.is_over
    command = next_command(redis_client, f"resque:commands:{process_name(1)}")
    assert (command.name, command.argument, command.by) == ("kill", job_id(1, 2), "ana")


def test_every_process_with_such_a_job_is_asked_once(
    store: Store, redis_client: redis.Redis
) -> None:
    hold(redis_client, 3, 2)
    (value,) = redis_client.hmget(LEDGER, ["0"])
    assert value is not None
    redis_client.hset(LEDGER, "1", value)
    redis_client.hset(f"resque:ledger:{process_name(2)}", "7", value)
    killed = kill(store, job_id(0, 0), by="ana", wait_seconds=0)
    assert [each.process for each in killed] == [process_name(2), PROCESS]
    assert redis_client.llen(COMMANDS) == 1


def test_what_it_costs_with_many_processes(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call is counted that reaches Redis, but for those within scripts."""
    hold(redis_client, 50, 40)
    redis_client.rpush("resque:failed", *["x" * 700] * 10_000)

    def play() -> None:
        token = next_command(redis_client).token
        store.commands.give_answer(token, KillAnswer(Fate.DELIVERED))
        store.commands.give_answer(token, KillAnswer(Fate.DEAD, in_failed=True))

    trips: list[int] = []
    counted(store, trips)
    process = threading.Thread(target=play)
    process.start()
    # The process answers before the first look, however long that takes on a busy machine.
    monkeypatch.setattr("gresque.control.kill.time.sleep", lambda seconds: process.join())
    with Traffic(redis_client) as traffic:
        (killed,) = kill(store, job_id(0, 5), by="ana", wait_seconds=10)
    assert killed.answer.fate is Fate.DEAD
    assert len(trips) <= 10
    # Neither the payloads of other jobs nor the failed ones.
    assert traffic.bytes_sent < 50 * 100 + 20_000


def counted(store: Store, trips: list[int]) -> None:
    """Note each round trip of the store but those of `give_answer`, with its commands."""
    client = store.redis
    me = threading.get_ident()
    execute, pipeline = client.execute_command, client.pipeline

    def count(*arguments: object, **options: object) -> object:
        if threading.get_ident() == me:
            trips.append(1)
        return execute(*arguments, **options)

    def counting(*arguments: object, **options: object) -> object:
        made = pipeline(*arguments, **options)  # type: ignore[arg-type]
        run = made.execute

        def counted_run(*arguments: object, **options: object) -> object:
            if threading.get_ident() == me:
                trips.append(len(made.command_stack))
            return run(*arguments, **options)  # type: ignore[arg-type]

        made.execute = counted_run  # type: ignore[method-assign, assignment]
        return made

    client.execute_command = count  # type: ignore[method-assign]
    client.pipeline = counting  # type: ignore[method-assign, assignment]


def test_the_log_names_who_wants_it(
    store: Store, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    hold(redis_client, 1, 1)
    with caplog.at_level(logging.INFO, "gresque.control"):
        kill(store, job_id(0, 0), by="ana@vm", wait_seconds=0)
    (record,) = caplog.records
    assert record.getMessage() == f"ana@vm asks process {PROCESS} to kill job {job_id(0, 0)}"
    assert (record.event, record.by) == ("kill_requested", "ana@vm")  # type: ignore[attr-defined]


def test_a_thousand_take_as_many_round_trips_as_one(
    store: Store, redis_client: redis.Redis
) -> None:
    """Half of them die, the others have ended by themselves, or were given back."""
    hold(redis_client, 5, 200)
    targets, _ = targets_selected(store, parse("queue:mail"))
    last = targets[-1]

    def play() -> None:
        redis_client.rpush("resque:queue:mail", last.held.entry.raw)
        for number in range(5):
            key = f"resque:commands:{process_name(number)}"
            pipeline = redis_client.pipeline()
            for _ in range(200):
                command = next_command(redis_client, key)
                dies = int(command.argument, 16) % 2 == 0
                answer = KillAnswer(Fate.DEAD if dies else Fate.ENDED)
                pipeline.rpush(store.keys.answer(command.token), msgspec.json.encode(answer))
            pipeline.execute()
            redis_client.delete(f"resque:ledger:{process_name(number)}")

    trips: list[int] = []
    counted(store, trips)
    with played(play):
        killed = kill_all(store, targets, by="ana", wait_seconds=60)
    fates = Counter(each.answer.fate for each in killed)
    assert (fates[Fate.DEAD], fates[Fate.ENDED] + fates[Fate.REQUEUED]) == (500, 500)
    assert fates[Fate.REQUEUED] == int(last.job_id, 16) % 2
    # To ask, and four for each look at the answers; it looks five times a second.
    assert len(trips) < 400
    assert trips[0] == 5 * 4, "four commands for each process"
