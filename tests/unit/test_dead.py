"""What is done for the queues of dead processes when these are recovered."""

from __future__ import annotations

import pytest
import redis

from gresque.maintenance.dead import DeadProcesses
from gresque.processes.spec import DeadProcess
from gresque.settings import Settings
from gresque.store.store import Store
from tests.support.registered import KEYS, ME, SILENT, register


@pytest.mark.parametrize(("own", "others", "left"), [
    ("x", [], False), ("q", [], True), ("x", [ME], True),
])  # fmt: skip
def test_suspects_that_no_process_serves_any_more_go_back_to_their_queue(
    store: Store, redis_url: str, redis_client: redis.Redis, own: str, others: list[str], left: bool
) -> None:
    """Any other program that serves the queue finds them there."""
    register(redis_client, SILENT, *others)
    redis_client.hset(KEYS.ledger(SILENT), "0", '14:resque:queue:q{"class":"A"}')
    dead = DeadProcess(SILENT, "it is gone", None, blameless=False)
    settings = Settings.load({"redis_url": redis_url, "queues": own}, {})
    assert DeadProcesses(settings).recover(store, [dead])
    assert redis_client.llen(KEYS.suspects_of("q", 1)) == left
    assert redis_client.llen(KEYS.queue("q")) == (not left)
