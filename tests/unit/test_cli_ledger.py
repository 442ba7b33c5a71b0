"""`gresque ledger`, as a user calls it."""

from __future__ import annotations

import json
import time

import redis

from tests.support.cli import PROCESS, Call

OTHER = "zeus:20:*:1:1:1:21:1795485960000"


def entry(queue: str, item: str = "{}") -> str:
    key = f"resque:queue:{queue}"
    return f"{len(key)}:{key}{item}"


def fill(client: redis.Redis) -> None:
    now = time.time()
    client.zadd("resque:ledgers", {PROCESS: (now - 5) * 1000, OTHER: (now - 500) * 1000})
    client.hset(
        f"resque:ledger:{PROCESS}",
        mapping={"state": "7 1412 1398 9 2 0", "0": entry("mail"), "1": entry("bulk"),
                 "2": entry("mail")},
    )  # fmt: skip
    client.set(f"resque:running:{PROCESS}", json.dumps({"since": {"0": now - 300, "2": now - 5}}))
    client.hset(f"resque:ledger:{OTHER}", mapping={"state": "fenced 3 10 10 0 0 0"})


def test_empty(call: Call) -> None:
    assert call("ledger") == (0, "no worker process has a ledger\n", "")
    assert call("ledger", "--json").out == "[]\n"
    assert call("ledger", "--recoveries") == (0, "no process was recovered\n", "")


def test_what_each_process_holds(call: Call, redis_client: redis.Redis) -> None:
    fill(redis_client)
    header, first, second, total = call("ledger").out.splitlines()
    assert header.split()[:3] == ["HOST", "MASTER", "PID"]
    assert first.split()[:3] == ["vm", "10", "11"]
    assert "5 min" in first and first.endswith("mail 2, bulk 1")
    assert " 1,412  1,398       9        0         2 " in first
    assert "8 min ago, given up" in second
    assert total == (
        "2 processes: reserved 1,422 = 1,408 done + 9 failed + 0 retried + 2 requeued + 3 held"
    )  # fmt: skip
    told, other = json.loads(call("ledger", "--json").out)
    assert (told["host"], told["pid"], told["held"]) == ("vm", 11, 3)
    assert told["queues"] == {"mail": 2, "bulk": 1}
    assert 299 < told["longest_seconds"] < 310
    assert told["reserved"] == told["done"] + told["failed"] + told["requeued"] + told["held"]
    assert told["started"] == 1795485960.660
    assert (other["fenced"], other["held"], other["longest_seconds"]) == (True, 0, None)


def test_what_was_recovered(call: Call, redis_client: redis.Redis) -> None:
    for number in range(3):
        told = {"at": f"2026-11-24T15:00:0{number}Z", "process": PROCESS, "cause": "it was killed",
                "by": "vm:9", "requeued": number, "failed": 1, "poison": 1}  # fmt: skip
        redis_client.rpush("resque:recoveries", json.dumps(told))
    lines = call("ledger", "--recoveries", "-n", "2").out.splitlines()
    assert lines[0].split()[0] == "AT"
    assert [line.split()[0] for line in lines[1:]] == [
        "2026-11-24T15:00:02Z",
        "2026-11-24T15:00:01Z",
    ]
    found = json.loads(call("ledger", "--recoveries", "--json").out)
    assert [each["requeued"] for each in found] == [2, 1, 0]
    assert found[0]["cause"] == "it was killed"


def test_what_others_keep_under_these_names(call: Call, redis_client: redis.Redis) -> None:
    redis_client.zadd("resque:ledgers", {"odd": 1, "a:b:c": 2, "x": 3})
    redis_client.set("resque:ledger:odd", "text")
    redis_client.hset("resque:ledger:x", mapping={"state": "rubbish", "1": "no entry"})
    redis_client.rpush("resque:recoveries", "{}", "\x1b[2J", "[]")
    answer = call("ledger")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 5
    assert call("ledger", "--json").code == 0
    assert call("ledger", "--recoveries") == (0, "no process was recovered\n", "")
