"""Calls to the server: scripts, its clock."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

from gresque.store.ledger import Totals
from gresque.store.store import Store
from tests.support.ledgers import KEY, hold

Redis = redis.Redis


def test_the_servers_clock(store: Store) -> None:
    assert abs(store.now() - time.time()) < 5


@pytest.mark.parametrize("times", [1, 2])
def test_a_script_is_brought_along(store: Store, redis_client: Redis, times: int) -> None:
    hold(redis_client)
    for _ in range(times):
        redis_client.script_flush()
        store.recovery.fence("p")
    assert store.recovery.fence("p").totals == Totals(2, 0, 0, 0)


@pytest.mark.parametrize("has_eval_ro", [True, False])
def test_a_script_that_only_reads(
    store: Store, redis_client: Redis, monkeypatch: pytest.MonkeyPatch, has_eval_ro: bool
) -> None:
    """Redis before 7 knows no EVAL_RO."""
    hold(redis_client, "p", _0=b"x", _1=b"y")
    hold(redis_client, "q", _0=b"x")
    pipeline = store.redis.pipeline

    def without_eval_ro(*arguments: Any, **options: Any) -> Any:
        made = pipeline(*arguments, **options)
        send = made.execute_command

        def execute_command(name: str, *arguments: Any) -> Any:
            return send(f"NO_{name}" if name.endswith("_RO") else name, *arguments)

        made.execute_command = execute_command  # type: ignore[method-assign]
        return made

    if not has_eval_ro:
        monkeypatch.setattr(store.redis, "pipeline", without_eval_ro)
    for _ in range(2):
        assert store.server.read_by_script(
            "count_held", [(["resque:ledger:p"], []), (["resque:ledger:q", "none"], [])]
        ) == [[[KEY, 2]], [[KEY, 1], []]]
        redis_client.script_flush()
    assert store.server.read_by_script("count_held", []) == []
