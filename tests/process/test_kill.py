"""`gresque kill`: one job of many, by its id."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from gresque.cli.main import run
from gresque.failure.entry import decode_entry
from tests.process.support import Bench, wait_for


def kill(bench: Bench, job_id: str | None, *options: str) -> int:
    assert job_id is not None
    return run(["kill", job_id, "--redis", bench.redis_url, *options])


def when_answered(bench: Bench, do: Callable[[], object]) -> threading.Thread:
    """Do it, in a thread of its own, once a process has answered one more command."""
    before = set(bench.redis.keys("resque:answer:*"))

    def wait_and_do() -> None:
        wait_for(lambda: set(bench.redis.keys("resque:answer:*")) - before)
        do()

    thread = threading.Thread(target=wait_and_do)
    thread.start()
    return thread


def test_one_of_a_thousand_dies_and_the_others_finish(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = [60.0 if n == 500 else 3.0 for n in range(1000)]
    ids = bench.client.enqueue_many(
        "CountSlowly", [(str(n), each) for n, each in enumerate(seconds)], queue="q"
    )
    bench.start("-q", "q", "-t", "1000", "-j", "100000")
    wait_for(lambda: bench.begun() == 1000)
    # From its first second on the process listens for kills, and publishes what runs.
    wait_for(lambda: bench.redis.keys("resque:running:*"))
    assert kill(bench, ids[500]) == 0
    assert capsys.readouterr().out == f"dead; see gresque failed show {ids[500]}\n"
    assert run(["failed", "show", ids[500], "--redis", bench.redis_url]) == 0
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", ids[500])
    wait_for(lambda: len(bench.runs()) == 999)
    assert "500" not in bench.runs()


@pytest.mark.parametrize("how", ["sleep", "spin", "swallow", "finally", "redis", "socket"])
def test_it_dies_whatever_it_does(bench: Bench, how: str) -> None:
    arguments = [60] if how in ("sleep", "swallow") else []
    job_id = bench.client.enqueue_to("q", "Behave", how, *arguments)
    bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    assert kill(bench, job_id) == 0


@pytest.mark.parametrize("spinning", [False, True])
def test_an_immortal_one_takes_its_process_along_and_its_neighbours_run_again(
    bench: Bench, capsys: pytest.CaptureFixture[str], spinning: bool
) -> None:
    for n in range(5):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 4)
    job_id = bench.client.enqueue_to("q", "Behave", "immortal", spinning)
    bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    assert kill(bench, job_id) == 0
    assert "did not die, its process was replaced" in capsys.readouterr().out
    wait_for(lambda: bench.runs() == {str(n): 1 for n in range(5)})
    assert bench.redis.llen("resque:failed") == 1


def test_what_does_not_run_is_said(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert kill(bench, "no-such-id") == 2
    assert "no job with the id no-such-id is running" in capsys.readouterr().err


@pytest.mark.parametrize(("how", "told"), [("sleep", "dead"), ("immortal", "replaced")])
def test_a_process_for_one_job_answers_before_it_leaves(
    bench: Bench, capsys: pytest.CaptureFixture[str], how: str, told: str
) -> None:
    """The process leaves right after the job; what is said is so, however long `failed` is."""
    arguments = [60] if how == "sleep" else [False]
    job_id = bench.client.enqueue_to("q", "Behave", how, *arguments)
    bench.start("-q", "q")
    wait_for(lambda: bench.redis.llen("started") == 1)
    assert kill(bench, job_id, "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert (answer["outcome"], answer["id"]) == (told, job_id)
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", job_id)


def test_one_that_ends_by_itself_is_not_called_dead(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = bench.client.enqueue_to("q", "Guarded", "over", "until")
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    wait_for(lambda: bench.redis.keys("resque:running:*"))

    def told() -> str:
        assert kill(bench, job_id, "--wait", "0.2") == 1
        return capsys.readouterr().out

    wait_for(lambda: "in an uninterruptible section" in told())
    ending = when_answered(bench, lambda: bench.redis.set("over", 1))
    assert kill(bench, job_id) == 0
    ending.join()
    assert capsys.readouterr().out.startswith("dead;")
    catches = bench.client.enqueue_to("q", "Behave", "catch")
    wait_for(lambda: bench.redis.llen("started") == 2)
    assert kill(bench, catches) == 0
    assert capsys.readouterr().out == "it ended by itself, not by the kill\n"
    assert len(master.children()) == 1


def test_a_process_that_dies_meanwhile_is_answered_for(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = bench.client.enqueue_to("q", "Guarded", 60)
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    done = when_answered(bench, master.kill_children)
    assert kill(bench, job_id) == 1
    told = "its process died before it answered; the job is back in its queue\n"
    assert capsys.readouterr().out == told
    done.join()


@pytest.mark.parametrize(
    ("back", "code", "told"),
    [
        (False, 0, "it ended by itself, not by the kill\n"),
        (True, 1, "it was not killed: it is back in its queue\n"),
    ],
)
def test_of_a_process_that_leaves_before_it_hears(
    bench: Bench, capsys: pytest.CaptureFixture[str], back: bool, code: int, told: str
) -> None:
    item, key = b'{"class":"Nothing","args":[],"id":"a"}', b"resque:queue:q"
    process = "vm:1:q:1:1:1:22:1764000000000"
    bench.redis.hset(
        f"resque:ledger:{process}",
        mapping={"state": "1 0 0 0 0 0", "0": b"%d:%s%s" % (len(key), key, item)},
    )
    bench.redis.zadd("resque:ledgers", {process: 1})

    def leave() -> None:
        with suppress(AssertionError):  # else the kill waits for it in vain, and tells
            wait_for(lambda: bench.redis.exists(f"resque:commands:{process}"))
        if back:
            bench.redis.lpush(key, item)
        bench.redis.zrem("resque:ledgers", process)

    leaving = threading.Thread(target=leave)
    leaving.start()
    assert kill(bench, "a") == code
    assert capsys.readouterr().out == told
    leaving.join()


def test_each_process_with_such_a_job_answers(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = json.dumps({"class": "Behave", "args": ["sleep", 60], "id": "twice"}).encode()
    bench.push_raw("q", raw, raw)
    bench.start("-q", "q", "-w", "2")
    wait_for(lambda: bench.redis.llen("started") == 2)
    assert kill(bench, "twice") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2][:5] for line in lines] == ["dead;", "dead;"]
    assert bench.redis.llen("resque:failed") == 2


def test_a_hook_that_hangs_dies_and_its_failure_is_kept(bench: Bench) -> None:
    job_id = bench.client.enqueue_to("q", "FailsSlowly")
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    assert kill(bench, job_id) == 0
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry.exception, entry.error) == ("ValueError", "at once")
    assert "an on_failure hook of FailsSlowly raised" in master.log


def test_a_hook_that_hangs_is_ended_by_term(bench: Bench) -> None:
    bench.client.enqueue_to("q", "FailsSlowly")
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 1 = 0 done + 1 failed + 0 requeued" in master.log
    assert bench.redis.llen("resque:failed") == 1


def test_all_of_a_class_that_run_for_long(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """In two processes, in one round trip; a job of another class goes on."""
    for _ in range(40):
        bench.client.enqueue_to("q", "Behave", "sleep", 60)
    bench.client.enqueue_to("q", "Until", "go")
    bench.start("-q", "q", "-w", "2", "-t", "30", "-j", "1000")
    wait_for(lambda: bench.held() == 41 and bench.redis.llen("started") == 40)
    wait_for(lambda: len(bench.redis.keys("resque:running:*")) == 2)
    flags = ("--redis", bench.redis_url)

    def longer_than(seconds: int) -> int:
        run(
            [
                "running",
                "groups",
                "--class",
                "Behave",
                "--longer-than",
                str(seconds),
                "--json",
                *flags,
            ]
        )
        return sum(group["count"] for group in json.loads(capsys.readouterr().out))

    wait_for(lambda: longer_than(1) == 40)
    assert longer_than(50) == 0
    assert run(["kill", "--class", "Behave", "--longer-than", "1", *flags]) == 2
    assert "give --yes" in capsys.readouterr().err
    assert run(["kill", "--class", "Behave", "--longer-than", "1", "--yes", *flags]) == 0
    assert capsys.readouterr().out == "40 × dead\nsee gresque failed list\n"
    assert bench.redis.llen("resque:failed") == 40
    assert bench.held() == 1, "the other one runs"
    assert run(["status", *flags]) == 0, "what was killed on purpose is no failure"
    capsys.readouterr()
    bench.redis.rpush("go", "x")
    wait_for(lambda: bench.runs() == {"go": 1})
