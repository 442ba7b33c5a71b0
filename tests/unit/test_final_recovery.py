"""What a master does in Redis when its last child is gone."""

from __future__ import annotations

import pytest
import redis

from gresque.master.accounts import Accounts
from gresque.master.final_recovery import finish
from gresque.processes.spec import DeadProcess
from gresque.processes.sums import SharedSums
from gresque.settings import Settings
from gresque.store.ledger import Totals
from tests.support.registered import KEYS, ME, OTHER, SILENT, WORKER, register

STARTED = "2026-01-01 00:00:00 +0000"
NEVER_BOOTED = f"{WORKER}:11:1001"


def leave(redis_url: str, accounts: Accounts) -> None:
    settings = Settings.load({"redis_url": redis_url, "queues": "q"}, {})
    finish(settings, WORKER, STARTED, accounts, SharedSums())


def test_it_leaves_nothing_of_its_worker(redis_url: str, redis_client: redis.Redis) -> None:
    register(redis_client, ME, SILENT)
    redis_client.hset(KEYS.vitals, mapping={ME: "{}", NEVER_BOOTED: "{}", SILENT: "{}"})
    redis_client.rpush(KEYS.suspects_of("q", 1), "suspect")
    redis_client.sadd(KEYS.suspects, "q")
    accounts = Accounts()
    accounts.to_recover.append(DeadProcess(ME, "it exited with 1", None, blameless=True))
    settings = Settings.load({"redis_url": redis_url, "queues": "q,other"}, {})
    finish(settings, WORKER, STARTED, accounts, SharedSums())
    assert accounts.to_recover == []
    assert accounts.totals(()) == Totals(reserved=1, requeued=1)
    assert redis_client.hkeys(KEYS.vitals) == [SILENT.encode()]
    assert redis_client.smembers(KEYS.workers) == {OTHER.encode()}
    assert redis_client.exists(KEYS.suspects), "the other worker serves their queue"


@pytest.mark.parametrize("started", [STARTED, "2026-01-01 00:00:01 +0000"])
def test_it_releases_its_own_lease(redis_url: str, redis_client: redis.Redis, started: str) -> None:
    """The maintenance process was killed, and the master had to leave at once."""
    redis_client.set(KEYS.maintenance, f"{WORKER} {started}", ex=5)
    leave(redis_url, Accounts())
    assert bool(redis_client.exists(KEYS.maintenance)) == (started != STARTED)


def test_a_process_that_was_killed_while_it_left_is_counted(redis_url: str) -> None:
    counted = Totals(reserved=2, done=2)
    accounts = Accounts()
    dead = DeadProcess(ME, "it was killed by SIGKILL", None, blameless=False, totals=counted)
    accounts.to_recover.append(dead)
    leave(redis_url, accounts)
    assert accounts.totals(()) == counted


def test_one_that_has_its_ledger_still_is_counted_once(
    redis_url: str, redis_client: redis.Redis
) -> None:
    register(redis_client, ME)
    redis_client.hdel(KEYS.ledger(ME), "0")
    counted = Totals(reserved=1, done=1)
    redis_client.hset(KEYS.ledger(ME), "state", "1 1 1 0 0 0")
    accounts = Accounts()
    dead = DeadProcess(ME, "it was killed by SIGKILL", None, blameless=False, totals=counted)
    accounts.to_recover.append(dead)
    leave(redis_url, accounts)
    assert accounts.totals(()) == counted


def test_when_redis_is_away_it_is_left_to_others() -> None:
    accounts = Accounts()
    accounts.to_recover.append(DeadProcess(ME, "it exited with 1", None, blameless=True))
    settings = Settings.load({"redis_url": "redis://127.0.0.1:1/0", "queues": "q"}, {})
    finish(settings, WORKER, STARTED, accounts, SharedSums())
    assert len(accounts.to_recover) == 1
