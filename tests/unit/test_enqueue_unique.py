"""Unique jobs are enqueued once: by lock, rule and place of the job that holds the lock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import DuplicateJob, EnqueueError, NotEnqueued
from gresque.jobs.ids import JobId
from gresque.jobs.registry import registry
from gresque.jobs.unique import key_of, unique_rule
from gresque.store.store import Store

HOUR = 3_600_000
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    before = dict(registry._definitions)
    ran.clear()
    yield
    registry._definitions.clear()
    registry._definitions.update(before)


@pytest.fixture
def client(redis_url: str) -> Iterator[gresque.Client]:
    with closing(gresque.Client(redis_url, retry_seconds=1)) as client:
        yield client


@gresque.job("q", name="Unique.sync")
def sync(site: int, part: str = "all") -> None:
    ran.append((site, part))


def of_site(site: int, *_: Any, **__: Any) -> int:
    return site


def digest(**options: Any) -> str:
    rule = unique_rule("x", {"unique": "both", "unique_key": of_site, **options})
    assert rule is not None
    return key_of(rule, sync.definition, (7,), {}).digest


LOCK = f"resque:unique:{digest()}"
THROTTLE = f"resque:unique:{digest(unique=None, throttle=1)}"


def lock(redis_client: redis.Redis, key: str = LOCK) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in redis_client.hgetall(key).items()}


def args(raw: bytes | str) -> list[Any]:
    found: list[Any] = json.loads(raw)["args"]
    return found


def waiting(store: Store) -> list[tuple[str, list[Any]]]:
    return [(json.loads(raw)["id"], args(raw)) for raw in store.queues.peek("q", 0, 99)]


def delayed(store: Store) -> list[tuple[str, list[Any]]]:
    return [(job.member, args(job.raw)) for job in store.later.page(0, 99)]


class Enqueue:
    """Enqueues `sync(7, part)` by some options."""

    def __init__(self, client: gresque.Client, **options: Any) -> None:
        self._options = {"unique_key": of_site, **options}
        self._client = client

    def __call__(self, part: str, **more: Any) -> JobId:
        found = self._client.options(sync, **(self._options | more)).enqueue(7, part)
        assert found is not None
        return found


def start(store: Store, redis_client: redis.Redis) -> None:
    """As a worker does, whose own tests are elsewhere: it takes the job and what the lock has."""
    raw = redis_client.lpop("resque:queue:q") or redis_client.hvals("resque:later:jobs")[0]
    redis_client.delete("resque:later", "resque:later:jobs")
    if json.loads(raw[raw.index(b"{") :])["gresque"]["unique"][1] == "queued":
        redis_client.delete(LOCK)
    else:
        redis_client.hdel(LOCK, "replace", "payload")


# One job


@pytest.mark.parametrize("mode", ["queued", "both"])
def test_the_first_job_takes_the_lock(
    client: gresque.Client, store: Store, redis_client: redis.Redis, mode: str
) -> None:
    before = int(store.now() * 1000)
    job_id = Enqueue(client, unique=mode)("all")
    assert (type(job_id), job_id.duplicate) == (JobId, False)
    (raw,) = store.queues.peek("q", 0, 9)
    item = json.loads(raw)
    assert item["id"] == job_id
    assert item["gresque"] == {"unique": [LOCK.rpartition(":")[2], mode]}
    found = lock(redis_client)
    assert before <= int(found.pop("since")) <= before + 5_000
    assert found == {
        "id": job_id, "mode": mode, "class": "Unique.sync", "key": "Unique.sync 7", "queue": "q",
        "ttl": "86400000",
    }  # fmt: skip
    assert 86_390_000 < redis_client.pttl(LOCK) <= 86_400_000
    assert store.queues.names() == ["q"]


def test_mode_running_takes_no_lock(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, unique="running")
    ids = [enqueue("a"), enqueue("b"), enqueue("c", in_=3600)]
    assert not any(job_id.duplicate for job_id in ids)
    assert [name for name, _ in [*waiting(store), *delayed(store)]] == ids
    for raw in [*store.queues.peek("q", 0, 9), store.later.page(0, 1)[0].raw]:
        assert json.loads(raw)["gresque"]["unique"] == [LOCK.rpartition(":")[2], "running"]
    assert redis_client.keys("resque:unique:*") == []


def test_a_delayed_job_holds_its_lock_beyond_its_time(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, unique="both", unique_ttl_seconds=60)
    job_id = enqueue("a", in_=3600)
    assert enqueue("b") == job_id
    assert delayed(store) == [(job_id, [7, "a"])]
    assert 3_650_000 < redis_client.pttl(LOCK) <= 3_660_000
    assert store.queues.names() == []


def test_times_that_are_past(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    job_id = Enqueue(client, unique="both", at=1, unique_ttl_seconds=60)("a")
    assert waiting(store) == [(job_id, [7, "a"])]
    assert 50_000 < redis_client.pttl(LOCK) <= 60_000


# Duplicates

PLACES = ["list", "later", "started", "gone"]
DROPPED, REPLACED, AGAIN, ENQUEUED = "dropped", "replaced", "again", "enqueued"


def outcome(on_duplicate: str, mode: str, place: str) -> str:
    if place == "gone" or (mode == "queued" and place == "started"):
        return ENQUEUED
    if on_duplicate == "replace":
        return AGAIN if place == "started" else REPLACED
    return {"drop": DROPPED, "raise": DROPPED, "again": AGAIN}[on_duplicate]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("on_duplicate", ["drop", "raise", "replace", "again"])
@pytest.mark.parametrize("mode", ["queued", "both"])
def test_a_duplicate(
    client: gresque.Client,
    store: Store,
    redis_client: redis.Redis,
    mode: str,
    on_duplicate: str,
    place: str,
) -> None:
    """By mode, rule and place of the holder: two more triggers, `b` and `c`."""
    enqueue = Enqueue(client, unique=mode, on_duplicate=on_duplicate)
    first = enqueue("a", **({"in_": 3600} if place == "later" else {}))
    due = redis_client.zscore("resque:later", first)
    if place == "started":
        start(store, redis_client)
    if place == "gone":
        redis_client.delete(LOCK)
    before = lock(redis_client)
    expected = outcome(on_duplicate, mode, place)
    if expected == DROPPED and on_duplicate == "raise":
        for part in "bc":
            with pytest.raises(DuplicateJob, match=r"job Unique\.sync is not enqueued") as raised:
                enqueue(part)
            assert raised.value.job_id == first
        second, third = first, first
    else:
        second = enqueue("b")
        if expected == ENQUEUED and on_duplicate == "raise":
            with pytest.raises(DuplicateJob):
                enqueue("c")
            third = second
        else:
            third = enqueue("c")
    found = lock(redis_client)
    jobs = [*waiting(store), *delayed(store)]
    if expected == DROPPED:
        assert found == before
        assert (second, third) == (first, first)
        assert jobs == ([] if place == "started" else [(first, [7, "a"])])
    elif expected == REPLACED:
        assert (second, third, second.duplicate, third.duplicate) == (first, first, True, True)
        if place == "later":
            assert found == before
            assert jobs == [(first, [7, "c"])]
            assert redis_client.zscore("resque:later", first) == due
        else:
            payload = found.pop("payload")
            assert found == before
            assert (json.loads(payload)["id"], args(payload)) == (first, [7, "c"])
            assert jobs == [(first, [7, "a"])]
    elif expected == AGAIN:
        assert second != first
        assert (second.duplicate, third, third.duplicate) == (False, second, True)
        again = found.pop("again")
        assert (json.loads(again)["id"], args(again)) == (second, [7, "c"])
        assert found == before | {"again_id": second}
        assert jobs == ([] if place == "started" else [(first, [7, "a"])])
    else:
        assert second != first
        assert not second.duplicate
        assert found["id"] == second


def test_a_holder_that_does_not_take_another_payload(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """It was enqueued by another rule, so its start would not look into the lock."""
    enqueue = Enqueue(client, unique="both")
    first = enqueue("a")
    second = enqueue("b", on_duplicate="replace")
    assert (second == first, second.duplicate) == (False, False)
    assert args(lock(redis_client)["again"]) == [7, "b"]
    assert waiting(store) == [(first, [7, "a"])]


def test_a_retry_that_waits_is_replaced_in_place(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """It has started once, and will start again: with the latest arguments, by the same id."""
    enqueue = Enqueue(client, unique="both", on_duplicate="replace")
    first = enqueue("a")
    start(store, redis_client)
    raw = b'{"class":"Unique.sync","args":[7,"a"],"id":"%b","generation":1}' % first.encode()
    redis_client.zadd("resque:later", {first: 5e12})
    redis_client.hset("resque:later:jobs", first, b"14:resque:queue:x" + raw)
    assert enqueue("b") == first
    assert delayed(store) == [(first, [7, "b"])]
    assert store.later.page()[0].queue == "x"
    assert lock(redis_client)["replace"] == "1"


def test_the_next_run_gets_the_latest_arguments_also_where_it_waits_in_the_lock(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """A trigger during the run, then the run is to be tried again."""
    enqueue = Enqueue(client, unique="both", on_duplicate="replace")
    first = enqueue("a")
    start(store, redis_client)
    second = enqueue("b")
    redis_client.zadd("resque:later", {first: 5e12})
    redis_client.hset("resque:later:jobs", first, b'14:resque:queue:x{"args":["a"]}')
    assert enqueue("c") == second
    assert args(lock(redis_client)["again"]) == [7, "c"]
    assert delayed(store) == [(first, ["a"])]


def test_a_payload_in_the_lock_does_not_outlive_a_later_one(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """The job waited in its queue, and was put off unstarted: its code was not there yet."""
    enqueue = Enqueue(client, unique="queued", on_duplicate="replace")
    first = enqueue("a")
    enqueue("b")
    raw = redis_client.lpop("resque:queue:q")
    redis_client.zadd("resque:later", {first: 5e12})
    redis_client.hset("resque:later:jobs", first, b"14:resque:queue:q" + raw)
    assert enqueue("c") == first
    assert "payload" not in lock(redis_client)
    assert delayed(store) == [(first, [7, "c"])]


def test_replaced_arguments_take_over_the_time_of_the_job(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """Its age, and when it is too late to run, count from the time at which it is due."""
    job = gresque.job("q", name="Unique.expiring", expires_seconds=60)(sync._function)
    options: dict[str, Any] = {"unique": "both", "on_duplicate": "replace", "unique_key": of_site}
    client.options(job, in_=3600, **options).enqueue(7, "a")
    due = store.later.page()[0].due_ms / 1000
    client.options(job, **options).enqueue(7, "b")
    item = json.loads(store.later.page()[0].raw)
    assert item["args"] == [7, "b"]
    assert item["gresque"]["run_at"] == pytest.approx(due, abs=0.002)
    assert item["expires_at"] == pytest.approx(due + 60, abs=5)
    # The other way: the job waits in its queue, and the trigger is a delayed one.
    redis_client.flushdb()
    client.options(job, **options).enqueue(7, "a")
    client.options(job, in_=3600, **options).enqueue(7, "b")
    (key,) = redis_client.keys("resque:unique:*")
    item = json.loads(redis_client.hget(key, "payload"))
    assert item["gresque"]["run_at"] == pytest.approx(store.now(), abs=5)
    assert item["expires_at"] == pytest.approx(store.now() + 60, abs=5)


def test_an_argument_that_looks_like_the_envelope(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    tricky = '"id":"x","run_at":1,"expires_at":5}'
    enqueue = Enqueue(client, unique="both", on_duplicate="replace")
    first = enqueue("a", in_=3600)
    enqueue(tricky)
    assert delayed(store) == [(first, [7, tricky])]


def test_another_key_is_another_job(client: gresque.Client, store: Store) -> None:
    first = client.options(sync, unique="both").enqueue(7)
    second = client.options(sync, unique="both").enqueue(8)
    third = client.options(sync, unique="both").enqueue(site=7)
    assert first != second
    assert third == first
    assert len(waiting(store)) == 2


def test_the_names_of_longjob(redis_url: str, store: Store, redis_client: redis.Redis) -> None:
    gresque.configure(redis_url)
    first = sync.enqueue_unique(7)
    assert first is not None
    assert sync.enqueue_unique(7) == first
    again = sync.enqueue_debounce(7)
    assert again not in (None, first)
    assert sync.enqueue_debounce(7) == again
    (key,) = redis_client.keys("resque:unique:*")
    assert lock(redis_client, key.decode())["again_id"] == again

    class Archive(gresque.Job):
        queue = "q"
        name = "Unique.Archive"
        unique = "queued"
        unique_key = of_site

        def perform(site: int, part: str) -> None: ...

    first = Archive.enqueue_unique(7, "a")
    assert Archive.enqueue_unique(7, "b") == first
    assert Archive.enqueue_debounce(7, "c") not in (None, first)


# Declarations


def test_what_a_declaration_says(client: gresque.Client, store: Store) -> None:
    class Declared(gresque.Job):
        queue = "q"
        name = "Unique.Declared"
        unique = "both"
        on_duplicate = "replace"

        def unique_key(site: int, part: str) -> int:
            return site

        def perform(site: int, part: str) -> None: ...

    first = client.enqueue(Declared, 7, "a")
    assert first is not None
    for enqueue in (
        lambda: client.enqueue(Declared, 7, "b"),
        lambda: client.enqueue_to("other", Declared, 7, "b"),
        lambda: client.enqueue_in(60, Declared, 7, "b"),
        lambda: client.enqueue_at(9e9, Declared, 7, "b"),
        lambda: client.options(Declared, queue="other").enqueue(7, "b"),
        lambda: client.enqueue_many(Declared, [(7, "b")])[0],
        lambda: client.enqueue_many(Declared, [(7, "b")], in_=60)[0],
    ):
        found = enqueue()
        assert (found, found.duplicate) == (first, True)  # type: ignore[union-attr]
    assert waiting(store) == [(first, [7, "a"])]
    assert store.queues.names() == ["q"]


def test_a_declaration_that_contradicts_itself() -> None:
    with pytest.raises(gresque.JobDeclarationError, match=r"^job .*debounce needs a lock"):
        gresque.job("q", unique="running", debounce=5)(of_site)
    with pytest.raises(gresque.JobDeclarationError, match=r"^job .*max_wait belongs to debounce"):

        class Wrong(gresque.Job):
            queue = "q"
            name = "Unique.Wrong"
            max_wait = 5

            def perform() -> None: ...


def test_options_of_a_call_that_contradict_the_declaration(client: gresque.Client) -> None:
    job = gresque.job("q", name="Unique.both", unique="both")(of_site)
    with pytest.raises(EnqueueError, match="throttle and unique exclude each other"):
        job.options(throttle=5)
    with pytest.raises(EnqueueError, match="throttle and unique exclude each other"):
        client.options("Unique.both", throttle=5)
    with pytest.raises(EnqueueError, match="is debounced, which says when it is due"):
        job.options(debounce=5, in_=7).enqueue(1)
    with pytest.raises(EnqueueError, match="is throttled, which says when it is due"):
        client.options(sync, throttle=5).enqueue_many([(1,)], spread=7)
    with pytest.raises(TypeError, match="unexpected keyword argument 'uniqe'"):
        job.options(uniqe="both")  # type: ignore[call-arg]


def test_the_hooks_of_a_duplicate(client: gresque.Client) -> None:
    class Hooked(gresque.Job):
        queue = "q"
        name = "Unique.Hooked"
        unique = "queued"

        def perform(n: int) -> None: ...
        def before_enqueue_it(n: int) -> bool:
            ran.append(("before", n))
            return n > 0

        def after_enqueue_it(n: int) -> None:
            ran.append(("after", n))

        def after_schedule_it(n: int) -> None:
            ran.append(("schedule", n))

    assert client.enqueue(Hooked, 0) is None
    client.enqueue(Hooked, 1)
    client.enqueue(Hooked, 1)
    client.enqueue_in(5, Hooked, 2)
    client.enqueue_in(5, Hooked, 2)
    client.options(Hooked, on_duplicate="replace").enqueue(1)
    assert ran == [
        ("before", 0), ("before", 1), ("after", 1), ("before", 1),
        ("before", 2), ("schedule", 2), ("after", 2), ("before", 2), ("before", 1), ("after", 1),
    ]  # fmt: skip


def test_inline_jobs_run_at_once(redis_url: str, redis_client: redis.Redis) -> None:
    client = gresque.Client(redis_url, inline=True)
    for options in (
        {"unique": "both"}, {"unique": "queued"}, {"unique": "running", "in_": 5},
        {"debounce": 5}, {"throttle": 5, "trailing": True},
    ):  # fmt: skip
        found = client.options(sync, **options).enqueue(7)  # type: ignore[arg-type]
        assert found is not None
        assert not found.duplicate
    assert len(client.options(sync, unique="both").enqueue_many([(7,), (7,)])) == 2
    assert ran == [(7, "all")] * 7
    with pytest.raises(EnqueueError, match="unique_key gave None"):
        client.options(sync, unique="both", unique_key=lambda site: None).enqueue(7)
    assert redis_client.keys() == []


# Debounce


def test_each_trigger_puts_a_debounced_job_off(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, unique=None, debounce=3600, max_wait=5400)
    first = enqueue("a")
    began = int(lock(redis_client)["first"])
    dues = [store.later.page()[0].due_ms]
    assert dues == [began + HOUR]
    for part in "bc":
        time.sleep(0.002)
        again = enqueue(part)
        assert (again, again.duplicate) == (first, True)
        dues.append(store.later.page()[0].due_ms)
    assert dues == sorted(set(dues))
    (job,) = store.later.page(0, 9)
    assert args(job.raw) == [7, "c"]
    assert json.loads(job.raw)["gresque"]["run_at"] == job.due_ms / 1000
    assert redis_client.pttl(LOCK) > 86_400_000
    # The end of the time for which it may be put off comes near.
    redis_client.hset(LOCK, "first", began - HOUR)
    enqueue("d")
    (job,) = store.later.page(0, 9)
    assert job.due_ms == began - HOUR + 5_400_000
    assert args(job.raw) == [7, "d"]
    redis_client.hset(LOCK, "first", began - 2 * HOUR)
    enqueue("e")
    assert store.later.page()[0].due_ms == began - 2 * HOUR + 5_400_000
    assert 86_000_000 < redis_client.pttl(LOCK) <= 86_400_000


def test_a_debounced_job_that_is_due_takes_the_latest_arguments(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """It waits in its queue by now."""
    enqueue = Enqueue(client, unique=None, debounce=3600, max_wait=5400)
    first = enqueue("a")
    store.later.run_now(store.later.page()[0], store.later.page()[0].raw)
    assert enqueue("b") == first
    assert args(lock(redis_client)["payload"]) == [7, "b"]
    # It has started: the next trigger begins anew.
    redis_client.delete(LOCK, "resque:queue:q")
    second = enqueue("c")
    assert (second == first, second.duplicate) == (False, False)
    assert delayed(store) == [(second, [7, "c"])]


def test_debounced_jobs_of_one_call(client: gresque.Client, store: Store) -> None:
    job = client.options(sync, debounce=60, unique_key=of_site)
    first, second, other = job.enqueue_many([(7, "a"), (7, "b"), (8, "c")])
    assert (first == second, first.duplicate, second.duplicate) == (True, False, True)
    assert sorted(delayed(store)) == sorted([(first, [7, "b"]), (other, [8, "c"])])


# Throttle


def test_a_throttled_job_runs_once_in_its_time(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, throttle=60)
    first = enqueue("a")
    assert [enqueue("b"), enqueue("c")] == [first, first]
    (raw,) = store.queues.peek("q", 0, 9)
    assert args(raw) == [7, "a"]
    assert "unique" not in json.loads(raw).get("gresque", {})
    found = lock(redis_client, THROTTLE)
    assert found["mode"] == "throttle"
    assert int(found["until"]) - int(found["since"]) == 60_000
    assert 50_000 < redis_client.pttl(THROTTLE) <= 60_000
    redis_client.delete(THROTTLE)
    assert not enqueue("d").duplicate


def test_a_trailing_job_runs_at_the_end_with_the_latest_arguments(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, throttle=60, trailing=True)
    first = enqueue("a")
    second = enqueue("b")
    assert (second == first, second.duplicate) == (False, False)
    until = int(lock(redis_client, THROTTLE)["until"])
    third = enqueue("c")
    assert (third, third.duplicate) == (second, True)
    assert waiting(store) == [(first, [7, "a"])]
    (job,) = store.later.page(0, 9)
    assert (job.member, args(job.raw), job.due_ms) == (second, [7, "c"], until)
    assert json.loads(job.raw)["gresque"]["run_at"] == until / 1000
    assert 110_000 < redis_client.pttl(THROTTLE) <= 120_000
    # It is due, and began the next period.
    store.later.run_now(job, job.raw)
    redis_client.hset(THROTTLE, "until", until - 60_000)
    fourth = enqueue("d")
    assert (fourth == second, fourth.duplicate) == (False, False)
    found = lock(redis_client, THROTTLE)
    assert (found["id"], found["again_id"], int(found["until"])) == (second, fourth, until)
    assert store.later.page()[0].due_ms == until


def test_a_trailing_job_that_was_cancelled(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, throttle=60, trailing=True)
    enqueue("a")
    second = enqueue("b")
    assert client.cancel(second)
    third = enqueue("c")
    assert (third == second, third.duplicate) == (False, False)
    assert delayed(store) == [(third, [7, "c"])]


def test_a_period_that_is_over_without_another_trigger(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """The lock is there for the period of the trailing job, and that is over, too."""
    enqueue = Enqueue(client, throttle=60, trailing=True)
    enqueue("a")
    client.cancel(enqueue("b"))
    redis_client.hset(THROTTLE, "until", int(store.now() * 1000) - 90_000)
    third = enqueue("c")
    assert waiting(store)[-1] == (third, [7, "c"])
    found = lock(redis_client, THROTTLE)
    assert found["id"] == third
    assert "again_id" not in found


# Refusals: nothing is half done


def kinds() -> dict[str, Callable[[Enqueue], JobId]]:
    return {
        "now": lambda enqueue: enqueue("a"),
        "delayed": lambda enqueue: enqueue("a", in_=3600),
    }


@pytest.mark.parametrize(
    ("key", "kind"),
    [("queues", "now"), ("queue:q", "now"), ("later", "delayed"), ("later:jobs", "delayed")],
)
def test_a_key_of_another_type_leaves_no_lock(
    client: gresque.Client, redis_client: redis.Redis, key: str, kind: str
) -> None:
    redis_client.set(f"resque:{key}", "x")
    enqueue = Enqueue(client, unique="both")
    with pytest.raises(NotEnqueued, match=f"resque:{key}"):
        kinds()[kind](enqueue)
    found = {name.decode() for name in redis_client.keys("*") if b"producer" not in name}
    assert found <= {f"resque:{key}", "resque:queues"}
    redis_client.delete(f"resque:{key}")
    assert not kinds()[kind](enqueue).duplicate


def test_a_lock_of_another_type(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    redis_client.set(LOCK, "x")
    with pytest.raises(NotEnqueued, match=LOCK):
        client.options(sync, unique="both", unique_key=of_site).enqueue_many([(6,), (7,)])
    assert store.queues.names() == []
    assert redis_client.keys("resque:unique:*") == [LOCK.encode()]


@pytest.mark.parametrize("right", ["-pexpire", "-hset", "-hmget"])
def test_a_missing_right_leaves_no_job_and_no_lock(
    client: gresque.Client, redis_client: redis.Redis, right: str
) -> None:
    enqueue = Enqueue(client, unique="both")
    redis_client.execute_command("ACL", "SETUSER", "default", right)
    try:
        for kind in kinds().values():
            with pytest.raises(NotEnqueued):
                kind(enqueue)
        assert [key for key in redis_client.keys("*") if b"producer" not in key] in (
            [],
            [b"resque:queues"],
        )
    finally:
        redis_client.execute_command("ACL", "SETUSER", "default", "+@all")
    assert not enqueue("a").duplicate


def test_a_server_without_scripts(client: gresque.Client, redis_client: redis.Redis) -> None:
    redis_client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    try:
        with pytest.raises(NotEnqueued, match="a unique job needs EVALSHA and EVAL"):
            Enqueue(client, unique="both")("a")
    finally:
        redis_client.execute_command("ACL", "SETUSER", "default", "+@all")


# Bulks


def test_a_bulk_with_duplicates(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    job = client.options(sync, unique="both")
    sites = [number // 2 for number in range(10_000)]
    ids = job.enqueue_many((site,) for site in sites)
    assert [job_id.duplicate for job_id in ids] == [False, True] * 5_000
    assert ids[::2] == ids[1::2]
    assert store.queues.size("q") == 5_000
    assert redis_client.dbsize() == 5_000 + 3
    assert all(job_id.duplicate for job_id in job.enqueue_many((site,) for site in sites[:800]))
    assert store.queues.size("q") == 5_000


def test_a_bulk_that_raises(client: gresque.Client, store: Store) -> None:
    job = client.options(sync, unique="both", on_duplicate="raise")
    known = job.enqueue(900)
    with pytest.raises(DuplicateJob, match=r"^job 900 of the bulk: .*; the 775 jobs") as raised:
        job.enqueue_many((site,) for site in range(1_000))
    assert raised.value.job_id == known
    assert len(raised.value.enqueued_ids) == 775
    assert store.queues.size("q") == 776


def test_replaced_within_a_bulk(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    job = client.options(sync, unique="both", on_duplicate="replace", unique_key=of_site)
    first, second, third = job.enqueue_many([(7, "a"), (8, "a"), (7, "b")])
    assert (third, third.duplicate) == (first, True)
    assert waiting(store) == [(first, [7, "b"]), (second, [8, "a"])]
    assert "payload" not in lock(redis_client)
    job.enqueue_many([(7, "c"), (7, "d")])
    assert args(lock(redis_client)["payload"]) == [7, "d"]
