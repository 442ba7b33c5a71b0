"""Commands as a user calls them, and what they print."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import redis

from gresque.clock import iso_8601
from gresque.failure.entry import encode_entry
from tests.support.programs import GRESQUE, PLAIN, stem

ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b[2J"
WORKER = "vm:10:mail,bulk:2:4:100"
PROCESS = f"{WORKER}:11:1795485960660"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


class Terminal(io.TextIOWrapper):
    """A stdin that somebody types on."""

    def isatty(self) -> bool:
        return True


def items(client: redis.Redis, queue: str = "mail") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in client.lrange(f"resque:queue:{queue}", 0, -1)]


def fail(client: redis.Redis, *numbers: int, retried: bool = False) -> None:
    for number in numbers:
        item = {"class": "Greet", "args": [number], "id": f"{number:032x}", "generation": 1}
        raw = encode_entry(
            json.dumps(item).encode(), "ValueError", f"error {number}", ["a.py:1:in `f'"], "w", "q"
        )
        mark = b',"retried_at":"2026/11/23 15:33:36"}' if retried else b"}"
        client.rpush("resque:failed", raw[:-1] + mark)


def failed(client: redis.Redis) -> list[int]:
    entries = client.lrange("resque:failed", 0, -1)
    return [json.loads(raw)["payload"]["args"][0] for raw in entries]


def register(client: redis.Redis, held: int = 0) -> None:
    """A worker with one process, as the worker itself registers."""
    client.sadd("resque:workers", WORKER)
    client.set(f"resque:worker:{WORKER}:started", "2026-11-23 15:33:10 +0000")
    seconds = int(client.time()[0]) - 5
    client.hset("resque:workers:heartbeat", WORKER, iso_8601(seconds))
    client.zadd("resque:ledgers", {PROCESS: seconds * 1000})
    client.hset(f"resque:ledger:{PROCESS}", "state", "1 0 0 0 0 0")
    for slot in range(held):
        args = [slot, {"a": 1, "_kwargs": True}]
        raw = json.dumps({"class": "Greet", "args": args, "id": f"id{slot}"})
        client.hset(f"resque:ledger:{PROCESS}", str(slot), f"17:resque:queue:mail{raw}")
    client.mset({f"resque:stat:processed:{WORKER}": 9, f"resque:stat:failed:{WORKER}": 2})


def odd_workers(client: redis.Redis) -> None:
    """What other programs, or none, may leave behind."""
    client.sadd("resque:workers", "vm:26136:bench", b"vm:1:\xff", ESCAPE, "", "a:b:c:d:e:f")
    client.hset("resque:workers:heartbeat", "vm:26136:bench", "nonsense")
    client.hset("resque:workers:heartbeat", b"vm:1:\xff", "2026-11-23 15:35:47")
    client.set(b"resque:worker:vm:1:\xff:started", b"\xff" + ESCAPE.encode())
    client.rpush("resque:stat:processed:vm:26136:bench", "x")
    client.zadd("resque:ledgers", {"odd": 5, b"\xff:1:2": 7, "text:1:2": 1e300, "w:x:y": 1})
    client.hset("resque:ledger:odd", mapping={"state": "x", "1": "no colon"})
    client.set("resque:ledger:text:1:2", "x")
    client.hset(
        "resque:ledger:w:x:y",
        mapping={
            "0": b'14:resque:queue:\xff{"class":["x"],"args":3,"id":{},"kwargs":[1]}',
            "1": b"17:resque:queue:mail\xff" + ESCAPE.encode(),
        },
    )
    client.set("resque:running:w:x:y", "[1]")
    client.set("resque:running:odd", '{"1":"x"}')


def in_a_process(
    redis_url: str,
    *arguments: str,
    setup: str = PLAIN,
    cwd: Path = ROOT,
    stdin: bytes = b"",
) -> Answer:
    """`gresque …` as a process of its own."""
    env = {**os.environ, "REDIS_URL": redis_url}
    ran = stem(setup).run(GRESQUE, str(cwd), *arguments, env=env, stdin=stdin)
    return Answer(ran.returncode, ran.stdout, ran.stderr)


def in_a_shell(redis_url: str, *arguments: str) -> Answer:
    """The same by a start of Python."""
    ran = subprocess.run(
        [sys.executable, "-m", "gresque", *arguments],
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        timeout=60,
    )
    return Answer(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
