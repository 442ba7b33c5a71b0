"""A Cluster whose one node has all slots, with every key of gresque in one of them.

A node refuses a command, a script or a transaction whose keys are in several slots. That scripts
declare their keys is checked by the unit tests (tests/support/declared_keys.py).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gresque.cli.main import run
from tests.process.support import Bench, account, wait_for
from tests.support.server import OwnServer

NAMESPACE = "{resque}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """It takes two seconds to serve, so that all tests here share it. Its bus needs a port."""

    def on_port(port: str) -> OwnServer:
        options = ["--cluster-enabled", "yes", "--cluster-port", port, "--bind", "127.0.0.1"]
        return OwnServer(tmp_path_factory.mktemp("cluster"), *options)

    node = OwnServer.on_a_free_port(on_port)
    node.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_for(lambda: b"cluster_state:ok" in node.redis.execute_command("CLUSTER", "INFO"))
    yield node
    node.kill()


@pytest.fixture
def bench(node: OwnServer, tmp_path: Path) -> Iterator[Bench]:
    node.redis.flushall()
    bench = Bench(node.url, node.redis, tmp_path, NAMESPACE)
    yield bench
    bench.close()


def gresque(bench: Bench, *arguments: str) -> int:
    return run([*arguments, "--redis", bench.redis_url, "--namespace", NAMESPACE])


def test_the_node_refuses_keys_of_several_slots(bench: Bench) -> None:
    with pytest.raises(redis.ResponseError, match="same slot"):
        bench.redis.execute_command("SUNION", "resque:queues", "resque:workers")
    bench.redis.execute_command("SUNION", "{resque}:queues", "{resque}:workers")


def test_jobs_and_failures_of_three_queues(bench: Bench) -> None:
    for queue in ("a", "b", "c"):
        bench.client.enqueue_many("Count", [(f"{queue}{n}",) for n in range(300)], queue=queue)
        bench.client.enqueue_many("Boom", [("no",)] * 10, queue=queue)
    bench.client.enqueue_to("a", "Count", "one")
    bench.push_raw("b", b'{"class":"Count","args":["raw"]}', b"no JSON")
    master = bench.run("-q", "a,b,c", "-w", "2", "-t", "20", "-j", "1000", "--burst")
    assert len(bench.runs()) == 902
    assert set(bench.runs().values()) == {1}
    assert (bench.stat("processed"), bench.stat("failed")) == (933, 31)
    assert len(bench.failed()) == 31
    assert bench.held() == 0
    assert account(master.log).ended == {"done": 902, "failed": 31, "retried": 0}
    assert bench.keys() <= {
        f"{NAMESPACE}:{name}" for name in ("queues", "failed", "stat:processed", "stat:failed")
    }


def test_a_process_for_each_job(bench: Bench) -> None:
    bench.client.enqueue_many("Count", [(str(n),) for n in range(5)], queue="q")
    bench.run("-q", "q", "--burst")
    assert bench.runs() == {str(n): 1 for n in range(5)}


def test_a_shutdown_gives_back(bench: Bench) -> None:
    bench.client.enqueue_many("CountSlowly", [(str(n), 60) for n in range(20)], queue="q")
    master = bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.begun() == 10)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.client.size("q") == 20
    assert bench.held() == 0
    assert bench.client.store.processes.ids() == []


def test_the_jobs_of_a_killed_process_run_again(bench: Bench) -> None:
    bench.client.enqueue_many("CountWhenLet", [(str(n),) for n in range(20)], queue="q")
    master = bench.start("-q", "q", "-t", "20", "-j", "1000")
    wait_for(lambda: bench.begun() == 20)
    for child in master.children():
        os.kill(child.pid, signal.SIGKILL)
    bench.let()
    wait_for(lambda: len(bench.runs()) == 20)
    wait_for(lambda: bench.held() == 0)
    (recovery,) = map(json.loads, bench.client.store.recovery.log(9))
    assert recovery["requeued"] == 20
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert bench.client.size("q") == 0


def test_a_job_is_killed_by_command_and_retried(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = bench.client.enqueue_many("CountWhenLet", [(str(n),) for n in range(5)], queue="q")
    master = bench.start("-q", "q", "-t", "5", "-j", "1000")
    wait_for(lambda: bench.redis.keys(f"{NAMESPACE}:running:*"))
    assert gresque(bench, "kill", ids[2]) == 0
    bench.let()
    (entry,) = bench.failed()
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", ids[2])
    for name in ("running", "stacks", "workers", "ledger", "stats", "queues", "status"):
        assert gresque(bench, name) == 0
    capsys.readouterr()
    assert gresque(bench, "failed", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["payload"]["id"] == ids[2]
    assert gresque(bench, "failed", "retry", "--all", "--yes") == 0
    wait_for(lambda: set(bench.runs()) == {"0", "1", "2", "3", "4"})
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0


def test_commands_on_queues_and_failed_jobs(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = bench.client.enqueue_many("Boom", [(str(n),) for n in range(60)], queue="q")
    bench.run("-q", "q", "-t", "50", "-j", "1000", "--burst")
    for arguments in (
        ["check"],
        ["failed", "groups"],
        ["failed", "retry", ids[5], ids[6]],
        ["failed", "retry", "--class", "Boom", "--yes"],
        ["failed", "remove", ids[5]],
        ["failed", "remove", "--search", ids[7], "--yes"],
        ["failed", "clear", "--yes"],
    ):
        assert gresque(bench, *arguments) == 0, capsys.readouterr()
    assert bench.client.size("q") == 60
    assert len(bench.client.peek("q", 0, 100)) == 60
    assert bench.client.info()
    assert bench.client.remove_queue("q") == 60
