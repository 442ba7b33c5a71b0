"""Threads with what they have in flight, and without a cycle: it settles nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from gresque.failure.failure_reporter import FailureReporter
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ends import EndRules
from gresque.jobs.hooks import JobHooks
from gresque.jobs.registry import Registry
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.threads.outcome import Outcome
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.wakeup import Wakeup

PATIENCE_SECONDS = 20.0
"""Far above what anything here takes: a test that waits this long has failed."""


def a_job(slot: int | str, name: str = "ok", *args: Any, **kwargs: Any) -> tuple[bytes, str, bytes]:
    item = {"class": name, "args": [*args, {**kwargs, "_kwargs": True}] if kwargs else args}
    return str(slot).encode(), "q", json.dumps(item).encode()


class PoolBench:
    """A thread pool and what it has in flight, without a cycle."""

    def __init__(self, size: int, on_dirty_exit: str = "requeue", **rules: Any) -> None:
        self.in_flight = InFlight(Totals(), Keys("resque"))
        self.wakeup = Wakeup()
        self.registry = Registry()
        self.outcome = Outcome(
            self.in_flight,
            FailureReporter("redis"),
            "vm:1:q:1:1:1",
            EndRules(Keys("resque"), on_dirty_exit, **rules),
        )
        self.pool = ThreadPool(
            size, self.in_flight, self.wakeup, self.registry, self.outcome, [0] * size
        )
        self.add("ok", lambda *args, **kwargs: None)

    def add(self, name: str, function: Callable[..., Any], owner: Any = None, **more: Any) -> None:
        hooks = JobHooks(owner)
        self.registry.add(JobDefinition(name, "q", function, hooks=hooks, **more))

    def put(self, *jobs: tuple[bytes, str, bytes]) -> None:
        self.in_flight.ready.extend(jobs)
        self.in_flight.held += len(jobs)
        self.pool.wake_at = self.in_flight.held
        if not self.pool.waking:
            self.pool.wake_one()

    def run(self, *jobs: tuple[bytes, str, bytes]) -> None:
        """Put the jobs, and wait for their ends."""
        self.put(*jobs)
        self.until(lambda: len(self.in_flight.ended) == self.in_flight.held)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.wakeup.wait(0.002)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.in_flight.done, self.in_flight.failed, self.in_flight.requeued

    @property
    def put_off(self) -> list[tuple[str, int, dict[str, Any]]]:
        """What is to run again: kind of its effect, delay in ms, payload."""
        effects = [effect for each in self.in_flight.settled for effect in each.effects]
        found: list[tuple[str, int, dict[str, Any]]] = []
        for kind, key, a, b, c, second in effects:
            if kind in ("later", "snooze"):
                assert (key, second) == ("resque:later", "resque:later:jobs")
                found.append(
                    (kind, int(a), json.loads(bytes(c).removeprefix(b"14:resque:queue:q")))
                )
            elif kind == "push":
                assert (key, a) == ("resque:queue:q", "q")
                found.append((kind, 0, json.loads(b)))
        return found

    @property
    def entries(self) -> list[dict[str, Any]]:
        effects = [effect for each in self.in_flight.settled for effect in each.effects]
        failed = [effect for effect in effects if effect.kind == "fail"]
        assert {effect.key for effect in failed} <= {"resque:failed"}
        return [json.loads(effect.a) for effect in failed]


@pytest.fixture(name="open_bench")
def open_bench_fixture() -> Iterator[Callable[..., PoolBench]]:
    benches: list[PoolBench] = []

    def opened(size: int = 1, on_dirty_exit: str = "requeue", **rules: Any) -> PoolBench:
        benches.append(PoolBench(size, on_dirty_exit, **rules))
        return benches[-1]

    yield opened
    for bench in benches:
        # Parked or in a job, each leaves for good: none is left to disturb the next test.
        gevent.killall(bench.pool.threads, block=False)
    gevent.sleep(0)


OpenBench = Callable[..., PoolBench]


def fails_with(error: Any) -> Callable[..., None]:
    def fail(*args: Any) -> None:
        raise error

    return fail


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


def wait_long() -> None:
    gevent.sleep(PATIENCE_SECONDS)


def hostile(base: type[BaseException]) -> BaseException:
    """An exception that raises whatever is asked of it."""

    def no(*args: Any) -> Any:
        raise gevent.GreenletExit

    asked = ["__str__", "__repr__", "__getattribute__", "__bool__", "__eq__", "__hash__"]
    properties = ["__context__", "__cause__", "__traceback__", "__class__", "__notes__", "args"]
    body = dict.fromkeys(asked, no) | dict.fromkeys(properties, property(no))
    return type("Hostile", (base,), body)()
