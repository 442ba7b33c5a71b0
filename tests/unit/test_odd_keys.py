"""What other programs leave under gresque's keys stops no recovery, no start and no listing."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gresque.cli.main import run
from gresque.failure.failed_list import FailedList
from gresque.jobs.registry import Registry
from gresque.processes.fingerprint import are_dead, machine
from gresque.processes.spec import DeadProcess
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.worker.recovery import Recovery
from tests.support.odd_keys import DEAD, ENTRY, JOB, KEYS, LEDGER, STATE, WORKER, die, queue, spoil

Redis = redis.Redis
SILENT = DeadProcess(DEAD, "no heartbeat for 60 s", None, blameless=True)


def recover(store: Store, process: str = DEAD, wish: str = "requeue") -> Totals:
    return Recovery(store, Registry(), wish, max_recoveries=3).recover(
        SILENT._replace(process_id=process)
    )


def failed(client: Redis) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in client.lrange(KEYS.failed, 0, -1)]


# Entries


UNREADABLE = {
    "nothing": b"",
    "no length": b"xyz",
    "a job without its origin": JOB,
    "a negative length": b"-1:resque:queue:q" + JOB,
    "a length beyond the end": b"999:resque:queue:q" + JOB,
    "a length of many digits": b"9" * 5000 + b":resque:queue:q" + JOB,
    "an empty key": b"0:" + JOB,
    "a key of another program": b"7:other:q" + JOB,
    "a key of another namespace": b"13:other:queue:q" + JOB,
    "a queue without a name": b"13:resque:queue:" + JOB,
    "not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("wish", ["requeue", "fail"])
@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_an_entry_that_cannot_be_read_fails_alone(
    store: Store,
    redis_client: Redis,
    value: bytes,
    wish: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    die(redis_client, state=STATE, _0=ENTRY, _1=value, _2=ENTRY)
    totals = recover(store, wish=wish)
    back = 2 * (wish == "requeue")
    assert queue(redis_client) == [JOB] * back
    assert totals == Totals(5, 3, 1 + 3 - back, back)
    (entry,) = (e for e in failed(redis_client) if e["exception"] == "InvalidPayload")
    assert entry["payload"]["class"] == "gresque.InvalidPayload"
    assert (entry["queue"], entry["worker"]) == ("q", WORKER)
    assert "slot b'1'" in entry["error"] and DEAD in entry["error"]
    raw, *encoding = entry["payload"]["args"]
    assert (base64.b64decode(raw) if encoding else raw.encode()) == value
    assert encoding in ([], ["base64"])
    assert not redis_client.exists(LEDGER, KEYS.ledgers)
    assert sum(f"1 entry in {LEDGER} cannot be read" in m for m in caplog.messages) == 1


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_a_retry_pushes_it_as_it_was(store: Store, redis_client: Redis, value: bytes) -> None:
    die(redis_client, state=STATE, _1=value)
    recover(store)
    listed = FailedList(store, KEYS.failed)
    assert listed.retry(listed.page(0, 1)) == [True]
    assert queue(redis_client) == [value]


@pytest.mark.parametrize(
    ("queues", "name"),
    [("q", "q"), ("*", "unreadable"), ("mail-*,!slow,low", "low"), ("q~5,b", "b")],
)
def test_which_queue_it_is_said_to_be_from(
    store: Store, redis_client: Redis, queues: str, name: str
) -> None:
    process = f"vm:1:{queues}:1:1:1:20:1000"
    die(redis_client, process, state=STATE, _1=b"xyz")
    recover(store, process)
    assert [entry["queue"] for entry in failed(redis_client)] == [name]


STATES = [
    None, b"", b"hello", b"1", b"1 2 3 4 5", b"1 2 3 4 5 6 7", b"1 2 3 4 5 x", b"-1 0 0 0 0 0",
    b"\xff",
    b"9" * 400 + b" 1 1 1 1 1", b"1 1 1 1 1 " + b"9" * 400, b"1 1 1 1 1 1e300",
    b"nan inf 0 0 0 0",
    b"fenced", b"fenced ", b"fenced hello", b"fenced:1:2:3 1 2 3 4 5 6", b"fenced:x 1 2 3 4 5 6",
    b"fenced:1:2:3:4", b"fenced:1:2:3:" + b"9" * 400 + b" 1 2 3 4 5 6", b"fenced 1 2 3 4 5",
    b"%s %d",
]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_is_none(
    store: Store, redis_client: Redis, state: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    die(redis_client, _0=ENTRY, _1=ENTRY, _2=b"xyz")
    if state is not None:
        redis_client.hset(LEDGER, "state", state)
    assert recover(store) == Totals(0, 0, 1, 2)
    assert queue(redis_client) == [JOB, JOB]
    assert not redis_client.exists(LEDGER, KEYS.ledgers)
    assert redis_client.zscore(KEYS.fenced, DEAD) is not None
    (logged,) = map(json.loads, redis_client.lrange(KEYS.recoveries, 0, -1))
    assert (logged["requeued"], logged["failed"]) == (2, 1)
    assert sum(f"the field state of {LEDGER}" in m for m in caplog.messages) == 1


@pytest.mark.parametrize("process", ["garbage", "", ":", "a:b:c:d:e:f:g:h", "\udcff", "x" * 9999])
def test_a_process_id_that_is_none(store: Store, redis_client: Redis, process: str) -> None:
    key = KEYS.ledger(process).encode("utf-8", "surrogateescape")
    name = process.encode("utf-8", "surrogateescape")
    redis_client.hset(key, mapping={b"state": STATE, b"0": ENTRY, b"1": b"xyz"})
    redis_client.zadd(KEYS.ledgers, {name: 0})
    recover(store, process)
    assert queue(redis_client) == [JOB]
    assert [entry["queue"] for entry in failed(redis_client)] == ["unreadable"]
    assert not redis_client.exists(key, KEYS.ledgers)
    assert len(store.recovery.log(5)) == 1


# Any bytes at all


SLOTS = st.binary(max_size=8).filter(lambda slot: slot not in (b"state", b"mine"))
VALUES = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda n, rest: b"%d:" % n + rest, st.integers(-5, 40), st.binary(max_size=40)),
    st.builds(lambda rest: b"14:resque:queue:q" + rest, st.binary(max_size=20)),
)
ANY_STATE = st.one_of(
    st.binary(max_size=40),
    st.lists(st.integers(-1, 10**20), max_size=7).map(lambda n: " ".join(map(str, n)).encode()),
    st.sampled_from([b"fenced " + STATE, b"fenced:1:1:0 " + STATE]),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(SLOTS, VALUES, max_size=5), ANY_STATE, st.binary(max_size=30))
@example({b"": b"xyz"}, b"", b"")
def test_whatever_bytes_stand_there_a_readable_neighbour_is_recovered(
    store: Store,
    redis_client: Redis,
    redis_url: str,
    fields: dict[bytes, bytes],
    state: bytes,
    process: bytes,
) -> None:
    redis_client.flushall()
    for name in {DEAD.encode(), process}:
        ledger = KEYS.ledger("").encode() + name
        redis_client.hset(ledger, mapping={**fields, b"state": state, b"mine": ENTRY})
        redis_client.zadd(KEYS.ledgers, {name: 0})
        redis_client.hset(KEYS.processes, name, machine().encode() + b" " + state)
    names = {DEAD, process.decode("utf-8", "surrogateescape")}
    for each in sorted(names):
        recover(store, each)
    assert queue(redis_client).count(JOB) >= len(names)
    assert not redis_client.exists(KEYS.ledgers, KEYS.processes)
    assert not list(redis_client.scan_iter("resque:ledger:*"))
    jobs = sum(redis_client.llen(key) for key in redis_client.scan_iter("resque:queue:*"))
    assert jobs + redis_client.llen(KEYS.failed) == len(names) * (len(fields) + 1)


@given(st.one_of(st.text(max_size=60), st.lists(st.text(max_size=9), min_size=5, max_size=5)))
def test_whatever_is_said_of_where_a_process_is(record: str | list[str]) -> None:
    where = record if isinstance(record, str) else " ".join(record)
    assert are_dead(where) in (True, False)


@pytest.mark.parametrize("pid", ["0", "-1", "-5", str(10**30), "9" * 5000, "", "x", "1.5", "None"])
def test_a_pid_that_is_none_claims_nothing(pid: str) -> None:
    dead = f"{2**22 + 7} 5"
    assert not are_dead(f"{machine()} {pid} 5 {dead}")
    assert not are_dead(f"{machine()} {dead} {pid} 5")
    assert not are_dead(pid)


# Keys of another type


CARRIERS = {
    "the queue": (KEYS.queue("bad"), "requeue"),
    "the failed list": (KEYS.failed, "fail"),
}


@pytest.mark.parametrize(("key", "wish"), CARRIERS.values(), ids=CARRIERS)
def test_a_job_that_its_list_refuses_stays_until_the_key_is_mended(
    store: Store, redis_client: Redis, key: str, wish: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = b"bad" if wish == "requeue" else b"q"
    held = b"%d:resque:queue:%s%s" % (13 + len(name), name, JOB)
    die(redis_client, state=STATE, _0=held, _1=held)
    neighbour = f"{WORKER}:30:1000"
    die(redis_client, neighbour, state=STATE, _0=ENTRY)
    spoil(redis_client, key)
    for _ in range(2):
        assert recover(store, wish=wish) == Totals(5, 3, 1, 0)
    assert recover(store, neighbour, "requeue") == Totals(5, 3, 1, 1)
    assert redis_client.hlen(LEDGER) == 3
    assert sum(f"{key} is not a list" in message for message in caplog.messages) == 1
    assert not any("recovered 0" in message for message in caplog.messages)

    redis_client.delete(key)
    totals = recover(store, wish=wish)
    assert totals.failed + totals.requeued == 3
    assert redis_client.llen(key) == 2
    assert not redis_client.exists(LEDGER, KEYS.ledgers)


OTHERS = [
    KEYS.queues, KEYS.ledgers, KEYS.processes, KEYS.recoveries, KEYS.fenced, KEYS.running(DEAD),
    KEYS.processed, KEYS.failures, KEYS.workers, KEYS.heartbeats, KEYS.listening("q"),
    KEYS.masters, KEYS.kills(DEAD), KEYS.waiting("q"), KEYS.wake(DEAD), KEYS.commands(DEAD),
    KEYS.failed_queues,
]  # fmt: skip


@pytest.mark.parametrize("key", OTHERS)
def test_nothing_else_keeps_a_job_from_being_recovered(
    store: Store, redis_client: Redis, key: str
) -> None:
    die(redis_client, state=STATE, _0=ENTRY, _1=b"xyz")
    spoil(redis_client, key)
    recovery = Recovery(store, Registry(), "requeue", 3, "redis_multi_queue")
    recovery.recover(SILENT._replace(blameless=False))
    (job,) = queue(redis_client)
    assert json.loads(job)["gresque"]["recoveries"] == 1
    assert redis_client.llen("resque:q_failed") == 1
    assert not redis_client.exists(LEDGER)
    recovery.store.workers.unregister(WORKER)


def test_a_suspect_stays_while_the_set_of_suspects_is_something_else(
    store: Store, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """In its list nobody would notice it."""
    die(redis_client, state=STATE, _0=ENTRY)
    spoil(redis_client, KEYS.suspects)
    recovery = Recovery(store, Registry(), "requeue", 3)
    recovery.recover(SILENT._replace(blameless=False))
    assert queue(redis_client) == []
    assert redis_client.hexists(LEDGER, "0")
    assert "resque:suspects is not a set" in caplog.text
    redis_client.delete(KEYS.suspects)
    recovery.recover(SILENT._replace(blameless=False))
    assert len(queue(redis_client)) == 1
    assert not redis_client.exists(LEDGER)


@pytest.mark.parametrize("value", ["garbage", str(2**63 - 1), "1.5", ""])
def test_counters_that_cannot_count(
    store: Store, redis_client: Redis, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    die(redis_client, state=STATE, _0=ENTRY)
    redis_client.mset({KEYS.processed: value, KEYS.failures: value})
    recover(store, wish="fail")
    assert len(failed(redis_client)) == 1
    assert sum("cannot be counted up" in message for message in caplog.messages) == 2


def test_a_ledger_of_another_type_is_left_alone(
    store: Store, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set(LEDGER, "mine")
    redis_client.zadd(KEYS.ledgers, {DEAD: 0})
    redis_client.hset(KEYS.processes, DEAD, "x")
    assert recover(store) == Totals()
    assert redis_client.get(LEDGER) == b"mine"
    assert not redis_client.exists(KEYS.ledgers, KEYS.processes)
    assert sum(f"{LEDGER} is not a hash" in message for message in caplog.messages) == 1


def test_whoever_waits_for_a_kill_stops_no_recovery(store: Store, redis_client: Redis) -> None:
    die(redis_client, state=STATE, _0=ENTRY)
    redis_client.hset(KEYS.kills(DEAD), mapping={b"\xff": b"\xfe", b"wrong": b"x", b"t": b"1"})
    redis_client.set(KEYS.answer("wrong"), "x")
    recover(store)
    assert queue(redis_client) == [JOB]
    assert redis_client.llen(b"resque:answer:\xff") == 1


# Listings


EVERY_KEY = [
    KEYS.queues, KEYS.queue("q"), KEYS.failed, KEYS.workers, KEYS.heartbeats, KEYS.processed,
    KEYS.failures, KEYS.failed_queues, KEYS.ledgers, KEYS.processes, KEYS.suspects,
    KEYS.recoveries, KEYS.fenced, LEDGER, KEYS.commands(DEAD), KEYS.running(DEAD),
    KEYS.worker_started(WORKER), KEYS.worker_stat("processed", WORKER), "resque:q_failed",
]  # fmt: skip
LISTINGS = [
    ["workers"], ["running"], ["queues"], ["failed"], ["failed", "groups"], ["ledger"],
    ["ledger", "--recoveries"], ["stats"],
]  # fmt: skip


@pytest.mark.parametrize("key", EVERY_KEY)
def test_every_listing_goes_on(
    redis_url: str, redis_client: Redis, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    die(redis_client, state=STATE, _0=ENTRY, _1=b"xyz")
    redis_client.sadd(KEYS.workers, WORKER)
    redis_client.sadd(KEYS.queues, "q")
    redis_client.sadd(KEYS.failed_queues, "q_failed")
    spoil(redis_client, key)
    for command in LISTINGS:
        for more in ([], ["--json"]):
            backend = ["--failure-backend", "redis_multi_queue"] if key.endswith("q_failed") else []
            takes = command[0] in ("failed", "stats")
            arguments = [*command, *more, *(backend if takes else []), "--redis", redis_url]
            assert run(arguments) == 0, (command, capsys.readouterr())
            out = capsys.readouterr().out
            if more:
                json.loads(out)


def test_a_listing_names_the_key(
    redis_url: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set(KEYS.queues, "x")
    with caplog.at_level(logging.WARNING):
        assert run(["queues", "--redis", redis_url]) == 0
    assert "resque:queues is not a set, as gresque needs it: rename or delete that key" in (
        caplog.text
    )
