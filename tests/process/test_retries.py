"""Retries with real masters: attempts, hooks, statistics; what takes no attempt."""

from __future__ import annotations

import json
import signal

import pytest

from gresque.cli.main import run
from tests.process.support import Bench, wait_for

OURS = "tests.process.retrying"


def attempts(bench: Bench, name: str) -> list[int]:
    return [int(each) for each in bench.redis.lrange(f"attempts:{name}", 0, -1)]


def hooks(bench: Bench, name: str) -> list[str]:
    return [each.decode() for each in bench.redis.lrange(f"hooks:{name}", 0, -1)]


def test_a_job_is_tried_again_until_it_succeeds_or_gives_up(bench: Bench) -> None:
    """Two with equal arguments count by themselves."""
    master = bench.start("-q", "q", "-r", OURS, "-t", "10", "-j", "1000")
    for name, fails in (("good", 3), ("bad", 9), ("good", 3)):
        bench.client.enqueue_to("q", "Flaky", name, fails)
    wait_for(lambda: bench.stat("processed") == 3)
    assert sorted(attempts(bench, "good")) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert attempts(bench, "bad") == [1, 2, 3, 4]
    assert hooks(bench, "good") == ["retry"] * 6
    assert hooks(bench, "bad") == ["retry"] * 3 + ["failure", "give up"]
    (entry,) = bench.failed()
    assert [each["message"] for each in entry.payload["gresque"]["errors"]] == ["as told, bad"] * 4
    assert (bench.stat("processed"), bench.stat("failed"), bench.stat("retried")) == (3, 1, 9)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "stopped: reserved 12 = 2 done + 1 failed + 9 retried + 0 requeued" in master.log
    assert "attempt 1 failed, the next one comes in 0.0 s: Flaky(" in master.log
    left = {"resque:queues", "resque:failed", "resque:stat:processed", "resque:stat:failed"}
    assert bench.keys() - {"resque:recoveries"} == left | {"resque:stat:retried"}


def test_snoozes_and_shutdowns_take_no_attempt(bench: Bench) -> None:
    master = bench.start("-q", "q", "-r", OURS, "-t", "10", "-j", "1000")
    bench.client.enqueue_to("q", "Snoozing", "s", 5)
    bench.client.enqueue_to("q", "HangsAtTwo", "h")
    for starts in (2, 3):
        wait_for(lambda n=starts: len(attempts(bench, "h")) == n)  # type: ignore[misc]
        master.signal(signal.SIGTERM)
        assert master.wait() == 0
        if starts == 3:
            bench.redis.set("released", 1)
        master = bench.start("-q", "q", "-r", OURS, "-t", "10", "-j", "1000")
    wait_for(lambda: bench.stat("processed") == 2)
    assert attempts(bench, "s") == [1] * 6
    assert attempts(bench, "h") == [1, 2, 2, 2]
    assert (bench.stat("failed"), bench.stat("retried")) == (0, 1)


def test_a_burst_does_not_wait_for_retries(bench: Bench) -> None:
    """Nor for a job whose code is not here. Both wait for the next worker."""
    bench.push_raw("q", b'{"class":"Boom","args":["x"]}', b'{"class":"not.yet","args":[]}')
    master = bench.run("-q", "q", "--burst", RETRIES="1")
    assert "reserved 2 = 0 done + 0 failed + 1 retried + 1 requeued" in master.log
    assert "no job named 'not.yet' is declared here" in master.log
    items = [each.partition(b"{")[2] for each in bench.redis.hvals("resque:later:jobs")]
    envelopes = [json.loads(b"{" + item)["gresque"] for item in items]
    boom, unknown = sorted(envelopes, key=lambda each: "unknown_since" in each)
    assert (boom["attempt"], boom["errors"][0]["class"]) == (2, "ValueError")
    assert unknown.keys() == {"unknown_since", "run_at"}
    for member in bench.redis.zrange("resque:later", 0, -1):
        bench.redis.zadd("resque:later", {member: 1})
    bench.run("-q", "q", "--burst", RETRIES="1", UNKNOWN_JOB_GRACE_SECONDS="0")
    assert sorted(entry.exception for entry in bench.failed()) == ["UnknownJob", "ValueError"]
    assert bench.redis.exists("resque:later") == 0


def test_a_job_waits_for_the_workers_that_know_it(bench: Bench) -> None:
    """A deploy: the old ones put it off, the new ones run it, once."""
    old = bench.start("-q", "q", "-t", "4", "-j", "1000")
    job_id = bench.client.enqueue_to("q", "Flaky", "new", 0)
    wait_for(lambda: bench.redis.zcard("resque:later") == 1)
    assert bench.redis.zrange("resque:later", 0, -1) == [str(job_id).encode()]
    bench.start("-q", "q", "-r", OURS, "-t", "4", "-j", "1000")
    old.signal(signal.SIGTERM)
    assert old.wait() == 0
    wait_for(lambda: bench.stat("processed") == 1)
    assert attempts(bench, "new") == [1]
    assert (bench.stat("failed"), bench.stat("retried")) == (0, 0)


DECISION = {"backoff": [], "on_retry": ["retry"], "message": ["retry"]}
"""Where code of the job runs before it is put off, and the hooks that it has called by then."""


@pytest.mark.parametrize("where", DECISION)
def test_a_kill_while_a_job_is_about_to_be_put_off(
    bench: Bench, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """It ends the job, and not only that code."""
    bench.redis.set("hangs", where)
    job_id = bench.client.enqueue_to("q", "Hangs")
    master = bench.start("-q", "q", "-r", OURS, "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("hanging") == 1)
    assert run(["kill", job_id, "--redis", bench.redis_url]) == 0
    assert capsys.readouterr().out == f"dead; see gresque failed show {job_id}\n"
    (entry,) = bench.failed()
    killed = "Job was killed: an operator killed it by its id"
    assert (entry.exception, entry.error) == ("DirtyExit", killed)
    assert not bench.redis.exists("resque:later", "resque:queue:q")
    assert hooks(bench, "Hangs") == [*DECISION[where], "failure by DirtyExit"]
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "stopped: reserved 1 = 0 done + 1 failed + 0 requeued" in master.log
    assert attempts(bench, "Hangs") == [1]


@pytest.mark.parametrize("where", DECISION)
def test_a_shutdown_meanwhile_costs_no_retry(bench: Bench, where: str) -> None:
    bench.redis.set("hangs", where)
    bench.client.enqueue_to("q", "Hangs")
    master = bench.start("-q", "q", "-r", OURS, "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.llen("hanging") == 1)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "stopped: reserved 1 = 0 done + 0 failed + 1 retried + 0 requeued" in master.log
    (waiting,) = bench.redis.hvals("resque:later:jobs")
    assert json.loads(b"{" + waiting.partition(b"{")[2])["gresque"]["attempt"] == 2
    assert bench.failed() == []
