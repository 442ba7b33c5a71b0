"""Metrics as pages read them."""

from __future__ import annotations

import pytest
import redis

from gresque.inspector.failing_classes import FailingClass
from gresque.inspector.metrics import Depth, Mark, MetricsReader, Step
from gresque.store.metric_fields import Counts, bucket_of, field, quantile
from gresque.store.metrics import parts_of
from gresque.store.store import Store

NOW = 1_700_000_030.0
"""The eleventh second of its minute."""
MINUTE = int(NOW) // 60
TEN = int(NOW) // 600


def reader(store: Store) -> MetricsReader:
    return MetricsReader(store)


def test_nothing_counted(store: Store) -> None:
    found = reader(store)
    for step in Step:
        series = found.series(step)
        assert len(series.points) == step.most
        assert series.total == Counts()
    assert found.pairs() == []
    assert found.failing() == []
    assert found.run_times() == found.waiting_times() == {}
    assert found.depths() == {}
    assert found.marks(0) == []


def test_seconds(store: Store, redis_client: redis.Redis) -> None:
    second = int(NOW) % 60
    redis_client.hset(
        f"resque:metrics:second:{MINUTE}",
        mapping={f"{second - 3}d": 7, f"{second - 3}f": 2, f"{second - 4}r": 1, f"{second}d": 9},
    )
    redis_client.hset(f"resque:metrics:second:{MINUTE - 1}", mapping={"59d": 4})
    series = reader(store).series(Step.SECOND, now=NOW)
    *_, before, last = series.points
    assert (last.at, last.counts) == (int(NOW) - 3, Counts(7, 2))
    assert before.counts == Counts(retried=1)
    assert series.total == Counts(11, 2, 1)
    assert series.rate(1) == Counts(7, 2)
    with pytest.raises(ValueError, match="not counted by queue"):
        reader(store).series(Step.SECOND, queue="mail")


@pytest.mark.parametrize(
    ("step", "span", "seconds", "number"),
    [(Step.MINUTE, "minute", 60, MINUTE), (Step.TEN_MINUTES, "ten", 600, TEN)],
)
def test_minutes(
    store: Store, redis_client: redis.Redis, step: Step, span: str, seconds: int, number: int
) -> None:
    key = f"resque:metrics:{span}"
    redis_client.hset(f"{key}:{number}", mapping={"d": 22, "d|mail|Send": 20, "d|web|Send": 2})
    redis_client.hset(f"{key}:{number - 1}", mapping={"d": 30, "f": 60, "f|mail|Sync": 60})
    found = reader(store)
    series = found.series(step, length=3, now=NOW)
    assert [point.counts for point in series.points] == [Counts(), Counts(30, 60), Counts(22)]
    assert series.points[1].failed_rate == 60 / seconds
    over = int(NOW) - number * seconds + 1
    assert series.points[2].done_rate == 22 / over
    of_queue = found.series(step, length=2, queue="mail", now=NOW)
    assert [point.counts for point in of_queue.points] == [Counts(0, 60), Counts(20)]
    of_both = found.series(step, length=2, queue="web", job="Send", now=NOW)
    assert [point.counts for point in of_both.points] == [Counts(), Counts(2)]


def test_minutes_that_are_over_are_read_once(store: Store, redis_client: redis.Redis) -> None:
    found = reader(store)
    for number in range(MINUTE - 9, MINUTE + 1):
        redis_client.hset(f"resque:metrics:minute:{number}", mapping={"d": 1, "d|mail|Send": 1})
    first = found.series(Step.MINUTE, now=NOW).total, found.pairs(10, now=NOW)
    redis_client.config_resetstat()
    assert (found.series(Step.MINUTE, now=NOW).total, found.pairs(10, now=NOW)) == first
    calls = redis_client.info("commandstats")
    assert calls["cmdstat_hmget"]["calls"] <= 4
    assert calls["cmdstat_hgetall"]["calls"] <= 4


def test_what_each_class_did(store: Store, redis_client: redis.Redis) -> None:
    redis_client.hset(
        f"resque:metrics:minute:{MINUTE}",
        mapping={
            "d": 5, "d|mail|Send": 3, "s|mail|Send": 1500, field("d", "a b|c", "Ünï%"): 1,
            "f|mail|Sync": 2, "x|mail|Sync|KeyError": 2, "x|mail|Sync|OSError": 5,
            "r|mail|Sync": 5, "#": 9, "d|odd": 4, "d|odd|Value": "none",
        },
    )  # fmt: skip
    redis_client.hset(f"resque:metrics:minute:{MINUTE - 1}", mapping={"d|mail|Send": 1})
    redis_client.hset(f"resque:metrics:minute:{MINUTE - 2}", mapping={"d|mail|Send": 9})
    sync, send, odd, *_ = reader(store).pairs(2, now=NOW)
    assert (sync.queue, sync.job, sync.counts) == ("mail", "Sync", Counts(0, 2, 5))
    assert list(sync.exceptions.items()) == [("OSError", 5), ("KeyError", 2)]
    assert (send.counts, send.seconds) == (Counts(4), 1.5)
    assert (odd.queue, odd.job) == ("a b|c", "Ünï%")


def test_classes_that_fail(store: Store, redis_client: redis.Redis) -> None:
    for number in range(MINUTE - 40, MINUTE - 4):
        redis_client.hset(
            f"resque:metrics:minute:{number}", mapping={"d|a|Sync": 10, "d|a|Fine": 10}
        )
    redis_client.hset(f"resque:metrics:minute:{MINUTE - 20}", "f|a|Sync", 10)
    for number in (MINUTE - 3, MINUTE - 2, MINUTE - 1):
        redis_client.hset(
            f"resque:metrics:minute:{number}",
            mapping={
                "d|a|Sync": 6, "d|a|Fine": 9, "f|a|Sync": 2, "x|a|Sync|KeyError": 1,
                "x|a|Sync|OSError": 3, "r|b|Sync": 2,
            },
        )  # fmt: skip
    (found,) = reader(store).failing(now=NOW)
    assert found == FailingClass(
        "Sync",
        Counts(18, 6, 6),
        Counts(360, 10),
        {"OSError": 9, "KeyError": 3},
        {"a": 6, "b": 6},
        60.0 * (MINUTE - 3),
        Counts(18, 6, 6),
    )
    assert found.share == 0.4
    assert found.share_before == 10 / 370


def test_run_and_waiting_times(store: Store, redis_client: redis.Redis) -> None:
    redis_client.hset(
        f"resque:metrics:times:{TEN}",
        mapping={
            "t|Send|0": 90,
            f"t|Send|{bucket_of(1.0)}": 10,
            f"w|mail|{bucket_of(70)}": 1,
            "t|Send": 1,
            "t|Send|x": 5,
        },
    )
    redis_client.hset(f"resque:metrics:times:{TEN - 6}", mapping={"t|Old|0": 1})
    found = reader(store)
    times = found.run_times(now=NOW)
    assert set(times) == {"Send"}
    assert times["Send"].count == 100
    assert times["Send"].p50 < 0.005
    assert 0.5 < times["Send"].p95 < 2.0
    assert 35 < found.waiting_times(now=NOW)["mail"].p50 < 140
    assert set(found.run_times(2, now=NOW)) == {"Send", "Old"}


def test_the_buckets_of_a_histogram() -> None:
    assert [bucket_of(each) for each in (-1, 0, 0.004, 0.006, 0.011, 0.04)] == [0, 0, 0, 1, 2, 4]
    assert bucket_of(1e9) == 25
    for seconds in (0.006, 0.3, 5.0, 900.0):
        buckets = [0] * 26
        buckets[bucket_of(seconds)] = 1
        assert seconds / 2 <= quantile(buckets, 0.5) <= seconds * 2
    assert quantile([0] * 26, 0.5) == 0.0


def test_names_in_fields() -> None:
    for parts in (["d", "a|b", "x y%7C"], ["d", "\n\x00", "é€"], ["d", "mail", "a.B"]):
        name = field(*parts)
        assert not set(name) & set(" \n\0")
        assert [*parts_of(name.encode())] == parts
    assert field("d", "mail", "a.B") == "d|mail|a.B"
    assert len(field("d", "m" * 5000, "c")) < 210


def test_depths(store: Store, redis_client: redis.Redis) -> None:
    at = int(NOW * 1000)
    redis_client.hset(f"resque:metrics:depth:{MINUTE - 2}", mapping={"mail": "9 60000"})
    redis_client.hset(
        f"resque:metrics:depth:{MINUTE - 1}", mapping={"": at - 60_000, "mail": "7 900"}
    )
    redis_client.hset(f"resque:metrics:depth:{MINUTE}", mapping={"": at, "web": "3 4000+"})
    found = reader(store).depths(now=NOW)
    assert found["mail"] == [Depth(NOW - 60, 7, 0.9), Depth(NOW, 0)]
    assert found["web"] == [Depth(NOW - 60, 0), Depth(NOW, 3, 4.0, at_least=True)]


def test_marks(store: Store, redis_client: redis.Redis) -> None:
    for at, text in ((5000, "old"), (9000, "deploy 8f31c2"), (9500, "Ünïcode")):
        redis_client.xadd(
            "resque:marks", {"kind": "mark", "text": text, "by": "ana@web"}, f"{at}-1"
        )
    assert reader(store).marks(9.0) == [
        Mark(9.0, "mark", "deploy 8f31c2", "ana@web"),
        Mark(9.5, "mark", "Ünïcode", "ana@web"),
    ]


def test_keys_of_other_programs_count_as_empty(store: Store, redis_client: redis.Redis) -> None:
    redis_client.set(f"resque:metrics:minute:{MINUTE}", "x")
    redis_client.set(f"resque:metrics:second:{MINUTE}", "x")
    redis_client.set("resque:marks", "x")
    found = reader(store)
    assert found.pairs(now=NOW) == []
    assert found.series(Step.MINUTE, now=NOW).total == Counts()
    assert found.series(Step.SECOND, now=NOW).total == Counts()
    assert found.marks(0) == []


def test_recoveries_and_starts_are_marks(store: Store, redis_client: redis.Redis) -> None:
    entry = (
        '{"at":"2026-11-27T08:00:0%d+00:00","process":"p","cause":"gone","by":"web:7",'
        '"requeued":%d,"failed":0,"poison":0,"retried":0}'
    )
    redis_client.rpush("resque:recoveries", entry % (1, 0), entry % (2, 3), "odd")
    redis_client.hset(
        "resque:masters",
        mapping={
            "a": "2026-11-27 08:00:40 +0000",
            "b": "2026-11-27 08:00:10 +0000",
            "c": "2026-11-27 09:00:10 +0000",
            "d": "odd",
        },
    )
    found = reader(store).marks(0)
    assert [(mark.kind, mark.text, mark.by) for mark in found] == [
        ("recovery", "3 jobs of p: gone", "web:7"),
        ("started", "2 workers", "b"),
        ("started", "1 worker", "c"),
    ]
    assert [mark.at - found[0].at for mark in found] == [0, 8, 3608]
    assert reader(store).marks(found[1].at) == found[1:]


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [("pause", "queue mail", "queue mail paused"), ("mark", "deploy 8f31c2", "deploy 8f31c2")],
)
def test_a_mark_says_what_happened(kind: str, text: str, sentence: str) -> None:
    assert Mark(0.0, kind, text, "ana@web-07").sentence == sentence
