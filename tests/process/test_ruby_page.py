"""Running jobs in the page of the Ruby fork: seen there, and killed from there."""

from __future__ import annotations

import json
import os
import signal

from tests.process.support import Bench, wait_for
from tests.support.captures import captured


def published(bench: Bench) -> dict[str, dict[str, object]]:
    """By the names of threads, as that page reads them."""
    found = {}
    for worker in bench.redis.smembers("resque:workers"):
        for name in bench.redis.smembers(b"resque:worker:" + worker + b":threads"):
            raw = bench.redis.get(b"resque:worker:" + name)
            if raw is not None:
                found[name.decode()] = json.loads(raw)
    return found


def test_a_long_job_is_seen_and_killed_there_and_leaves_nothing(bench: Bench) -> None:
    first, second = (bench.client.enqueue_to("q", "CountSlowly", n, 600) for n in "ab")
    bench.client.enqueue_to("q", "Quiet", 1)
    master = bench.start("-q", "q", "-t", "5", "-j", "1000")
    shown = wait_for(lambda: len(found := published(bench)) == 2 and found)
    (worker,) = (name.decode() for name in bench.redis.smembers("resque:workers"))
    (child,) = master.children()
    assert {name.rpartition(":")[0] for name in shown} == {f"{worker}:{child.pid}"}
    forks = captured("fork_worker_running")["resque:worker:vm:12335:py:1:2:10:12352:0"]["value"]
    assert all(each.keys() == json.loads(forks).keys() for each in shown.values())
    by_id = {job["payload"]["id"]: name for name, job in shown.items()}  # type: ignore[index]
    assert by_id.keys() == {first, second}
    assert not bench.redis.exists(f"resque:worker:{worker}"), "only stock's own may write that"

    kills = f"resque:worker:{worker}:{child.pid}:kills"
    bench.redis.rpush(kills, by_id[first].rpartition(":")[2])
    (entry,) = wait_for(lambda: bench.redis.lrange("resque:failed", 0, -1))
    killed = json.loads(captured("fork_after_ui_kill")["resque:failed"]["value"][0])
    found = json.loads(entry)
    assert found.keys() == killed.keys()
    assert [found[key] for key in ("exception", "error")] == ["Resque::DirtyExit", "Job was killed"]
    assert found["payload"]["id"] == first
    wait_for(lambda: published(bench).keys() == {by_id[second]})
    assert not bench.redis.exists(kills)

    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: len(names := published(bench)) == 1 and by_id[second] not in names)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.redis.keys(f"resque:worker:{worker}*") == []
