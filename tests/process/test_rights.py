"""Workers, producers, readers and operators with no more rights than docs/acl.md gives them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import gresque
from gresque.store.rights import roles, rules
from tests.process.support import Bench, wait_for
from tests.support.cli import in_a_process


@pytest.fixture
def urls(bench: Bench) -> Iterator[dict[str, str]]:
    """The URL for each role. No call of theirs may have been refused at the end."""
    for role in roles():
        bench.redis.execute_command(*rules(role).split())
    # What the jobs of the tests do beside.
    beside = ("~runs", "~started", "~ended", "+hincrby", "+rpush")
    bench.redis.execute_command("ACL", "SETUSER", "gresque-worker", *beside)
    bench.redis.execute_command("ACL", "LOG", "RESET")
    place = bench.redis_url.removeprefix("unix://")
    yield {role.name: f"unix://gresque-{role.name}:PASSWORD@{place}" for role in roles()}
    refused = bench.redis.execute_command("ACL", "LOG")
    for role in roles():
        bench.redis.execute_command("ACL", "DELUSER", f"gresque-{role.name}")
    assert refused == []


def command(url: str, *arguments: str) -> str:
    code, out, err = in_a_process(url, *arguments)
    assert code == 0, (arguments, err)
    return out


def test_a_worker_does_all_it_does(bench: Bench, urls: dict[str, str]) -> None:
    producer = gresque.Client(urls["producer"])
    producer.enqueue_many("Quiet", [(n,) for n in range(50)], queue="q")
    for how in ("fail", "die", "enqueue"):
        producer.enqueue_to("q", "Behave", how)
    producer.close()
    environment = {"REDIS_URL": urls["worker"], "MAX_RECOVERIES": "2"}
    master = bench.start(
        "-q", "q,other*", "-w", "2", "-t", "3", "-j", "20", "--interval", "1", **environment
    )
    wait_for(lambda: bench.stat("processed") >= 54 and bench.held() == 0)
    assert bench.stat("failed") == 2
    long = gresque.Client(urls["producer"]).enqueue_to("q", "Behave", "sleep", 600)
    wait_for(lambda: bench.redis.llen("started") > 3 and bench.held() == 1)
    wait_for(lambda: "Behave" in command(urls["reader"], "running"))
    for listing in (
        "queues", "workers", "ledger", "stats", "failed list", "ledger --recoveries",
        "status --json", "delayed", "retries",
    ):  # fmt: skip
        command(urls["reader"], *listing.split())
    reader = gresque.Client(urls["reader"])
    assert reader.info()["failed"] == 2
    reader.close()
    assert "sleep" in command(urls["operator"], "stacks")
    later = gresque.Client(urls["producer"]).options("Quiet", queue="q", in_=3600).enqueue(1)
    assert str(later) in command(urls["reader"], "delayed")
    command(urls["operator"], "delayed", "move", str(later), "--in", "2h")
    command(urls["operator"], "delayed", "run", str(later))
    wait_for(lambda: bench.client.size("q") == 0)
    done = bench.stat("processed")
    gresque.Client(urls["producer"]).options("Quiet", queue="q", in_=0.2).enqueue(2)
    bench.redis.rpush("resque:delayed:5", '{"class":"Quiet","args":[3],"queue":"q"}')
    bench.redis.zadd("resque:delayed_queue_schedule", {"5": 5})
    wait_for(lambda: bench.stat("processed") >= done + 2)
    for act in ("run", "cancel"):
        bench.redis.rpush("resque:delayed:5000000000", f'{{"class":"R{act}","queue":"q"}}')
        bench.redis.zadd("resque:delayed_queue_schedule", {"5000000000": 5e9})
        command(urls["operator"], "delayed", act, bench.client.delayed()[0].id)
    bench.redis.sadd("resque:workers", "vm:1:rb")
    bench.redis.set("resque:worker:vm:1:rb", '{"queue":"rb","payload":{"class":"A","args":[]}}')
    command(urls["operator"], "workers", "prune", "vm:1:rb", "--yes")
    command(urls["operator"], "failed", "remove", "--class", "A", "--yes")
    command(urls["operator"], "kill", long)
    wait_for(lambda: bench.stat("failed") == 3)
    command(urls["operator"], "failed", "retry", "--class", "Behave", "--yes")
    command(urls["operator"], "failed", "clear", "--yes")
    master.kill_children()
    master.signal(signal.SIGHUP)
    wait_for(lambda: len(master.children()) >= 2)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "NOPERM" not in master.log
    assert bench.redis.smembers("resque:workers") == set()
