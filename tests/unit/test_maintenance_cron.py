"""The ticking: entries in Redis become jobs in queues."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from gresque.client.declare_schedules import declare_schedules
from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import registry
from gresque.maintenance.cron import CronTicks, DeclareSchedules
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.lease import Lease
from gresque.processes.declared_memory import DeclaredMemory
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry, lock_digest
from gresque.settings import Settings
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store
from tests.process.support import wait_for
from tests.support.cron_ticks import add, names, ran, ticker
from tests.support.cron_ticks import cron_fixture as cron_fixture
from tests.support.cron_ticks import nothing_declared as nothing_declared
from tests.support.cron_ticks import watch_fixture as watch_fixture


def test_a_tick_becomes_a_job(store: Store, cron: CronTicks, redis_client: redis.Redis) -> None:
    tick = add(store, "a", every=60.0, args=[1])
    add(store, "not yet", -5)
    cron.run(store)
    (job,) = ran(store)
    assert (job["class"], job["args"], job["generation"]) == ("A", [1], 1)
    assert job["gresque"]["cron"] == "a"
    found = store.cron.read()
    assert found.last == {"a": (tick, job["id"])}
    assert found.next["a"] % 60_000 == 0 and found.next["a"] > tick
    assert redis_client.hexists("resque:delayed:last_enqueued_at", "a")
    cron.run(store)
    assert len(ran(store)) == 1


def lock_of(client: redis.Redis, name: str) -> dict[str, str]:
    found = client.hgetall(f"resque:unique:{lock_digest(name)}")
    return {key.decode(): value.decode() for key, value in found.items()}


def test_a_tick_is_skipped_while_an_earlier_job_has_not_ended(
    store: Store, cron: CronTicks, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gresque.cron")
    add(store, "a", overlap="skip")
    add(store, "b")
    cron.run(store)
    job = next(job for job in ran(store) if job["gresque"]["cron"] == "a")
    assert job["gresque"]["unique"] == [lock_digest("a"), "both"]
    held = lock_of(redis_client, "a")
    assert int(held.pop("since")) / 1000 == pytest.approx(store.now(), abs=5)
    assert held == {
        "id": job["id"], "mode": "both", "class": "A", "key": "schedule entry a", "queue": "q",
        "ttl": "86400000",
    }  # fmt: skip
    assert redis_client.pttl(f"resque:unique:{lock_digest('a')}") > 86_000_000
    for name in ("a", "b"):
        redis_client.zadd("resque:cron:next", {name: int(store.now() * 1000) - 500})
    cron.run(store)
    assert sorted(names(store)) == ["a", "b", "b"]
    assert store.cron.read().last["a"][1] == job["id"]
    assert store.cron.read().next["a"] > store.now() * 1000
    assert "schedule entry a: the tick of" in caplog.text
    assert "does not run, as an earlier job has not ended" in caplog.text
    redis_client.delete(f"resque:unique:{lock_digest('a')}")  # it has ended
    redis_client.zadd("resque:cron:next", {"a": int(store.now() * 1000) - 500})
    cron.run(store)
    assert names(store).count("a") == 2


def test_of_ticks_that_are_made_up_one_runs(store: Store, cron: CronTicks) -> None:
    add(store, "a", 200, every=60.0, catch_up="all", overlap="skip")
    cron.run(store)
    assert names(store) == ["a"]


@pytest.mark.parametrize("mode", ["queued", "both", "running"])
def test_a_unique_job_of_an_entry_takes_its_own_lock(
    store: Store, cron: CronTicks, redis_client: redis.Redis, mode: str
) -> None:
    """One of mode `running` takes it when it starts."""
    lock = "f" * 32, mode, "A [7]"
    add(store, "a", args=[7], unique=lock)
    cron.run(store)
    (job,) = ran(store)
    assert job["gresque"]["unique"] == [*lock[:2]]
    held = redis_client.hget("resque:unique:" + "f" * 32, "id")
    assert held == (None if mode == "running" else job["id"].encode())


def test_many_that_see_it_run_it_once(store: Store, redis_url: str) -> None:
    for number in range(450):
        add(store, str(number))

    def run_all(_: int) -> None:
        own = Store(redis_url, "resque")
        ticker(redis_url).run(own)
        own.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run_all, range(8)))
    assert store.queues.size("q") == 450
    assert sorted(names(store)) == sorted(map(str, range(450)))


def test_other_tasks_have_their_turn(
    store: Store, redis_url: str, watch: DueWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron = ticker(redis_url, watch)
    add(store, "a")
    with monkeypatch.context() as patched:
        patched.setattr("gresque.maintenance.cron.PASS_SECONDS", -1)
        cron.run(store)
    assert ran(store) == []
    assert cron.due(time.monotonic()) <= 0
    cron.run(store)
    assert names(store) == ["a"]


@pytest.mark.parametrize("on_time", [False, True])
def test_missed_ticks(
    store: Store, cron: CronTicks, caplog: pytest.LogCaptureFixture, on_time: bool
) -> None:
    """Redis was away for ten minutes."""
    now = int(store.now() * 1000)
    # A length at which the last tick was long ago, or just now; and the next one is far away.
    wanted = range(1, 7) if on_time else range(30, 180)
    five = next(each for each in range(300, 900) if now // 1000 % each in wanted) * 1000
    first = (now // five - 2) * five
    for catch_up in ("one", "all", "skip"):
        entry = Entry(name=catch_up, every=five / 1000, job="A", queue=catch_up, catch_up=catch_up)
        store.cron.put([Change(catch_up, b"", entry.to_json(), first)])
    cron.run(store)
    assert len(ran(store, "one")) == 1
    assert len(ran(store, "all")) == 3
    assert len(ran(store, "skip")) == int(on_time)
    assert "ticks were missed since" in caplog.text and "(catch_up=one)" in caplog.text
    runs = [job["gresque"]["scheduled_for"] for job in ran(store, "all")]
    assert runs == sorted(set(runs)) and len(runs) == 3
    assert set(store.cron.read().next.values()) == {first + 3 * five}


def test_jitter_delays_it(store: Store, cron: CronTicks) -> None:
    add(store, "a", 0.2, every=86_400.0, jitter_seconds=86_000.0)
    cron.run(store)
    assert ran(store) == []
    assert 0 < cron._next_pass - time.monotonic() <= 60


def test_a_wrong_entry_is_named_once_and_stops_no_other(
    store: Store, cron: CronTicks, caplog: pytest.LogCaptureFixture, redis_client: redis.Redis
) -> None:
    add(store, "line", 3, every=None, cron="61 * * * *")
    store.cron.put([Change("json", b"", b"{}", 5)])
    add(store, "refused", 2, queue="theirs")
    redis_client.set("resque:queue:theirs", "a string")
    redis_client.zadd("resque:cron:next", {"gone": 5})
    add(store, "good", 1)
    for _ in range(3):
        cron.run(store)
    assert names(store) == ["good"]
    logged = sorted(record.message for record in caplog.records)
    assert len(logged) == 3
    assert logged[0].startswith("schedule entry json: it cannot run: it cannot be read")
    assert logged[1].startswith("schedule entry line: it cannot run: the cron line '61 * * * *'")
    assert logged[2].startswith("schedule entry refused: its job is refused: WRONGTYPE")
    assert "gone" not in store.cron.read().next
    entry = store.cron.entry("line") or b""
    store.cron.put([Change("line", entry, entry.replace(b"61", b"1"), 5)])
    cron.run(store)
    assert sorted(names(store)) == ["good", "line"], "once it is repaired"


def test_a_refused_job_is_tried_again(
    store: Store, cron: CronTicks, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "a", queue="q")
    redis_client.set("resque:queue:q", "a string")
    cron.run(store)
    assert cron._next_pass - time.monotonic() <= 5
    redis_client.delete("resque:queue:q")
    cron.run(store)
    assert ran(store) == []
    later = time.monotonic() + 6
    monkeypatch.setattr("gresque.maintenance.cron.time.monotonic", lambda: later)
    cron.run(store)
    assert names(store) == ["a"]


def test_a_job_that_is_not_declared_is_named(
    store: Store, cron: CronTicks, caplog: pytest.LogCaptureFixture
) -> None:
    registry.add(JobDefinition("known", "q", lambda: None))
    add(store, "bad", job="unknown")
    add(store, "elsewhere", job="unknown", queue="of another program")
    add(store, "good", job="known")
    cron.run(store)
    assert sorted(names(store)) == ["bad", "good"], "its job says in the failed list what is wrong"
    (record,) = caplog.records
    assert record.message.startswith("schedule entry bad: no job named 'unknown' is declared here")


def test_it_sleeps_until_the_next_tick_or_change(
    store: Store, redis_url: str, watch: DueWatch
) -> None:
    cron = ticker(redis_url, watch)
    cron.run(store)
    assert cron.due(time.monotonic()) > 25, "nothing is scheduled"
    add(store, "a", -20)
    wait_for(lambda: cron.due(time.monotonic()) <= 0)
    cron.run(store)
    assert 15 < cron.due(time.monotonic()) <= 20
    add(store, "b", -10)
    wait_for(lambda: cron.due(time.monotonic()) <= 0)
    cron.run(store)
    assert 5 < cron.due(time.monotonic()) <= 10


def test_without_the_lease_it_does_nothing(store: Store, redis_url: str) -> None:
    cron = ticker(redis_url)
    cron._lease.held = False
    assert cron.due(time.monotonic()) == float("inf")


def test_a_changed_expression(store: Store, redis_url: str) -> None:
    """The new master has declared; one of the old that still ticks uses what stands in Redis."""
    old = Entry(name="a", every=60.0, job="A", queue="q", args=["old"], source="code")
    boot = declare_schedules(store, "app", [old])
    old_ticker = ticker(redis_url)
    old_ticker.run(store)
    new = Entry(name="a", every=61.0, job="A", queue="q", args=["new"], source="code")
    declare_schedules(store, "app", [new])
    assert declare_schedules(store, "app", [old], boot) == 0
    store.redis.zadd("resque:cron:next", {"a": int(store.now() * 1000) - 5})
    old_ticker.run(store)
    assert [job["args"] for job in ran(store)] == [["new"]]
    assert store.cron.read().next["a"] % 61_000 == 0


def test_declaring(store: Store, redis_url: str, redis_client: redis.Redis) -> None:
    settings = Settings.load(
        {"redis_url": redis_url, "require": "app.jobs", "schedule": "c.yml"}, {}
    )
    memory = DeclaredMemory()
    task = DeclareSchedules(settings, memory)
    task.run(store)
    assert redis_client.keys() == []
    assert task.due(time.monotonic()) > 1e6
    declared.replace_file([Entry(name="a", every=60.0, job="A", queue="q", source="file")])
    DeclareSchedules(settings, memory).run(store)
    boot = memory.read().boot
    assert store.cron.read().entries.keys() == {"a"}
    another = DeclaredMemory()
    declared.replace_file([])
    DeclareSchedules(settings, another).run(store)
    assert store.cron.read().entries == {}
    declared.replace_file([Entry(name="a", every=60.0, job="A", queue="q", source="file")])
    successor = DeclareSchedules(settings, memory)
    successor.run(store)  # of a process of the first master that died
    assert store.cron.read().entries == {}
    assert memory.read().boot == boot < another.read().boot
    assert 50 < successor.due(time.monotonic()) <= 60


def test_an_error_of_the_server_is_the_process_s(
    store: Store, cron: CronTicks, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "a")

    def away(*arguments: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(store.cron, "tick", away)
    with pytest.raises(redis.ConnectionError):
        cron.run(store)


def test_the_log_of_a_tick(store: Store, cron: CronTicks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gresque.cron")
    add(store, "a")
    cron.run(store)
    (record,) = caplog.records
    assert record.message.startswith("schedule entry a: job ")


SCORES = ["-inf", "-1e300", "-1.5", "0.5", "-1e15"]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("catch_up", ["one", "all"])
def test_a_time_written_by_hand_runs_and_holds_up_no_other(
    store: Store, cron: CronTicks, redis_client: redis.Redis, score: str, catch_up: str
) -> None:
    add(store, "x", catch_up=catch_up, max_late_seconds=7200.0)
    add(store, "b")
    redis_client.zadd("resque:cron:next", {"x": float(score)})
    cron.run(store)
    assert {"x", "b"} == set(names(store))
    assert store.cron.read().next["x"] > store.now() * 1000


@pytest.mark.parametrize("score", ["inf", "1e300"])
def test_a_time_that_never_comes(
    store: Store, cron: CronTicks, redis_client: redis.Redis, score: str
) -> None:
    add(store, "x")
    redis_client.zadd("resque:cron:next", {"x": float(score)})
    redis_client.hset("resque:cron:last", "x", "9" * 30 + " id")
    assert store.cron.first_after(0) == store.cron.read().next["x"]
    add(store, "b")
    cron.run(store)
    assert names(store) == ["b"]


def test_an_entry_that_was_changed_meanwhile_is_looked_at_again(
    store: Store, redis_url: str, watch: DueWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next tick stays, so that no announcement follows."""
    monkeypatch.setattr("gresque.maintenance.cron.ANOTHER_SECONDS", 0.05)
    tick = add(store, "a")
    cron, entries = ticker(redis_url, watch), store.cron.entries

    def changed(names: list[str]) -> list[bytes | None]:
        (raw,) = entries(names)
        assert raw is not None
        new = Entry(name="a", every=3600.0, job="A", queue="q", description="new").to_json()
        store.cron.put([Change("a", raw, new, tick, keep=True)])
        return [raw]

    cron.run(store)  # it opens the watch
    add_again(store, tick)
    with monkeypatch.context() as patched:
        patched.setattr(store.cron, "entries", changed)
        cron.run(store)
    assert len(ran(store)) == 1
    wait_for(lambda: cron.due(time.monotonic()) <= 0, seconds=20)
    cron.run(store)
    assert len(ran(store)) == 2


def add_again(store: Store, tick: int) -> None:
    """Let the tick of entry `a` come once more."""
    raw = store.cron.entry("a")
    assert raw is not None
    store.cron.put([Change("a", raw, raw, tick)])


def test_entries_that_wait_for_their_jitter_are_not_read_again(
    store: Store, redis_url: str, watch: DueWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a pass, of which the time is limited, would never come to what is behind thousands."""
    for number in range(30):
        add(store, f"a{number:02}", every=864_000.0, jitter_seconds=800_000.0)
    cron, entries, read = ticker(redis_url, watch), store.cron.entries, list[str]()

    def noted(names: list[str]) -> list[bytes | None]:
        read.extend(names)
        return entries(names)

    monkeypatch.setattr(store.cron, "entries", noted)
    cron.run(store)
    assert len(read) == 30
    add(store, "b", 0.4)
    cron.run(store)
    assert read[30:] == ["b"] and names(store) == ["b"]


def test_what_this_machine_lacks_is_offered_to_another(
    store: Store, redis_client: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A zone that it does not know; the entries that it can run go on meanwhile."""
    lease = Lease("me")
    lease.run(store)
    settings = Settings.load({"redis_url": redis_url, "queues": "q"}, {})
    cron = CronTicks(lease, settings)
    raw = b'{"name":"far","cron":"0 9 * * *","tz":"Mars/Olympus","job":"A","queue":"q"}'
    store.cron.put([Change("far", b"", raw, 5)])
    add(store, "near")
    for _ in range(3):
        cron.run(store)
    assert lease.held and not redis_client.exists(store.keys.maintenance)
    assert store.queues.size("q") == 1
    (line,) = [each.message for each in caplog.records if "far" in each.message]
    assert line.startswith(
        "schedule entry far: this machine cannot run it: the zone 'Mars/Olympus'"
    )
