"""What jobs log is kept for those that fail."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import redis

from gresque.inspector.job_log import read_job_log
from gresque.maintenance.lease import Lease
from gresque.maintenance.sample import MOST_LOGS, SampleQueues
from gresque.store.effects import failed, logged
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.worker.threads import job_lines
from gresque.worker.threads.current import _thread
from gresque.worker.threads.job_lines import JobLines, keep_lines
from tests.support.pool_bench import PoolBench
from tests.support.worker_scripts import cycle, parts, q, register

KEYS = Keys("resque")
log = logging.getLogger("shop")


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(job_lines, "kept", JobLines())
    before = logging.getLogRecordFactory()
    keep_lines(_thread)
    keep_lines(_thread)
    yield
    logging.setLogRecordFactory(before)


def a_job(name: str, number: int = 1) -> tuple[bytes, str, bytes]:
    return b"%d" % number, "q", b'{"class":"%s","args":[],"id":"%032x"}' % (name.encode(), number)


def run(function: Any, number: int = 1) -> list[str] | None:
    """The lines that the failed job leaves; None for none."""
    bench = PoolBench(2)
    bench.add("Job", function)
    bench.run(a_job("Job", number))
    found = [each for settled in bench.in_flight.settled for each in settled.effects]
    effects = [each for each in found if each.kind == "log"]
    assert [each.kind for each in found] == (["fail", "log"] if effects else ["fail"])
    if not effects:
        return None
    (effect,) = effects
    assert effect.key == f"resque:log:{number:032x}"
    assert (effect.c, effect.second_key) == (f"{number:032x}", "resque:logs")
    return zlib.decompress(effect.b).decode().splitlines()  # type: ignore[arg-type]


def test_a_job_that_logs_and_fails() -> None:
    def fails() -> None:
        log.warning("order %s of %d", "é", 7)
        gevent.spawn(log.error, "from a greenlet of its own").join()
        try:
            {}["x"]
        except KeyError:
            log.exception("caught")
        log.debug("not at this level")
        raise ValueError

    lines = run(fails)
    assert lines is not None
    assert lines[0].endswith("Z WARNING shop: order é of 7")
    assert lines[1].endswith("ERROR shop: from a greenlet of its own")
    assert lines[2].endswith("ERROR shop: caught")
    assert lines[-1] == "KeyError: 'x'"
    assert not any("not at this level" in line for line in lines)


def test_one_that_logs_nothing() -> None:
    log.warning("of no job")
    assert run(lambda: {}["x"]) is None


def test_the_last_lines_are_kept() -> None:
    def many() -> None:
        for number in range(1000):
            log.warning("%d", number)
        raise ValueError

    def long() -> None:
        for _ in range(5):
            log.warning("x" * 7000)
        log.warning("last")
        raise ValueError

    lines = run(many)
    assert lines is not None
    assert (len(lines), lines[-1][-3:]) == (200, "999")
    lines = run(long)
    assert lines is not None
    assert sum(map(len, lines)) <= 16_000
    assert lines[-1].endswith("last")


def test_a_record_that_cannot_be_formatted_hurts_no_job() -> None:
    def odd() -> None:
        logging.lastResort, before = None, logging.lastResort
        try:
            log.warning("%d", "x")
        finally:
            logging.lastResort = before
        log.warning("fine")
        raise ValueError

    raising, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        lines = run(odd)
    finally:
        logging.raiseExceptions = raising
    assert lines is not None
    assert [line[-4:] for line in lines] == ["fine"]


def test_lines_of_jobs_that_have_ended_are_forgotten() -> None:
    bench = PoolBench(1)
    bench.add("Job", lambda: log.warning("x"))
    bench.run(a_job("Job"))
    assert job_lines.kept._kept
    for thread in bench.pool.threads:
        thread.forget_ended()
    assert not job_lines.kept._kept


def test_so_many_a_second_leave_their_lines() -> None:
    def fails() -> None:
        log.warning("x")
        raise ValueError

    bench = PoolBench(1)
    bench.add("Job", fails)
    bench.run(*(a_job("Job", number) for number in range(400)))
    kept = sum(len(settled.effects) > 1 for settled in bench.in_flight.settled)
    assert job_lines.MOST_JOBS_A_SECOND <= kept < 400


def test_the_turn_that_settles_keeps_them(store: Store, redis_client: redis.Redis) -> None:
    register(redis_client)
    redis_client.rpush(q("a"), "x")
    cycle(redis_client, 1, 1, ["a"], free=["0"])
    lines = zlib.compress(b"first\nlast")
    effects = [("0", *each) for each in (failed("resque:failed", b"entry"),
                                         logged(KEYS, "f00", lines, 1000))]  # fmt: skip
    made = [each if each[-1] else each[:-1] for each in effects]
    reply = cycle(redis_client, 2, 0, [], ended=["0"], effects=made, counted=(1, 1))
    assert parts(reply) == ([], {}, [])
    assert read_job_log(store, "f00") == ["first", "last"]
    assert redis_client.zrange("resque:logs", 0, -1, withscores=True) == [(b"f00", 1000)]
    for key in ("resque:log:f00", "resque:logs"):
        assert 0 < redis_client.ttl(key) <= 3 * 86_400


def test_those_of_the_last_jobs_are_kept(store: Store, redis_client: redis.Redis) -> None:
    names = [f"{number:05d}" for number in range(MOST_LOGS + 700)]
    redis_client.mset({f"resque:log:{name}": "x" for name in names})
    redis_client.zadd("resque:logs", {name: int(name) for name in names})
    lease = Lease("me")
    lease.held = True
    SampleQueues(lease).run(store)
    assert redis_client.zcard("resque:logs") == MOST_LOGS
    assert len(redis_client.keys("resque:log:*")) == MOST_LOGS
    assert redis_client.exists("resque:log:00700") and not redis_client.exists("resque:log:00699")


def test_what_is_no_log(store: Store, redis_client: redis.Redis) -> None:
    redis_client.set("resque:log:a", "no zlib")
    redis_client.lpush("resque:log:b", "x")
    assert read_job_log(store, "a") == read_job_log(store, "b") == read_job_log(store, "c") == []
