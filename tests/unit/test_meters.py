"""The meters of a worker process: what ends is counted once, whatever becomes of a turn."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
import redis

from gresque.jobs.meter import NO_METER
from gresque.processes.sums import SIZE, SharedSums, Sums
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.worker.turns import meters as meters_module
from gresque.worker.turns.meters import BRIEF, MOST_METERS, Meters
from tests.support.pool_bench import PoolBench, a_job
from tests.support.turn_processes import LastingProcess

NOW = 1_700_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(meters_module, "time", clock)
    return clock


def made(shared: SharedSums | None = None) -> Meters:
    return Meters(Keys("resque"), shared=shared, enabled=True)


def written(redis_client: redis.Redis, span: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for key in redis_client.scan_iter(f"resque:metrics:{span}:*"):
        for name, count in redis_client.hgetall(key).items():
            if name != b"#":
                found[name.decode()] += int(count)
    return +found


class Place:
    """One process at work on queue `a`, each turn of which is in a second of its own."""

    def __init__(self, url: str, client: redis.Redis, clock: Clock) -> None:
        self.redis, self.clock = client, clock
        self.store = Store(url, "resque")
        self.shared = SharedSums()
        self.process = LastingProcess(url, self.store, 2)  # it has no caps
        self.in_flight, self.cycle = self.process.in_flight, self.process.cycle
        self.meters = self.in_flight.meters = made(self.shared)
        client.hset(self.store.keys.ledger(self.process.name), "state", "0 0 0 0 0 0")
        client.zadd(self.store.keys.ledgers, {self.process.name: 1})

    def turn(self, want: int = 0, *, loss: str = "") -> None:
        self.clock.now += 1
        self.process.line.loss = loss
        self.cycle.turn(want)

    def end(self, count: int = 2) -> None:
        """Jobs that are done."""
        for _ in range(count):
            slot, queue, _ = self.in_flight.ready.popleft()
            self.in_flight.ended.append(slot)
            self.in_flight.done += 1
            self.meters.named("Job", queue).done += 1


@pytest.fixture
def place(redis_url: str, redis_client: redis.Redis, clock: Clock) -> Place:
    redis_client.rpush("resque:queue:a", *("x" * 12))
    return Place(redis_url, redis_client, clock)


@pytest.mark.parametrize("loss", ["", "request", "reply"])
def test_a_turn_that_is_sent_again_counts_once(place: Place, loss: str) -> None:
    place.turn(6)
    place.end()
    place.turn(loss=loss)
    place.end()
    place.turn(loss=loss)
    place.turn(loss=loss)
    assert place.redis.get("resque:stat:processed") == b"4"
    second = NOW % 60
    assert written(place.redis, "second") == {f"{second + 1}d": 2, f"{second + 2}d": 2}
    for span in ("minute", "ten"):
        assert written(place.redis, span) == {"d": 4, "d|a|Job": 4}
    assert written(place.redis, "times")["t|Job|0"] == 4
    place.meters.leave(place.cycle.settled)
    assert place.shared.take() == []


def test_one_turn_of_a_second_writes(place: Place) -> None:
    place.turn(6)
    place.end()
    place.turn()
    place.end()
    place.cycle.turn(0)
    assert written(place.redis, "minute")["d"] == 2
    place.turn()
    assert written(place.redis, "minute")["d"] == 4


def test_what_no_turn_takes_is_left(place: Place) -> None:
    place.turn(6)
    place.end()
    place.cycle.turn(0)
    place.meters.leave_late(place.cycle.settled)
    assert not place.shared.used
    place.clock.now += 2
    place.meters.leave_late(place.cycle.settled)
    (sums,) = place.shared.take()
    assert sums.second == place.clock.now - 1
    assert (sums.totals, sums.counts) == ({"d": 2}, {"d|a|Job": 2})
    place.turn()
    assert written(place.redis, "minute") == {}


def test_a_full_memory_is_written_with_the_turn(place: Place) -> None:
    others = Sums(NOW, {"d": 5}, {"d|b|Other": 5}, {})
    others.counts |= {f"d|b|{'x' * 100}{number}": 1 for number in range(2000)}
    while place.shared.used <= SIZE // 2:
        assert place.shared.leave(others)
    place.turn(6)
    place.end()
    place.turn()
    assert not place.shared.used
    assert written(place.redis, "minute")["d"] >= 7
    assert written(place.redis, "minute")["*|*"] == 0


def test_nothing_is_written_where_metrics_are_off(place: Place) -> None:
    place.meters = place.in_flight.meters = Meters(Keys("resque"), shared=place.shared)
    place.turn(6)
    place.end()
    place.turn()
    place.meters.leave(place.cycle.settled)
    assert not place.redis.keys("resque:metrics:*")
    assert not place.shared.used


def test_a_hash_takes_so_many_fields(place: Place) -> None:
    for number in range(3):
        sums = Sums(NOW, {"d": 900}, {f"d|q{number}|C{n}": 1 for n in range(900)}, {})
        place.store.metrics.add("x", number, sums)
    found = place.redis.hgetall(f"resque:metrics:minute:{NOW // 60}")
    assert len(found) <= 2003
    assert found[b"d"] == b"2700"
    assert sum(int(n) for name, n in found.items() if b"|" in name) == 2700
    assert int(found[b"d|*|*"]) > 600


def test_what_a_thread_counts() -> None:
    bench = PoolBench(3)
    bench.in_flight.meters = made()
    bench.add("fails", lambda: {}["x"])
    bench.add("naps", lambda: __import__("gevent").sleep(0.02))
    bench.run(a_job(0), a_job(1), a_job(2, "fails"), a_job(3, "naps"), a_job(4, "unknown"))
    bench.until(lambda: len(bench.pool.parked) == len(bench.pool.threads))
    counts: dict[str, int] = {}
    times: dict[str, int] = {}
    for meter in bench.in_flight.meters._meters.values():
        meter.take(counts, times)
    assert 15 < counts.pop("s|q|naps") < 2000
    assert counts == {
        "d|q|ok": 2, "d|q|naps": 1, "f|q|fails": 1, "x|q|fails|KeyError": 1,
        "f|q|unknown": 1, "x|q|unknown|UnknownJob": 1,
    }  # fmt: skip
    assert times.pop("t|ok|0") == 2
    assert sum(times.values()) == 3
    assert times.keys() >= {"t|fails|0"}
    assert "t|naps|0" not in times


def test_a_class_from_several_queues() -> None:
    bench = PoolBench(1)
    bench.in_flight.meters = made()
    jobs = zip(map(a_job, range(6)), "aabbab", strict=True)
    bench.run(*((slot, queue, raw) for (slot, _, raw), queue in jobs))
    found = {pair: meter.done for pair, meter in bench.in_flight.meters._meters.items()}
    assert found == {("a", "ok"): 3, ("b", "ok"): 3}


def test_meters_are_bounded() -> None:
    bench, meters = PoolBench(1), made(SharedSums())
    definition = bench.registry.find("ok")
    assert definition is not None
    for number in range(MOST_METERS + 5):
        meters.of(definition, f"q{number}").done += 1
    assert meters.of(definition, "more").queue == "*"
    meters.leave(Totals(done=MOST_METERS + 5))
    assert meters.of(definition, "more").queue == "more"
    assert len(meters._meters) < 10
    assert definition.meter is not NO_METER


def test_turns_that_follow_within_5_ms_say_nothing_new(clock: Clock) -> None:
    clock.now = time.time()
    meters = made(SharedSums())

    def note(queue: str, age: float, jobs: int) -> None:
        made_at = b"%012x" % int((clock.now - age) * 1000)
        raw = b'{"class":"A","args":[],"id":"%s70008000000000000000"}' % made_at
        meters.note_waits(queue, [raw] * jobs)

    note("q", 20.0, 1)
    clock.now += 0.004
    note("q", 0.0, 300)
    note("r", 0.0, 10)
    note("q", 0.0, 2)
    clock.now -= 100.0
    note("q", 20.0, 1)
    clock.now += 0.006
    note("q", 0.0, 5)
    meters.leave(Totals())
    (sums,) = meters._shared.take()  # type: ignore[union-attr]
    assert sums.times == {"w|q|12": 302, "w|r|0": 10, "w|q|0": 7}


def test_waiting_times_are_sampled() -> None:
    meters, now = made(SharedSums()), time.time()
    raws = [b'{"class":"A","args":[],"id":"%012x70008000000000000000"}' % int((now - age) * 1000)
            for age in (20.0, 20.0, 20.0, 0.001, 0.001, 0.001)]  # fmt: skip
    meters.note_waits("q", raws)
    meters.note_waits("r", [b"{}", b"no job", b"x" * 20_000])
    meters.leave(Totals())
    (sums,) = meters._shared.take()  # type: ignore[union-attr]
    assert sum(sums.times.values()) == 6
    assert sums.times["w|q|12"] >= 2
    assert sums.times["w|q|0"] >= 2


def test_one_of_many_brief_processes_reads_waiting_times(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b'{"class":"A","args":[],"id":"%012x70008000000000000000"}' % int(time.time() * 1000)
    shared = SharedSums()
    for pid in range(BRIEF * 3):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        meters = Meters(Keys("resque"), shared=shared, enabled=True, brief=True)
        meters.note_waits("q", [raw])
        meters.leave(Totals())
    assert sum(sum(sums.times.values()) for sums in shared.take()) == BRIEF * 3
