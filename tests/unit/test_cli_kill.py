"""`gresque kill` of a process that the test plays; see also tests/process/test_kill.py."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from gresque.store.commands import Fate, KillAnswer
from gresque.store.store import Store
from tests.unit.test_cli import PROCESS, Call, call  # noqa: F401 (a fixture)
from tests.unit.test_cli_ledger import entry

LEDGER, ORDERS = f"resque:ledger:{PROCESS}", f"resque:commands:{PROCESS}"


@pytest.mark.parametrize("starts", [True, False])
def test_a_process_that_does_not_know_yet_that_it_holds_the_job(
    call: Call,  # noqa: F811
    redis_url: str,
    redis_client: redis.Redis,
    starts: bool,
) -> None:
    """Its loop is busy, and has not read what Redis gave it; or the job's end is not settled."""
    redis_client.zadd("resque:ledgers", {PROCESS: 1})
    redis_client.hset(LEDGER, mapping={"state": "1 1 0 0 0", "0": entry("q", '{"id":"a"}')})
    store = Store(redis_url, "resque")

    def next_token() -> str:
        asked = redis_client.blpop([ORDERS], 10)
        assert isinstance(asked, tuple | list)
        return str(asked[1].decode().split()[1])

    def play() -> None:
        store.commands.give_answer(next_token(), KillAnswer(Fate.ENDED))
        if starts:
            store.commands.give_answer(next_token(), KillAnswer(Fate.DEAD, in_failed=True))
        redis_client.delete(LEDGER)

    with _thread(play):
        told = call("kill", "a").out
    expected = "dead; see gresque failed --search a\n"
    assert told == (expected if starts else "it ended by itself, not by the kill\n")
    store.close()


class _thread:
    def __init__(self, run: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        self._thread.join()
