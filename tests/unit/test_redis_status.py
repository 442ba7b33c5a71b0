"""The server, as its page shows it, and what fills it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

from gresque.connection.scripts import script
from gresque.inspector import key_survey
from gresque.inspector.key_survey import KeySurvey
from gresque.inspector.redis_status import RedisStatus
from gresque.store.key_kinds import FAILED, FOREIGN, LATER, LOCKS, OTHER, SCHEDULE, WAITING, kind_of
from gresque.store.keys import Keys
from gresque.store.store import Store

SECRET = "s3cr3t"


def test_the_numbers_of_the_server(store: Store) -> None:
    found = RedisStatus.read(store)
    assert found.server == "Valkey"
    assert found.role == "master"
    assert found.memory_bytes is not None and found.memory_bytes > 100_000
    assert 0 < found.trip_seconds < 10
    assert found.clients is not None and found.clients >= 1


def test_a_slow_command_is_named_without_its_arguments(
    store: Store, redis_client: redis.Redis
) -> None:
    redis_client.slowlog_reset()
    redis_client.config_set("slowlog-log-slower-than", 0)
    try:
        redis_client.rpush("resque:queue:mail", f'{{"class":"A","args":["{SECRET}"]}}')
        sha = redis_client.script_load(script("heartbeats").text)
        redis_client.evalsha(sha, 2, store.keys.ledgers, store.keys.heartbeats)
    finally:
        redis_client.config_set("slowlog-log-slower-than", 10_000)
    commands = [each.command for each in RedisStatus.read(store).slow]
    assert "RPUSH resque:queue:mail" in commands
    assert "EVALSHA heartbeats" in commands
    assert SECRET not in " ".join(commands)


def test_what_endangers_jobs_is_said(store: Store, redis_client: redis.Redis) -> None:
    before = redis_client.config_get("appendonly")["appendonly"]
    redis_client.config_set("appendonly", "no")
    try:
        (line,) = RedisStatus.read(store).troubles
    finally:
        redis_client.config_set("appendonly", before)
    assert "Set appendonly to yes." in line


KEYS = Keys("app")
KINDS = {
    KEYS.queue("a:b"): WAITING, KEYS.suspects_of("a", 2): WAITING, KEYS.failed: FAILED,
    KEYS.failed_list("mail_failed"): FAILED, KEYS.later_jobs: LATER, KEYS.delayed("12"): LATER,
    KEYS.last_enqueued: SCHEDULE, KEYS.scheduler_locks[0]: SCHEDULE, KEYS.cron_next: SCHEDULE,
    KEYS.unique_waiting("00"): LOCKS, "app:x": OTHER, "apples": FOREIGN, "resque:failed": FOREIGN,
}  # fmt: skip


@pytest.mark.parametrize("key", KINDS)
def test_keys_by_what_they_are_for(key: str) -> None:
    assert kind_of(KEYS, key) == KINDS[key]


def fill(client: redis.Redis, counters: int) -> None:
    client.sadd("resque:queues", "mail")
    client.rpush("resque:queue:mail", *["x" * 1000] * 300)
    client.mset({f"resque:stat:processed:{number}": number for number in range(counters)})
    client.set("elsewhere", 1)


def test_a_survey_of_few_keys_is_exact(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client, 20)
    found = KeySurvey.take(store)
    assert (found.keys, found.measured, found.is_sample) == (23, 23, False)
    assert [(each.kind, each.count) for each in found.kinds] == [
        (WAITING, 2), ("counters", 20), (FOREIGN, 1),
    ]  # fmt: skip
    assert found.kinds[0].largest == "resque:queue:mail"
    assert found.kinds[0].memory_bytes > 300_000


def test_a_survey_of_many_keys_measures_lists_of_jobs_and_draws_the_rest(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_survey, "SAMPLED", 200)
    fill(redis_client, 5000)
    found = KeySurvey.take(store)
    assert found.is_sample
    assert found.measured <= 201
    kinds = {each.kind: each for each in found.kinds}
    assert kinds[WAITING].memory_bytes > 300_000
    assert 4500 < kinds["counters"].count <= 5002


def test_a_user_without_the_right_is_said_so(store: Store, redis_client: redis.Redis) -> None:
    redis_client.execute_command("ACL SETUSER default -memory")
    try:
        found = KeySurvey.take(store)
    finally:
        redis_client.execute_command("ACL SETUSER default +@all")
    assert found.refused is not None and "memory" in found.refused


def test_every_key_of_gresque_has_a_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text()
    named = {re.sub(r"<[a-z]+>", "X", key) for key in re.findall(r"`(resque:[^`]+)`", page)}
    assert len(named) > 50
    assert [key for key in named if kind_of(Keys("resque"), key) in (OTHER, FOREIGN)] == []
