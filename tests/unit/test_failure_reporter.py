"""Your own failure backends: called for each failure, and never waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

import gresque
from gresque.errors import BootError
from gresque.failure import failure_reporter, reporters
from gresque.failure.failure_reporter import FailureReporter
from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import Registry
from gresque.store.store import Store
from gresque.worker.recovery import Recovery
from tests.support.dead_process import DEAD, hold
from tests.support.failed_jobs import (
    Redis,
)


class Async(gresque.FailureBackend):
    async def save(self, failure: gresque.Failure) -> None: ...  # type: ignore[override]


class Noted(gresque.FailureBackend):
    told: list[gresque.Failure] = []  # noqa: RUF012

    def save(self, failure: gresque.Failure) -> None:
        Noted.told.append(failure)


class Raises(gresque.FailureBackend):
    def save(self, failure: gresque.Failure) -> None:
        raise KeyboardInterrupt


class Hangs(gresque.FailureBackend):
    go_on = threading.Event()

    def save(self, failure: gresque.Failure) -> None:
        Hangs.go_on.wait(60)


class Abstract(gresque.FailureBackend):
    pass


def failure(number: int = 0) -> gresque.Failure:
    error = ValueError(f"no {number}")
    raw = b'{"class":"A","args":[%d]}' % number
    return gresque.Failure("q", "w", raw, error, "ValueError", str(error), [], time.time())


class TestOwnBackends:
    @pytest.fixture(autouse=True)
    def _fresh(self) -> Iterator[None]:
        Noted.told.clear()
        Hangs.go_on.clear()
        yield
        Hangs.go_on.set()

    def failures(self, *names: str) -> FailureReporter:
        setting = ",".join(["redis", *(f"{__name__}.{name}" for name in names)])
        return FailureReporter(setting)

    def test_what_they_are_told(self) -> None:
        wanted = failure(3)
        reporter = self.failures("Noted")
        assert reporter.has_backends
        reporter.report(wanted)
        reporter.finish()
        assert Noted.told == [wanted]
        assert Noted.told[0].payload == {"class": "A", "args": [3]}

    def test_nobody_is_told_without_one(self) -> None:
        assert not self.failures().has_backends

    def test_one_that_raises_is_logged_and_the_next_is_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reporter = self.failures("Raises", "Noted")
        for number in range(3):
            reporter.report(failure(number))
        reporter.finish()
        assert len(Noted.told) == 3
        told = [record.getMessage() for record in caplog.records]
        assert told == ["the failure backend Raises raised; the failure stands in Redis"] * 3

    def test_one_that_hangs_is_bounded_and_left_behind(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reporter = self.failures("Hangs")
        for number in range(failure_reporter.CALLERS + failure_reporter.WAITING + 5):
            reporter.report(failure(number))
        started = time.monotonic()
        reporter.finish(0.05)
        assert time.monotonic() - started < 5
        assert "falls behind: it did not get 1 failures" in caplog.text
        assert "left before " in caplog.text
        Hangs.go_on.set()
        reporter.finish(30)
        assert "falls behind: it did not get 1 failures" in caplog.text

    def test_one_that_is_not_there_in_a_recovery_is_said_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reporter = self.failures("Nowhere")
        for number in range(3):
            reporter.report(failure(number))
        reporter.finish()
        (record,) = caplog.records
        assert "cannot import the failure backend" in record.getMessage()

    def test_of_two_that_recover_the_same_process_one_tells(
        self, redis_url: str, redis_client: Redis
    ) -> None:
        registry = Registry()
        registry.add(JobDefinition("fails", "q", print, on_dirty_exit="fail"))
        hold(redis_client, *(b'{"class":"fails","args":[%d]}' % n for n in range(1200)))
        setting, start = f"redis_multi_queue,{__name__}.Noted", threading.Barrier(2)

        def recover() -> None:
            store = Store(redis_url, "resque")
            recovery = Recovery(store, registry, "requeue", 3, setting)
            start.wait()
            recovery.recover(DEAD)
            recovery.close()

        threads = [threading.Thread(target=recover) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told.payload["args"][0] for told in Noted.told) == [*range(1200)]
        assert {told.exception_name for told in Noted.told} == {"DirtyExit"}
        assert redis_client.llen("resque:q_failed") == 1200
        assert redis_client.smembers("resque:failed_queues") == {b"q_failed"}

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            ("no.such.Module", r"cannot import the failure backend no\.such\.Module \(--failure-b"),
            (f"{__name__}.Missing", "has no attribute 'Missing'"),
            (f"{__name__}.Redis", "is no subclass of gresque.FailureBackend"),
            (f"{__name__}.Async", r"save of the failure backend .*Async .* is async"),
            (f"{__name__}.failure", "is no subclass of gresque.FailureBackend"),
            (f"{__name__}.Abstract", "cannot make the failure backend .*abstract"),
        ],
    )
    def test_what_cannot_be_had_is_one_line(self, name: str, complaint: str) -> None:
        with pytest.raises(BootError, match=complaint) as caught:
            reporters.make_reporters([name])
        assert "\n" not in str(caught.value)
