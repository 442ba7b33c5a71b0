"""Jobs whose time has come: from `later` and resque-scheduler's lists to their queues."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
from gresque.jobs.by_hand import remove_queue
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.lease import Lease
from gresque.maintenance.promote import Promote
from gresque.settings import Settings
from gresque.store.delayed import Move, to_queue
from gresque.store.later_job import LaterJob, Times
from gresque.store.store import Store

RUBY_LOCK, NODE_LOCK = (
    "resque:resque:resque_scheduler_master_lock",
    "resque:resque_scheduler_leader_lock",
)
HOUR = 3_600_000


@pytest.fixture
def promote(redis_url: str) -> Promote:
    return promoter(redis_url)


def promoter(redis_url: str, watch: DueWatch | None = None, **settings: Any) -> Promote:
    lease = Lease("me")
    lease.held = True
    found = Settings.load({"redis_url": redis_url, "queues": "q", **settings}, {})
    return Promote(lease, found, "host:1:q:1:1:1", watch)


def add_due(store: Store, *jobs: tuple[str, str, bytes]) -> None:
    """Jobs that became due a moment ago: name, queue, payload."""
    for age, (member, queue, raw) in zip(range(9_999, 0, -1), jobs, strict=False):
        job = LaterJob(member, int(store.now() * 1000) - age, queue, raw)
        store.redis.zadd(store.keys.later, {member: job.due_ms})
        store.redis.hset(store.keys.later_jobs, member, job.entry(store.keys))


def delay(store: Store, item: bytes, timestamp: int = 1_000_000_000) -> None:
    """As Ruby does it."""
    store.redis.rpush(f"resque:delayed:{timestamp}", item)
    store.redis.sadd(b"resque:timestamps:" + item, f"delayed:{timestamp}")
    store.redis.zadd("resque:delayed_queue_schedule", {str(timestamp): timestamp})


def item(name: str, *args: Any, queue: str | None = "q") -> bytes:
    found = {"class": name, "args": list(args), "queue": queue}
    return json.dumps(found, separators=(",", ":")).encode()


def ran(store: Store, queue: str = "q") -> list[tuple[str, list[Any]]]:
    return [
        (job["class"], job["args"]) for job in map(json.loads, store.queues.peek(queue, 0, 9999))
    ]


# gresque's own


def test_due_jobs_go_to_their_queues_in_order(store: Store, promote: Promote) -> None:
    add_due(store, ("a", "q", b"1"), ("b", "other:ä", b"2"), ("c", "q", b"3"))
    store.scheduler.schedule("q", ["d"], [b"4"], Times(True, [HOUR]))
    promote.run(store)
    assert store.queues.peek("q", 0, 9) == [b"1", b"3"]
    assert store.queues.peek("other:ä", 0, 9) == [b"2"]
    assert store.queues.names() == ["other:ä", "q"]
    assert [job.member for job in store.later.page(0, 9)] == ["d"]


def test_two_at_once_do_no_harm(store: Store) -> None:
    """One has read what is due, and another one moves it; a job is put off meanwhile."""
    add_due(store, *((f"{n}", "q", b"%d" % n) for n in range(5)))
    due = store.later.due()
    job = store.later.find("3")
    assert job is not None
    assert store.later.put_off(job, b"later", HOUR, is_delay=True)
    assert store.later.cancel("4")
    assert store.later.promote(store.later.due()) == (3, [])
    assert store.later.promote(due) == (0, [])
    assert store.queues.peek("q", 0, 9) == [b"0", b"1", b"2"]
    assert [(job.member, job.raw) for job in store.later.page(0, 9)] == [("3", b"later")]


def test_a_queue_that_refuses_holds_up_no_other(
    store: Store, promote: Promote, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set("resque:queue:bad", "x")
    add_due(store, *((f"{n}", "bad", b"%d" % n) for n in range(1200)), ("good", "q", b"good"))
    promote.run(store)
    promote.run(store)
    assert store.queues.peek("q", 0, 9) == [b"good"]
    assert store.later.count() == 1200
    assert len([r for r in caplog.records if "resque:queue:bad is not a list" in r.message]) == 1
    redis_client.delete("resque:queue:bad")
    promote.run(store)
    assert store.queues.peek("bad", 0, 9999) == [b"%d" % n for n in range(1200)]
    assert store.later.count() == 0


def test_what_is_no_job_is_not_lost(
    store: Store, promote: Promote, redis_client: redis.Redis
) -> None:
    texts = (
        b"9:resque:xyzjob", b"13:resque:queue:{}", b"016:resque:queue:q{}", b"99:resque:queue:q{}",
        b"9" * 30 + b":resque:queue:q{}", b":resque:queue:q{}",
    )  # fmt: skip
    entries = {b"broken": b"\xff"} | {b"%d" % n: text for n, text in enumerate(texts)}
    redis_client.zadd(store.keys.later, {"bare": 1, **dict.fromkeys(entries, 2)})
    redis_client.hset(store.keys.later_jobs, mapping=entries)  # type: ignore[arg-type]
    add_due(store, ("good", "q", b"{}"))
    promote.run(store)
    assert store.queues.peek("q", 0, 9) == [b"{}"]
    assert redis_client.exists(store.keys.later, store.keys.later_jobs) == 0
    kept = [json.loads(raw) for raw in store.failed.page("resque:failed", 0, 9)]
    assert [entry["exception"] for entry in kept] == ["InvalidPayload"] * 7
    assert {entry["payload"]["args"][0] for entry in kept} >= {text.decode() for text in texts}


@pytest.mark.parametrize("where", ["later", "delayed"])
def test_a_failed_list_that_refuses_holds_up_no_job(
    store: Store, promote: Promote, redis_client: redis.Redis, where: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    redis_client.set("resque:failed", "x")
    if where == "later":
        redis_client.zadd(store.keys.later, {"odd": 1})
        redis_client.hset(store.keys.later_jobs, "odd", b"junk")
    else:
        delay(store, b"junk")
    add_due(store, ("good", "q", item("A")))
    delay(store, item("B"), 1_000_000_001)
    promote.run(store)
    promote.run(store)
    assert ran(store) == [("A", []), ("B", [])]
    assert "it is among the failed jobs" not in caplog.text
    redis_client.delete("resque:failed")
    promote.run(store)
    assert redis_client.llen("resque:failed") == 1
    assert "it is among the failed jobs" in caplog.text
    assert not redis_client.keys("resque:*later*") + redis_client.keys("resque:*delayed*")


def test_what_is_refused_takes_no_time_from_others(
    store: Store, redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends before it comes to them goes on there."""
    monkeypatch.setattr("gresque.maintenance.promote.PASS_SECONDS", 0)
    keys = store.keys
    watch = DueWatch(redis_url, "resque", {keys.later: 0.001, keys.delayed_schedule: 1.0})
    promote = promoter(redis_url, watch)
    redis_client.set("resque:queue:bad", "x")
    add_due(store, *((f"{n}", "bad", b"%d" % n) for n in range(600)), ("good", "q", b"good"))
    for _ in range(3):
        promote.run(store)
    assert store.queues.peek("q", 0, 9) == [b"good"]
    # Those that are due after them need one look, and they themselves are tried again.
    monkeypatch.setattr("gresque.maintenance.promote.PASS_SECONDS", 60)
    promote._later_from = 0.0
    promote.run(store)
    store.scheduler.schedule("q", ["late"], [b"late"], Times(True, [1]))
    due = store.later.due
    while not due(skip=600):
        time.sleep(0.001)
    looks: list[int] = []

    def look(skip: int = 0) -> list[tuple[bytes, bytes]]:
        looks.append(skip)
        return due(skip)

    monkeypatch.setattr(store.later, "due", look)
    promote._all_from, promote._later_from = time.monotonic() + 60, 0.0
    promote.run(store)
    assert (store.queues.size("q"), looks) == (2, [600, 600])
    redis_client.delete("resque:queue:bad")
    promote._all_from = promote._later_from = 0.0
    promote.run(store)
    assert store.queues.size("bad") == 600
    promote.close()


def test_large_jobs_go_in_several_calls(store: Store) -> None:
    add_due(store, *((f"{n}", "q", bytes(3_000_000)) for n in range(3)))
    assert [name for name, _ in store.later.due()] == [b"0"]


# Those of other programs


def test_four_equal_items_of_one_second(store: Store, promote: Promote) -> None:
    for _ in range(4):
        delay(store, item("Mail", 1, {"a": "ä"}))
    delay(store, item("Mail", 2), 1_000_000_001)
    promote.run(store)
    assert ran(store) == [("Mail", [1, {"a": "ä"}])] * 4 + [("Mail", [2])]
    assert store.queues.names() == ["q"]
    remove_queue(store, "q")
    assert store.redis.keys("*") == []


def test_a_list_that_grows_while_it_is_moved(store: Store) -> None:
    delay(store, item("A"))
    moves = [store_move(store, item("A"))]
    delay(store, item("B"))
    assert store.delayed.move("1000000000", moves, "host:1").jobs == 1
    assert store.delayed.items("1000000000") == [item("B")]
    assert store.delayed.due(store.now()) == "1000000000"
    moves = [store_move(store, item("A")), store_move(store, item("B"))]
    assert store.delayed.move("1000000000", moves, "host:1").jobs == 0, "another head by now"
    assert store.delayed.move("1000000000", moves[1:], "host:1").jobs == 1
    assert store.delayed.due(store.now()) is None
    assert store.redis.keys("resque:timestamps:*") == []


def store_move(store: Store, raw: bytes) -> Any:
    from gresque.store.delayed import Move, to_queue

    return Move(raw, raw, to_queue(store.keys, "q"))


def test_future_lists_stay(store: Store, promote: Promote) -> None:
    future = int(store.now()) + 3600
    delay(store, item("A"), future)
    promote.run(store)
    assert store.delayed.items(str(future)) == [item("A")]
    assert store.redis.exists(RUBY_LOCK, NODE_LOCK) == 0


def test_an_empty_list_is_forgotten(store: Store, promote: Promote) -> None:
    """As a removed job of Ruby's leaves it."""
    store.redis.zadd("resque:delayed_queue_schedule", {"5": 5})
    promote.run(store)
    assert store.redis.keys("*") == []


def test_without_a_queue_the_declaration_says_it(
    store: Store, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    @gresque.job(queue="declared", name="Promote.declared")
    def declared() -> None: ...

    delay(store, item("Promote.declared", queue=None))
    delay(store, item("Nowhere", 1, queue=None))
    delay(store, b"{no job")
    promote.run(store)
    assert ran(store, "declared") == [("Promote.declared", [])]
    kept = [json.loads(raw) for raw in store.failed.page("resque:failed", 0, 9)]
    assert [entry["payload"]["class"] for entry in kept] == ["Nowhere", "gresque.InvalidPayload"]
    assert "names no queue" in kept[0]["error"]
    assert store.redis.exists("resque:delayed_queue_schedule") == 0


def test_a_list_for_each_queue_takes_them_too(store: Store, redis_url: str) -> None:
    delay(store, b"{no job")
    promoter(redis_url, failure_backend="redis_multi_queue").run(store)
    assert len(store.failed.page("resque:delayed_failed", 0, 9)) == 1
    assert store.failed.names() == ["delayed_failed"]


@pytest.mark.parametrize("lock", [RUBY_LOCK, NODE_LOCK], ids=["ruby", "node"])
def test_another_scheduler_is_left_alone(
    store: Store, promote: Promote, lock: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.redis.set(lock, "vm.example:77", ex=180)
    delay(store, item("A"))
    add_due(store, ("own", "q", item("Own")))
    before = {RUBY_LOCK, NODE_LOCK} - {lock}
    with caplog.at_level(logging.WARNING):
        promote.run(store)
        promote._delayed_from = 0.0
        promote.run(store)
    assert ran(store) == [("Own", [])]
    assert store.redis.get(lock) == b"vm.example:77"
    assert not store.redis.exists(*before), "no lock is left behind"
    (record,) = [r for r in caplog.records if r.event == "scheduler_elsewhere"]  # type: ignore[attr-defined]
    assert "vm.example:77" in record.message and lock in record.message
    assert store.delayed.lock_holders() == [(lock, "vm.example:77")]
    store.redis.delete(lock)
    promote.run(store)
    assert ran(store) == [("Own", []), ("A", [])]
    assert not store.redis.exists(RUBY_LOCK, NODE_LOCK)


def test_the_lock_of_a_dead_keeper_holds_up_nothing(store: Store, promote: Promote) -> None:
    store.redis.set(RUBY_LOCK, "gresque elsewhere:5", px=9000)
    delay(store, item("A"))
    promote.run(store)
    assert ran(store) == [("A", [])]
    assert store.delayed.lock_holders() == []


@pytest.mark.parametrize("key", ["resque:queue:bad", "resque:delayed:1000000000"])
def test_a_list_that_cannot_be_moved_holds_up_no_other(
    store: Store, promote: Promote, key: str
) -> None:
    store.redis.set(key, "x")
    store.redis.zadd("resque:delayed_queue_schedule", {"1000000000": 1_000_000_000})
    if "queue" in key:
        delay(store, item("A", queue="bad"))
    delay(store, item("B"), 1_000_000_001)
    promote.run(store)
    assert ran(store) == [("B", [])]
    assert store.delayed.due(store.now()) == "1000000000"


@pytest.mark.parametrize("name", ["", "soon", "nan", "1e400"])
def test_a_list_whose_name_is_no_time_holds_up_no_other(
    store: Store, promote: Promote, name: str
) -> None:
    store.redis.rpush(f"resque:delayed:{name}", item("A"))
    store.redis.zadd("resque:delayed_queue_schedule", {name: 5})
    delay(store, item("B"))
    promote.run(store)
    assert ran(store) == [("A", []), ("B", [])]
    raw, _ = map(json.loads, store.queues.peek("q", 0, 9))
    assert abs(raw["gresque"]["run_at"] - time.time()) < 60


@pytest.mark.parametrize(
    "key", ["resque:later", "resque:later:jobs", "resque:delayed_queue_schedule", RUBY_LOCK]
)
def test_a_key_of_another_program_holds_up_no_other(
    store: Store,
    promote: Promote,
    key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if "later" in key:
        delay(store, item("A"))
    else:
        add_due(store, ("a", "q", item("A")))
        delay(store, item("B"))
        store.redis.delete(key)
    if key.endswith("jobs"):
        store.redis.zadd("resque:later", {"a": 1})
    store.redis.hset(key, "a", "b") if key == RUBY_LOCK else store.redis.set(key, "x")
    promote.run(store)
    assert ran(store) == [("A", [])]
    assert key in caplog.text


@pytest.mark.parametrize("missing", ["zrem", "hdel", "ltrim", "rpush", "sadd"])
def test_a_user_who_may_not_move_a_job_does_not_copy_it(
    store: Store, redis_url: str, redis_client: redis.Redis, missing: str
) -> None:
    redis_client.acl_setuser(
        "limited", enabled=True, nopass=True, keys=["*"], commands=["+@all"], reset=True
    )
    redis_client.acl_setuser("limited", commands=[f"-{missing}"], enabled=True)
    add_due(store, ("a", "q", item("A")))
    delay(store, item("B"))
    other = Store(redis_url.replace("unix://", "unix://limited:x@"), "resque")
    for _ in range(3):
        with suppress(redis.RedisError):
            other.later.promote(other.later.due())
        with suppress(redis.RedisError):
            for job in other.later.page():
                other.later.run_now(job, job.raw)
        with suppress(redis.RedisError):
            other.delayed.move(
                "1000000000", [Move(item("B"), item("B"), to_queue(store.keys, "q"))], "me"
            )
    other.close()
    redis_client.acl_deluser("limited")
    everywhere = [job.raw for job in store.later.page(0, 9)]
    everywhere += [*store.queues.peek("q", 0, 9), *store.delayed.items("1000000000")]
    assert sorted(everywhere) == sorted([item("A"), item("B")])


# When it is due


def test_it_runs_when_a_job_is_due_or_announced(store: Store, redis_url: str) -> None:
    keys = store.keys
    watch = DueWatch(redis_url, "resque", {keys.later: 0.001, keys.delayed_schedule: 1.0})
    promote = promoter(redis_url, watch)
    assert promote.due(time.monotonic()) <= 0
    promote.run(store)
    assert promote.due(time.monotonic()) > 20, "nothing waits"
    assert promote.fileno(time.monotonic()) is not None
    store.scheduler.schedule("q", ["a"], [b"1"], Times(True, [300]))
    scheduled = time.monotonic()
    until = scheduled + 25
    while not store.queues.size("q") and time.monotonic() < until:
        if promote.due(time.monotonic()) <= 0:
            promote.run(store)
    assert 0.29 < time.monotonic() - scheduled < 25, "before it looks without a reason"
    promote._lease.held = False
    assert promote.due(time.monotonic()) == float("inf")
    assert promote.fileno(time.monotonic()) is None
    assert not watch.has_looked, "closed"


WIRE = Path(__file__).parents[1] / "wire"


@pytest.mark.parametrize("program", ["scheduler", "node", "php"])
def test_what_other_programs_were_seen_to_write(
    store: Store, promote: Promote, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it goes to its queues, with the arguments as they are, and no key is left."""
    captured = json.loads((WIRE / f"{program}_delayed.json").read_text())
    expected: list[tuple[str, str, str]] = []
    for key, found in sorted(captured.items()):
        value = found["value"]
        if found["type"] == "list":
            store.redis.rpush(key, *value)
            for raw in value:
                args = json.dumps(
                    json.loads(raw)["args"], ensure_ascii=False, separators=(",", ":")
                )
                expected.append((json.loads(raw)["queue"], json.loads(raw)["class"], args))
        elif found["type"] == "set":
            store.redis.sadd(key, *value)
        else:
            pairs = value if isinstance(value[0], list) else [value]
            store.redis.zadd(key, {member: float(score) for member, score in pairs})
    monkeypatch.setattr(store, "now", lambda: 2_000_000_060.0)
    promote.run(store)
    arrived = []
    for queue in store.queues.names():
        for raw in store.queues.peek(queue, 0, 99):
            assert json.loads(raw)["id"]
            args = raw.partition(b'"args":')[2].partition(b',"id":"')[0].decode()
            arrived.append((queue, json.loads(raw)["class"], args))
        remove_queue(store, queue)
    assert sorted(arrived) == sorted(expected)
    assert store.redis.keys("*") == []
