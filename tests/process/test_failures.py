"""Where failures of real workers go: lists of Redis, backends of one's own; expiry; retries."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gresque.failure.backend import RedisMultiQueueBackend, open_backend
from gresque.failure.entry import decode_entry
from gresque.jobs import payload
from gresque.jobs.ids import new_id
from gresque.store.store import Store
from tests.process.support import Bench, wait_for

WIRE = Path(__file__).parents[1] / "wire"
OWN = "tests.process.failures"


def behave(how: str, *args: Any, expires_at: float | None = None) -> bytes:
    return payload.encode("Behave", [how, *args], None, new_id(), expires_at=expires_at)


def entries(bench: Bench, key: str = "resque:failed") -> list[Any]:
    return [decode_entry(raw) for raw in bench.redis.lrange(key, 0, -1)]


def told(bench: Bench) -> list[str]:
    return sorted(line.decode() for line in bench.redis.lrange("told", 0, -1))


class TestMultiQueue:
    def test_as_the_ruby_fork_writes_it(self, bench: Bench) -> None:
        captured = json.loads((WIRE / "fork_17_backend_redis_multi_queue.keys.json").read_text())
        bench.push_raw("bench", b'{"class":"Boom","args":["x"],"id":"1","generation":1}')
        bench.run("-q", "bench", "--burst", FAILURE_BACKEND="redis_multi_queue")
        found = {key: bench.redis.type(key).decode() for key in sorted(bench.keys())}
        for key in ("resque:bench_failed", "resque:failed_queues"):
            assert found[key] == captured[key]["type"]
        assert "resque:failed" not in found
        assert bench.redis.smembers("resque:failed_queues") == {b"bench_failed"}
        (raw,) = bench.redis.lrange("resque:bench_failed", 0, -1)
        (ruby,) = captured["resque:bench_failed"]["value"]
        assert list(json.loads(raw)) == list(json.loads(ruby))

    def test_what_a_dead_process_held_fails_there_too(self, bench: Bench) -> None:
        bench.push_raw("a", behave("die"), behave("fail"))
        bench.push_raw("b:c", behave("die"))
        bench.run(
            "-q", "a,b:c", "--burst", "--failure-backend", "redis_multi_queue",
            "--on-dirty-exit", "fail",
        )  # fmt: skip
        assert {e.exception for e in entries(bench, "resque:a_failed")} == {
            "DirtyExit", "ValueError",
        }  # fmt: skip
        assert [e.queue for e in entries(bench, "resque:b:c_failed")] == ["b:c"]
        assert bench.redis.smembers("resque:failed_queues") == {b"a_failed", b"b:c_failed"}
        assert bench.stat("failed") == 3


class TestOwnBackends:
    def test_they_are_told_of_every_failure(self, bench: Bench) -> None:
        bench.push_raw("q", *(behave("fail", f"no {n}") for n in range(20)), behave("ok"))
        bench.run("-q", "q", "--burst", "-t", "3", FAILURE_BACKEND=f"redis,{OWN}.Noted")
        assert len(entries(bench)) == 20
        expected = sorted(f"ValueError: no {n}: ['fail', 'no {n}']" for n in range(20))
        assert told(bench) == expected

    def test_a_process_of_one_job_waits_until_they_are_told(self, bench: Bench) -> None:
        bench.push_raw("q", *(behave("fail", f"no {n}") for n in range(3)))
        bench.run("-q", "q", "--burst", "--failure-backend", f"redis,{OWN}.Noted", "-j", "1")
        assert len(told(bench)) == len(entries(bench)) == 3

    @pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
    def test_they_are_told_of_the_jobs_of_a_dead_process(self, bench: Bench, preload: str) -> None:
        bench.push_raw("q", behave("die"))
        bench.run(
            "-q", "q", "--burst", preload, "--on-dirty-exit", "fail",
            "--failure-backend", f"redis,{OWN}.Noted",
        )  # fmt: skip
        assert len(entries(bench)) == 1
        assert [line.split(":")[0] for line in told(bench)] == ["DirtyExit"]

    @pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
    def test_they_are_told_of_what_the_master_recovers_at_its_end(
        self, bench: Bench, preload: str
    ) -> None:
        bench.push_raw("q", behave("immortal", False))
        master = bench.start(
            "-q", "q", preload, "--on-dirty-exit", "fail", "--term-timeout", "1",
            "--failure-backend", f"redis,{OWN}.Noted",
        )  # fmt: skip
        wait_for(lambda: bench.redis.llen("started") == 1)
        master.signal(signal.SIGTERM)
        assert master.wait() == 0
        assert len(entries(bench)) == 1
        assert [line.split(":")[0] for line in told(bench)] == ["DirtyExit"]

    def test_one_that_raises_hides_nothing(self, bench: Bench) -> None:
        bench.push_raw("q", behave("fail"), behave("ok"))
        master = bench.run(
            "-q", "q", "--burst", "--failure-backend", f"redis,{OWN}.Raises,{OWN}.Noted"
        )
        assert [e.exception for e in entries(bench)] == ["ValueError"]
        assert (bench.redis.get("raised"), len(told(bench))) == (b"1", 1)
        assert "the failure backend Raises raised; the failure stands in Redis" in master.log
        assert "stopped: reserved 2 = 1 done + 1 failed + 0 requeued" in master.log

    def test_one_that_hangs_holds_up_no_job_and_no_shutdown(self, bench: Bench) -> None:
        bench.push_raw("q", *(behave("fail") for _ in range(50)), behave("sleep", 60))
        master = bench.start(
            "-q", "q", "-t", "2", "-j", "1000", "--failure-backend", f"redis,{OWN}.Hangs",
            "--term-timeout", "10",
        )  # fmt: skip
        wait_for(lambda: len(entries(bench)) == 50)
        wait_for(lambda: bench.redis.get("hanging"))
        wait_for(lambda: bench.held() == 1)
        master.signal(signal.SIGTERM)
        assert master.wait() == 0
        assert "SIGKILL" not in master.log
        assert "reserved 51 = 0 done + 50 failed + 1 requeued" in master.log

    @pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            ("nowhere.Sentry", "cannot import the failure backend nowhere.Sentry"),
            (f"{OWN}.Missing", f"cannot import the failure backend {OWN}.Missing"),
            (f"{OWN}.NoBackend", "is no subclass of gresque.FailureBackend"),
            (f"{OWN}.CannotBeMade", "ValueError: no DSN"),
        ],
    )
    def test_one_that_cannot_be_had_ends_the_boot(
        self, bench: Bench, name: str, complaint: str, preload: str
    ) -> None:
        bench.push_raw("q", behave("ok"))
        master = bench.start("-q", "q", preload, "--failure-backend", f"redis,{name}")
        assert master.wait() == 1
        assert complaint in master.log
        assert "Traceback" not in master.log
        assert bench.redis.llen("resque:queue:q") == 1


class TestExpiry:
    def test_in_time_too_late_and_dropped(self, bench: Bench) -> None:
        past, future = time.time() - 60, time.time() + 3600
        bench.push_raw("q", behave("ok", "late", expires_at=past))
        bench.push_raw("q", behave("ok", "in time", expires_at=future))
        for job, argument in (("Fleeting", "x"), ("Noop", "y")):  # as a program without their code
            bench.push_raw("q", payload.encode(job, [argument], None, new_id()))
        dropped = payload.encode("Fleeting", ["late"], None, "1", expires_at=past)
        bench.push_raw("q", dropped)
        master = bench.run("-r", OWN, "-q", "q", "--burst", "-vv")
        (entry,) = entries(bench)
        assert (entry.exception, entry.payload["args"]) == ("JobExpired", ["ok", "late"])
        assert "before a worker took it up" in entry.error
        assert bench.redis.lrange("started", 0, -1) == [b"ok"]
        assert bench.runs().keys() >= {"x"} and "late" not in bench.runs()
        assert "s too late: Fleeting('late')" in master.log
        assert "= 4 done + 1 failed" in master.log

    def test_a_retry_of_an_expired_one_runs(self, bench: Bench) -> None:
        bench.push_raw("q", behave("ok", expires_at=time.time() - 60))
        bench.run("-q", "q", "--burst")
        assert bench.redis.llen("started") == 0
        store = Store(bench.redis_url, "resque")
        assert open_backend("redis", store).retry_all().retried == 1
        store.close()
        bench.run("-q", "q", "--burst")
        assert bench.redis.llen("started") == 1


@pytest.mark.parametrize("backend", ["redis", "redis_multi_queue"])
def test_two_retry_everything_while_jobs_fail(bench: Bench, backend: str) -> None:
    """Each failure that stood there is retried exactly once, whoever came first."""
    count = 3000
    bench.client.enqueue_many("FailOnce", [(n,) for n in range(count)], queue="q")
    bench.client.enqueue_many("FailOnce", [(n,) for n in range(count, 2 * count)], queue="p")
    bench.start("-r", OWN, "-q", "q,p", "-t", "20", "-j", "1000000", "--failure-backend", backend)
    wait_for(lambda: bench.stat("failed") > count)
    retried = []

    def retry() -> None:
        store = Store(bench.redis_url, "resque")
        failures = open_backend(backend, store)
        assert isinstance(failures, RedisMultiQueueBackend) == (backend != "redis")
        done = failures.retry_all()
        retried.append(done.retried)
        while bench.stat("failed") < 2 * count or failures.retry_all().retried:
            retried.append(failures.retry_all().retried)
        store.close()

    threads = [threading.Thread(target=retry) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    wait_for(lambda: bench.stat("processed") >= 4 * count, 120)
    wait_for(lambda: bench.held() == 0)
    assert bench.stat("failed") == 2 * count
    assert bench.runs() == {str(n): 2 for n in range(2 * count)}
