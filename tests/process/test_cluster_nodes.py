"""Jobs go on while the slot of their namespace goes from one node of a Cluster to another."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest
import redis

from gresque.cli.main import run
from gresque.connection.scripts import script
from tests.process.support import account, wait_for
from tests.process.topologies import MovingBench, cluster, cluster_set, clustered
from tests.support.cluster import NAMESPACE, NODE_TIMEOUT_SECONDS, SLOT, Cluster
from tests.support.load import QUEUE
from tests.unit.test_replica import CALLS

__all__ = ["cluster", "cluster_set", "clustered"]

pytestmark = pytest.mark.servers("cluster")


def test_the_commands_find_the_node(
    clustered: MovingBench, capsys: pytest.CaptureFixture[str]
) -> None:
    def gresque(*arguments: str) -> int:
        return run([*arguments, "--redis", clustered.redis_url, "--namespace", NAMESPACE])

    clustered.client.enqueue_many("ChaosFails", [(f"fails-{n}", 0) for n in range(9)], queue=QUEUE)
    assert clustered.client.size(QUEUE) == 9
    clustered.run("-q", QUEUE, "-r", "benchmarks.chaos_jobs", "--burst", CHAOS_TALLY="/dev/null")
    for name in ("queues", "workers", "running", "stats", "ledger", "stacks", "status"):
        assert gresque(name) == 0, capsys.readouterr()
    capsys.readouterr()
    assert gresque("failed", "list", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 9
    assert gresque("failed", "retry", "--all", "--yes") == 0
    assert clustered.client.size(QUEUE) == 9


def test_check_names_the_node_and_what_may_happen_to_it(
    cluster: Cluster, clustered: MovingBench, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(code: int) -> tuple[dict[str, Any], str]:
        url = ("--redis", clustered.redis_url, "--namespace", NAMESPACE)
        assert run(["check", *url, "--json"]) == code
        found = json.loads(capsys.readouterr().out)
        return found["redis"], "\n".join(found["warnings"])

    facts, said = check(0)
    assert facts["cluster"] == {
        "slot": SLOT, "owner": cluster.owner.address, "primaries": 3, "down": [], "moving": "",
        "full_coverage": True,
    }  # fmt: skip
    assert [each["place"] for each in facts["replicas"]] == [cluster.replica.address]
    assert "cluster-require-full-coverage is yes" in said
    target = cluster.others[0]
    clustered.client.enqueue_to(QUEUE, "Chaos", 1)  # so that there is a key to ask for
    cluster.begin_to_move(target, share=0)
    facts, said = check(1)  # keys that are not there cannot be read now
    assert f"slot {SLOT} is being moved to {target.address} key by key" in said


def test_the_slot_moves_at_once(cluster: Cluster, clustered: MovingBench) -> None:
    master = clustered.work()
    load = clustered.load()
    target = cluster.others[0]
    cluster.migrate(target)
    wait_for(lambda: cluster.owner is target)
    ended = len(load.confirmed)
    wait_for(lambda: len(load.confirmed) > ended + 50)
    outcome = clustered.settle(load, master)
    assert outcome.silence_seconds < 1
    assert (outcome.lost, outcome.twice, outcome.failures_missing) == (set(), set(), set())


def test_the_slot_moves_key_by_key(cluster: Cluster, clustered: MovingBench) -> None:
    """Half of the keys are here and half of them there, for 5 s: nothing can be done."""
    held_open = 5.0
    master = clustered.work()
    load = clustered.load()
    owner, target = cluster.owner, cluster.others[0]
    cluster.begin_to_move(target)
    time.sleep(held_open)
    cluster.end_move(owner, target)
    wait_for(lambda: cluster.owner is target)
    ended = len(load.confirmed)
    wait_for(lambda: len(load.confirmed) > ended + 50)
    outcome = clustered.settle(load, master)
    assert outcome.silence_seconds < held_open + 1.5
    assert (outcome.lost, outcome.twice, outcome.failures_missing) == (set(), set(), set())


def test_the_owner_is_killed(cluster: Cluster, clustered: MovingBench) -> None:
    master = clustered.work()
    load = clustered.load(wait_replicas=1)
    pids = master.pids()
    old, replica = cluster.owner, cluster.replica
    cluster.watch_closely()
    old.kill()
    wait_for(lambda: cluster.owner is replica and replica.is_primary)
    old.start()
    ended = len(load.confirmed)
    wait_for(lambda: len(load.confirmed) > ended + 50)
    assert master.pids() == pids
    outcome = clustered.settle(load, master)
    assert outcome.silence_seconds < NODE_TIMEOUT_SECONDS + 3
    assert (outcome.lost, outcome.failures_missing) == (set(), set())
    assert len(outcome.twice) <= 2 * 20
    assert not load.refused


def test_an_idle_worker_finds_a_slot_that_moved(cluster: Cluster, clustered: MovingBench) -> None:
    """At its next fallback poll: the node that it tracked keys on says nothing about them."""
    interval = 1.0
    master = clustered.work("--interval", str(interval))
    clustered.client.enqueue_to(QUEUE, "Chaos", "first", 0.0)
    wait_for(lambda: clustered.ended("first"))
    wait_for(clustered.is_settled)
    target = cluster.others[0]
    cluster.migrate(target)
    wait_for(lambda: cluster.owner is target)
    clustered.client.enqueue_to(QUEUE, "Chaos", "second", 0.0)
    enqueued = time.monotonic()
    wait_for(lambda: clustered.ended("second"))
    assert time.monotonic() - enqueued < interval + 0.5, "with the poll of a busy machine"
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert account(master.log).ended == {"done": 2, "failed": 0, "retried": 0}


def test_a_script_touches_the_keys_that_it_declares_and_one_slot(cluster: Cluster) -> None:
    """With its keys in one slot a script runs; with a key in another slot the node refuses it
    before it has done anything."""
    owner = cluster.owner.redis
    for name, (count, arguments) in CALLS.items():
        keys = [f"{NAMESPACE}:{name}:{number}" for number in range(count)]
        try:
            owner.eval(script(name).text, count, *keys, *arguments)
        except redis.ResponseError as error:
            # The table has arguments that are enough for a server that refuses at once.
            assert not any(word in str(error) for word in ("slot", "UNDECLARED", "undeclared"))
        if count > 1:
            keys[-1] = "{elsewhere}:key"
            with pytest.raises(redis.RedisError, match="slot"):
                owner.eval(script(name).text, count, *keys, *arguments)
