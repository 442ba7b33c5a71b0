"""Several shards in one Cluster: their slots are on two of its nodes."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest
from redis.crc import key_slot

import gresque
from gresque.cli.main import run
from tests.process.topologies import MovingBench, cluster, cluster_set, clustered
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.load import JOBS, QUEUE
from tests.support.web import come_in, open_app

__all__ = ["cluster", "cluster_set", "clustered"]

pytestmark = pytest.mark.servers("cluster")

NAMES = [NAMESPACE, "{resque:1}", "{resque:2}"]


def node_of(cluster: Cluster, namespace: str) -> str:
    slot = key_slot(f"{namespace}:queues".encode())
    for first, last, owner, *_ in cluster.owner.redis.execute_command("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return f"127.0.0.1:{owner[1]}"
    raise AssertionError(f"no node has slot {slot}")


def test_three_shards_in_one_cluster(
    cluster: Cluster, clustered: MovingBench, capsys: pytest.CaptureFixture[str]
) -> None:
    url = clustered.redis_url

    def gresque_json(*arguments: str) -> Any:
        shards = ("--redis", url, "--namespace", NAMESPACE, "--shards", "3")
        assert run([*arguments, *shards, "--json"]) == 0, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    with closing(gresque.Client(urls=[url], namespace=NAMESPACE, shards=3)) as client:
        for number in range(30):
            client.enqueue_to(QUEUE, "Chaos", str(number), 0.0)
        for number in range(3):
            client.enqueue_to(QUEUE, "ChaosFails", f"fails-{number}", 0.0)
        assert client.size(QUEUE) == 33
        found = gresque_json("shards")
        assert [row["waiting"] for row in found] == [11, 11, 11], "they go round"
        assert [row["name"] for row in found] == NAMES
        assert [row["node"] for row in found] == [node_of(cluster, name) for name in NAMES]
        assert len({row["node"] for row in found}) == 2
        master = clustered.start(
            "-q", QUEUE, "-r", JOBS, "-w", "3", "-t", "5", "--burst",
            SHARDS="3", CHAOS_TALLY=str(clustered.tally),
        )  # fmt: skip
        assert master.wait() == 0, master.log
        assert all(clustered.ended(str(number)) for number in range(30))
        assert client.info()["failed"] == 3
    assert len(gresque_json("failed", "list")) == 3
    checked = gresque_json("check")["shards"]
    assert [each["cluster"]["owner"] for each in checked] == [row["node"] for row in found]
    with open_app(url, namespace=NAMESPACE, shards=3) as app:
        browser = come_in(app)
        overview = browser.get("/api/overview").json
        assert (overview["processed"], overview["kept_failed"]) == (33, 3)
        pages = [browser.get(f"/shard/{number}/failed").text for number in range(3)]
        assert all("ChaosFails" in page for page in pages)
