"""Keys and formats against what the Ruby clients were seen to write."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from gresque.clock import iso_8601, retried_at
from gresque.processes import identity
from gresque.processes.identity import WorkerName, process_id, split_process_id, worker_id
from gresque.queue_list import QueueList
from gresque.settings import Settings
from gresque.store.keys import Keys

WIRE = Path(__file__).parents[1] / "wire"
CAPTURES = sorted(WIRE.glob("*.keys.json"))
IDS = json.loads((WIRE / "worker_ids.json").read_text())

FORK_WORKERS = ["vm:22560:bench:1:1:1000", "vm:27635:bench:1:1:1000"]
STOCK_WORKERS = ["vm:26136:bench", "vm:26225:bench"]

NOT_OURS = [
    r"resque:pruning_dead_workers_in_progress",  # a lock; gresque's pruning needs none
    r"resque:failed_queues",  # of the backend redis_multi_queue
    r"resque:bench_failed",
    r"resque:worker:vm:22560:bench:1:1:1000:(threads|kills|\d+:\d+)",  # the ledger tells that
    r"resque:worker:vm:26225:bench",
]


def made(keys: Keys) -> dict[str, str]:
    """Every key of Resque's that gresque makes, with its type."""
    found = {
        keys.queues: "set", keys.queue("bench"): "list", keys.failed: "list", keys.workers: "set",
        keys.heartbeats: "hash", keys.processed: "string", keys.failures: "string",
    }  # fmt: skip
    for worker in FORK_WORKERS + STOCK_WORKERS:
        found[keys.worker_started(worker)] = "string"
        for name in ("processed", "failed"):
            found[keys.worker_stat(name, worker)] = "string"
    return found


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name.removesuffix(".keys.json"))
def test_every_captured_key_is_made_with_its_type(path: Path) -> None:
    ours = made(Keys("resque"))
    for key, seen in json.loads(path.read_text()).items():
        if any(re.fullmatch(pattern, key) for pattern in NOT_OURS):
            continue
        assert ours[key] == seen["type"], key


def test_every_key_of_resques_was_captured() -> None:
    """So that none is made up: each that gresque writes stands in some capture."""
    seen = {key for path in CAPTURES for key in json.loads(path.read_text())}
    workers = [worker for worker in STOCK_WORKERS if f"resque:stat:failed:{worker}" not in seen]
    ours = {key for key in made(Keys("resque")) if not key.endswith(tuple(workers))}
    assert ours - seen <= {f"resque:worker:{worker}:started" for worker in STOCK_WORKERS}


@pytest.mark.parametrize("namespace", ["resque", "app", "a:b", "日本"])
def test_the_namespace_leads_every_key(namespace: str) -> None:
    keys = Keys(namespace)
    everything = [
        *made(keys), keys.ledgers, keys.ledger("p"), keys.running("p"), keys.stat("processed"),
    ]  # fmt: skip
    assert all(key.startswith(f"{namespace}:") for key in everything)
    assert len(set(everything)) == len(everything) - 1, "only stat(processed) is there twice"


@pytest.mark.parametrize("name", ["mail", "a:b", "", "a b", "日本", "a\nb", "*", "{x}"])
def test_queue_keys_hold_the_name_as_it_is(name: str) -> None:
    keys = Keys("resque")
    assert keys.queue(name) == "resque:queue:" + name
    assert keys.queue(name).removeprefix(keys.queue_prefix) == name


def on_host(monkeypatch: pytest.MonkeyPatch, name: str, container: str = "") -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    monkeypatch.setattr(identity, "container", lambda: container)


@pytest.mark.parametrize(("queue", "expected"), IDS["examples_by_QUEUE"].items())
def test_worker_ids(queue: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on_host(monkeypatch, "vm")
    pid = int(expected.split(":")[1])
    # Resque's web page takes each item for the name of a queue: ours leave out the caps.
    expected = re.sub(r"~\d+%?", "", expected)
    environ = {"WORKER_COUNT": "2", "THREAD_COUNT": "4", "JOBS_PER_FORK": "1000"}
    settings = Settings.load({"queues": queue}, environ)
    assert worker_id(settings, pid) == expected


def test_exclusions_stand_in_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    on_host(monkeypatch, "vm")
    settings = Settings(queues=QueueList.parse("high,a:b,*,!slow"))
    assert worker_id(settings, 5) == "vm:5:high,a~b,*,!slow:1:1:1"


@pytest.mark.parametrize(
    ("host", "container", "expected"),
    [
        ("web-1", "3fa0", "web-1.3fa0"),
        ("a:b", "", "a~b"),
        ("::", "3fa0", "~~.3fa0"),
        ("web.1.example.com", "", "web.1.example.com"),
        ("", "", ""),
        ("new\nline %s", "", "new\nline %s"),
    ],
)
def test_the_host_in_an_id(
    host: str, container: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_host(monkeypatch, host, container)
    worker = worker_id(Settings(queues=QueueList.parse("q")), 1)
    assert worker == f"{expected}:1:q:1:1:1"
    assert WorkerName.parse(worker).hostname == expected
    assert split_process_id(process_id(worker, 2, 3)) == (worker, 2)


@pytest.mark.parametrize("text", IDS["examples_by_QUEUE"].values())
def test_worker_ids_are_read(text: str) -> None:
    name = WorkerName.parse(text)
    host, pid, queues, *_ = text.split(":")
    assert (name.hostname, name.master_pid, name.queues) == (host, int(pid), queues)
    assert (name.worker_count, name.thread_count, name.jobs_per_fork) == (2, 4, 1000)


@pytest.mark.parametrize(
    "text", [IDS["stock_example"], "", "vm", "a:b:c:d:e:f", "vm:1:q:1:1:1:1", ":::::"]
)
def test_other_ids_are_no_worker_names(text: str) -> None:
    with pytest.raises(ValueError):
        WorkerName.parse(text)


@pytest.mark.parametrize("worker", [*IDS["examples_by_QUEUE"].values(), "x", "a:b:c:d", ""])
def test_process_ids_split(worker: str) -> None:
    assert split_process_id(process_id(worker, 123, 1764000000000)) == (worker, 123)


def captured(kind: str, key: str) -> list[Any]:
    return [
        json.loads(path.read_text())[key]["value"]
        for path in CAPTURES
        if path.name.startswith(kind) and key in json.loads(path.read_text())
    ]


@pytest.mark.parametrize("kind", ["fork", "stock"])
def test_heartbeats_have_resques_format(kind: str) -> None:
    beats = [beat for value in captured(kind, "resque:workers:heartbeat") for beat in value[1::2]]
    assert beats
    for beat in beats:
        epoch = time.mktime(time.strptime(beat, "%Y-%m-%dT%H:%M:%S+00:00")) - time.timezone
        assert iso_8601(int(epoch)) == beat


def test_failure_times_have_resques_format() -> None:
    entries = [
        json.loads(line)
        for path in WIRE.glob("*failed_entr*")
        for line in path.read_text().splitlines()
        if line
    ]
    assert len(entries) >= 8
    for entry in entries:
        for text in (entry["failed_at"].removesuffix(" UTC"), entry.get("retried_at")):
            if text is not None:
                epoch = time.mktime(time.strptime(text, "%Y/%m/%d %H:%M:%S")) - time.timezone
                assert retried_at(epoch) == text
        assert entry["failed_at"].endswith(" UTC")


def test_a_master_writes_its_start_as_resque_does() -> None:
    (started,) = set(captured("fork", "resque:worker:vm:22560:bench:1:1:1000:started"))
    assert time.strptime(started, "%Y-%m-%d %H:%M:%S +0000")
