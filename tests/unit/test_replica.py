"""Scripts on a server that is not the primary: it must refuse before it has answered anything."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import redis

from gresque.connection.scripts import script
from tests.support.server import OwnServer

# name -> number of keys, arguments
CALLS: dict[str, tuple[int, list[Any]]] = {
    "beat": (9, ["p", "w", 1, "now", "now", 0, 0, 0, 0]),
    "publish": (3, ['{"since":{}}', "", 25, "{}", 5]),
    "listen": (5, [4, 11, 5000]),
    "change_policy": (2, ["q", "p", "r", "p"]),
    "pause_all": (1, ["true"]),
    "listen_limited": (13, [4, 11, 5000, "", 1]),
    "catch_up": (10, ["0", "1", "", 0, 0, 0, 0]),
    "correct_counts": (2, ["ledger:", 0]),
    "add_sums": (2, [1, 60, "d 1", 0]),
    "cron_pause": (3, ["a", "{}", "pause", ""]),
    "cron_put": (6, ["app", 0, "a", "", "{}", 9, 0]),
    "cron_tick": (6, ["a", "{}", 9, 19, "q", "job", "9 id", "now"]),
    "clear_jobs": (5, ["q", 9]),
    "cycle": (16, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, "", 0]),
    "release": (1, ["token"]),
    "release_lock": (3, ["id"]),
    "release_locks": (3, ["unlock", 2, "q", "id"]),
    "take_out": (8, ["item", "", "unlock", "q", "id"]),
    "restore_later": (2, ["a", 9]),
    "take_lease": (2, ["me", 5000]),
    "enqueue_unique": (
        6,
        [0, 1, "q", 60, 0, "in", "queued", "drop", "A", 9, 0, 0, "id", "", "key", "job"],
    ),
    "start": (5, [0, "p", "0", "queued", "", "id", "A", "q"]),
    "enqueue": (3, [0, 1, "q", 60, 0, "job"]),
    "enqueue_joined": (3, [0, 1, 1, 60, 0, "q", 1, "job"]),
    "fence": (3, ["p", 60]),
    "forget_suspects": (4, ["q"]),
    "hand_over": (3, [1]),
    "heartbeats": (2, []),
    "keep_locks": (1, ["id"]),
    "move_jobs": (8, ["q", "r", 9]),
    "move_item": (6, ["q", "r", "a", "b"]),
    "move_later": (4, ["a", "entry", "job", "q"]),
    "processes_of": (1, ["machine"]),
    "promote": (4, [1, "q", "a", 1]),
    "promote_delayed": (8, ["5", "gresque host:1", 9, 1, "queues", "q", "item", "job", 1]),
    "prune_worker": (6, ["w", "", "", 0, 1, 0]),
    "publish_threads": (4, ["p", 1, 60, 0, 0, "job"]),
    "put_off_again": (4, ["a", "entry", "entry", "in", 9, ""]),
    "recover": (13, ["p", "{", 3, 60, 0]),
    "register": (7, ["w", "now", "p", "now", 1, "0 0 0 0 0", ""]),
    "remove_failed": (2, [0, "entry"]),
    "retry_failed": (6, [0, "entry", "marked", "q", "job", "", "", "", "", "", ""]),
    "return_suspects": (5, ["q", 9]),
    "revive": (9, ["w", "now", "p", "now", 1, "0 0 0 0 0", "", 0, "0 0 0 0 0"]),
    "rewrite_failed": (4, ["token", 1000, 1, ""]),
    "schedule": (5, [0, 1, "q", 60, 0, "in", "a", 9, "job"]),
    "take_commands": (1, []),
    "take_delayed": (7, ["5", "item", "q", "run", "job", "", 0]),
    "trim_failed": (3, ["token", 5, 0, "", 9]),
    "unregister": (6, ["p", 0]),
    "unregister_worker": (10, ["w"]),
    "write_states": (1, ["cancelled", "{}", 9]),
}

ANYWHERE = {"count_held", "due_later", "find_held", "ids_of", "look_at_heads"}
"""Scripts that only read: what is shown may be read from a replica."""

STATES = ["", "0 0 0 0 0 0", "1 0 0 0 0 0", "9 0 0 0 0 0", "fenced 0 0 0 0 0 0"]
"""Of the ledger: none, one that the next turn follows, one that knows this turn, a later one."""


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    own = OwnServer(tmp_path_factory.mktemp("replica")).start()
    for number, state in enumerate(STATES):
        if state:
            own.redis.hset(f"ledger{number}", "state", state)
    own.redis.replicaof("127.0.0.1", "1")
    yield own.redis
    own.kill()


def test_every_script_that_writes_is_in_the_table() -> None:
    names = {
        path.stem
        for path in Path(str(resources.files("gresque.store"))).joinpath("lua").glob("*.lua")
    }
    assert names - ANYWHERE == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_replica_refuses_every_script(replica: redis.Redis, name: str) -> None:
    count, arguments = CALLS[name]
    keys = [f"key{number}" for number in range(count)]
    places = {
        "cycle": 0,
        "catch_up": 0,
        "fence": 0,
        "recover": 0,
        "register": 3,
        "revive": 3,
        "start": 0,
        "unregister": 1,
    }
    for ledger in range(len(STATES)):
        if name in places:
            keys[places[name]] = f"ledger{ledger}"
        with pytest.raises(redis.ResponseError, match=r"READONLY|read only replica"):
            replica.eval(script(name).text, count, *keys, *arguments)
