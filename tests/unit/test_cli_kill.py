"""`gresque kill`, as a user calls it, with processes that the test plays."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from benchmarks.held import hold, job_id, process_name
from gresque.store.commands import Command, Fate, KillAnswer
from gresque.store.store import Store
from tests.support.cli import Call
from tests.support.views import OTHER, PROCESS, item, process

DEAD = KillAnswer(Fate.DEAD, in_failed=True)


@contextmanager
def answering(
    store: Store, client: redis.Redis, *processes: str, answer: KillAnswer = DEAD
) -> Iterator[list[str]]:
    """The processes answer each kill so; yields the ids of the jobs that they were asked for."""
    over = threading.Event()
    asked: list[str] = []

    def play() -> None:
        while not over.is_set():
            for name in processes:
                raw = client.lpop(f"resque:commands:{name}")
                if isinstance(raw, bytes):
                    command = Command.parse(raw)
                    asked.append(command.argument)
                    store.commands.give_answer(command.token, answer)
                    break
            else:
                time.sleep(0.005)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


NAMES = [process_name(0), process_name(1)]


def test_one(call: Call, store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 3)
    with answering(store, redis_client, *NAMES) as asked:
        answer = call("kill", job_id(1, 2)[-20:])
    assert answer == (0, f"dead; see gresque failed show {job_id(1, 2)}\n", "")
    assert asked == [job_id(1, 2)]


@pytest.mark.parametrize("count", [2, 5])
def test_several(call: Call, store: Store, redis_client: redis.Redis, count: int) -> None:
    """Few are looked for by Redis, many in all that runs."""
    hold(redis_client, 2, 5)
    ids = [job_id(0, slot)[-20:] for slot in range(count)]
    with answering(store, redis_client, *NAMES) as asked:
        answer = call("kill", *ids, "none", ids[0])
    assert sorted(asked) == [job_id(0, slot) for slot in range(count)]
    assert answer.code == 1
    assert answer.out.splitlines() == [
        *(f"{each}: dead; see gresque failed show {each}" for each in sorted(asked)),
        "none: it does not run",
    ]


def test_several_of_which_none_runs(call: Call, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 5)
    answer = call("kill", "a", "b")
    assert (answer.code, answer.out) == (2, "")
    assert "no job with one of these ids is running" in answer.err


@pytest.mark.parametrize("others", [[], ["x", "y", "z", "u"]], ids=len)
def test_digits_that_several_ids_end_with(
    call: Call, redis_client: redis.Redis, others: list[str]
) -> None:
    hold(redis_client, 2, 5)
    answer = call("kill", *others, "00000001")
    assert (answer.code, answer.out) == (2, "")
    assert "the ids of 2 running jobs end with 00000001; give more digits: " in answer.err
    assert redis_client.keys("resque:commands:*") == []


def test_many(call: Call, store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 20)
    with answering(store, redis_client, *NAMES) as asked:
        answer = call("kill", "--class", "Fetch", "--yes")
    assert answer == (0, "40 × dead\nsee gresque failed list\n", "")
    assert len(set(asked)) == 40


def test_many_that_are_not_over(call: Call, store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 20)
    guarded = KillAnswer(Fate.GUARDED)
    with answering(store, redis_client, *NAMES, answer=guarded) as asked:
        answer = call("kill", "--queue", "mail", "--yes", "--wait", "2.5")
    assert answer.code == 1
    first, second = answer.out.splitlines()
    assert first.startswith("40 × delivered; it is in an uninterruptible section")
    assert second.startswith("not over: ") and second.endswith(" and 30 more")
    assert len(asked) == 40


class TestSelected:
    @pytest.fixture(autouse=True)
    def _running(self, redis_client: redis.Redis) -> None:
        items = [item("A", number=1), item("B", number=2), item("A", number=3)]
        process(redis_client, PROCESS, *items, b'{"class":"A","args":[]}', runs={"0": 7200})
        process(redis_client, OTHER, item("A", number=4), runs={"0": 1800})

    @pytest.mark.parametrize(
        ("flags", "question"),
        [
            (["--class", "A"], "3 running jobs, 3 × A, in 2 processes"),
            (["--queue", "mail"], "4 running jobs, 3 × A, 1 × B, in 2 processes"),
            (["--process", "vm:11", "--class", "B"], "1 running job, 1 × B, in 1 process"),
            (["--longer-than", "1h"], "1 running job, 1 × A, in 1 process"),
        ],
        ids=str,
    )
    def test_it_asks(
        self, call: Call, redis_client: redis.Redis, flags: list[str], question: str
    ) -> None:
        answer = call("kill", *flags, stdin=b"n\n", terminal=True)
        assert answer.code == 1
        assert f"Kill {question}? [y/N]" in answer.err
        assert answer.err.endswith("nothing was done\n")
        assert redis_client.keys("resque:commands:*") == []

    def test_the_answer_is_yes(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        with answering(store, redis_client, PROCESS, OTHER) as asked:
            answer = call("kill", "--class", "A", "--json", stdin=b"y\n", terminal=True)
        assert answer.code == 0
        found = json.loads(answer.out[answer.out.index("[\n") :])
        assert [row["outcome"] for row in found] == ["dead"] * 3
        assert sorted(asked) == sorted(row["id"] for row in found), "not the one without an id"

    def test_without_a_terminal(self, call: Call, redis_client: redis.Redis) -> None:
        answer = call("kill", "--class", "A")
        assert (answer.code, "stdin is not a terminal; give --yes" in answer.err) == (2, True)
        assert redis_client.keys("resque:commands:*") == []

    def test_it_only_asks_the_processes(self, call: Call, redis_client: redis.Redis) -> None:
        answer = call("kill", "--class", "A", "--yes", "--wait", "0")
        assert (answer.code, answer.out.count("requested")) == (0, 3)
        assert redis_client.llen(f"resque:commands:{PROCESS}") == 2

    def test_none(self, call: Call, redis_client: redis.Redis) -> None:
        assert "no such job runs" in call("kill", "--class", "C", "--yes").err
        redis_client.delete(f"resque:ledger:{OTHER}")
        redis_client.hdel(f"resque:ledger:{PROCESS}", "0", "1", "2")
        answer = call("kill", "--class", "A", "--yes")
        assert (answer.code, "such jobs have no ids" in answer.err) == (2, True)


@pytest.mark.parametrize("arguments", [[], ["id", "--class", "A"], ["--yes"]], ids=str)
def test_either_ids_or_a_selection(call: Call, arguments: list[str]) -> None:
    answer = call("kill", *arguments)
    assert answer.code == 2
    assert "give either the ids of the jobs to kill, or --class and so on" in answer.err


def test_an_empty_flag(call: Call) -> None:
    assert "--queue is empty" in call("kill", "--queue", "").err
