"""What `gresque check` says about a server, by what the server says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gresque.cli.server_checks import errors, shown_fact, warnings
from gresque.connection.survey import ClusterFacts, SentinelAnswer
from gresque.inspector.server_facts import Replica, ServerFacts
from gresque.settings import Settings

INFO = {
    "server_name": "valkey", "valkey_version": "9.1.2", "redis_version": "7.2.4",
    "role": "master", "aof_enabled": "1", "connected_slaves": "0",
    "maxclients": "10000", "connected_clients": "12", "master_repl_offset": "500",
}  # fmt: skip
TWO = {
    "connected_slaves": "2",
    "slave0": "ip=10.0.0.2,port=6379,state=online,offset=480,lag=1,type=replica",
    "slave1": "ip=10.0.0.3,port=6380,state=online,offset=500,lag=0,type=replica",
}
CLUSTER = ClusterFacts(2409, "10.0.0.1:6379", 3, ())
HERE, THERE = "10.0.0.1:6379", "10.0.0.9:6379"


def facts(info: dict[str, str] | None = None, wait: int = 0, **known: Any) -> ServerFacts:
    settings = replace(Settings(), redis_url="redis://db:6379/0")
    known = {"policy": "noeviction", "tracking_in_scripts": True, "min_replicas": 1, **known}
    known = {"tracking": True, "wait_replicas": wait, **known}
    return ServerFacts(settings, info=INFO | (info or {}), **known)


def answers(*primaries: str) -> tuple[SentinelAnswer, ...]:
    """Of Sentinels s1, s2 …; an empty one is away."""
    return tuple(
        SentinelAnswer(f"s{number}:26379", primary, "" if primary else "Connection refused")
        for number, primary in enumerate(primaries, 1)
    )


def test_a_sound_server() -> None:
    for server in (facts(), facts(TWO), facts(TWO, wait=2, sentinels=answers(HERE, HERE, HERE))):
        assert (list(errors(server)), list(warnings(server))) == ([], [])


def test_one_that_says_nothing_of_itself_is_no_bad_server() -> None:
    """A managed service refuses INFO, CONFIG and ROLE."""
    server = facts(policy=None, min_replicas=None, tracking_in_scripts=None)
    server.info = {}
    server.wait_replicas = 1
    assert (list(errors(server)), list(warnings(server))) == ([], [])
    assert server.rows()["replicas"] is None
    assert (server.version, server.append_only, server.replicas) == ("unknown", None, [])


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (facts({"redis_version": "6.0.9"}), "Redis 6.0.9 is too old"),
        (facts({"role": "slave"}), "db:6379 is a replica: give the URL of the primary"),
        (facts(refused_script="NOPERM no"), "refuses EVAL, by which workers reserve jobs: NOPERM"),
        (facts(refused_arguments="ERR too many"), "a call with 3,900 arguments"),
        (facts(TWO, wait=2, refused_wait="ERR no WAIT."), "WAIT: ERR no WAIT; allow it, or set"),
    ],
)
def test_errors(server: ServerFacts, said: str) -> None:
    (error,) = errors(server)
    assert said in error
    assert list(warnings(server)) == []


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (facts(resp3=False, tracking=False), "does not speak RESP3 (HELLO 3)"),
        (facts(tracking=False), "refuses CLIENT TRACKING: idle workers find new jobs by polling"),
        (facts(tracking_in_scripts=False), "keys that were read by scripts"),
        (facts(policy="allkeys-lru"), "maxmemory-policy is allkeys-lru"),
        (facts({"aof_enabled": "0"}), "when the server dies"),
        (facts(TWO | {"aof_enabled": "0"}), "and its replicas follow it"),
        (facts(TWO, min_replicas=0), "set min-replicas-to-write 1 and min-replicas-max-lag 3"),
        (facts(TWO, wait=3), "is 3, and the server has 2 replicas: no enqueue is confirmed"),
        (facts(TWO, wait=1), "is 1 of 2 replicas: one that has not confirmed a job"),
        (
            facts({**TWO, "slave1": "ip=10.0.0.3,port=1,state=wait_bgsave,offset=0,lag=0"}),
            "replica 10.0.0.3:1 is not in step",
        ),
        (
            facts({**TWO, "slave1": "ip=10.0.0.3,port=1,state=online,offset=0,lag=40"}),
            "replica 10.0.0.3:1 was last heard 40 s ago",
        ),
        (facts({"maxclients": "20"}), "maxclients is 20, and 12 clients are connected"),
        (facts(clock_ahead_seconds=7.2), "clock is 7 s ahead of that of this machine"),
        (facts(clock_ahead_seconds=-70), "clock is 70 s behind that of this machine"),
        (facts(TWO, sentinels=answers(HERE, "", HERE)), "Sentinel s2:26379: Connection refused"),
        (facts(TWO, sentinels=answers(HERE, HERE)), "the URL names 2 Sentinels"),
        (
            facts(TWO, sentinels=answers(HERE, THERE, HERE)),
            "do not agree on the primary: s1:26379 names 10.0.0.1:6379, s2:26379 names 10.0.0.9",
        ),
        (facts(sentinels=answers(HERE, HERE, HERE)), "the primary has no replica"),
        (facts(cluster=CLUSTER), "the primary has no replica"),
        (facts(TWO, cluster=CLUSTER, full_coverage=True), "cluster-require-full-coverage is yes"),
        (facts(TWO, cluster=replace(CLUSTER, down=(THERE,))), "node 10.0.0.9:6379 of the Cluster"),
        (
            facts(TWO, cluster=replace(CLUSTER, moving=f"to {THERE}")),
            "slot 2409 is being moved to 10.0.0.9:6379 key by key",
        ),
        (facts(schedulers={"lock": "ruby"}), "another scheduler (ruby, by lock)"),
    ],
)
def test_warnings(server: ServerFacts, said: str) -> None:
    (warning,) = warnings(server)
    assert said in warning
    assert list(errors(server)) == []


def test_replicas() -> None:
    assert facts(TWO).replicas == [
        Replica("10.0.0.2:6379", True, 20, 1),
        Replica("10.0.0.3:6380", True, 0, 0),
    ]
    assert facts({"connected_slaves": "1", "slave0": "?"}).replicas == []


def test_what_is_shown() -> None:
    sentinels = answers(HERE, "", HERE)
    rows = facts(TWO, sentinels=sentinels, cluster=CLUSTER, full_coverage=False).rows()
    shown = {name: shown_fact(name, value) for name, value in rows.items()}
    assert shown == {
        "version": "valkey 9.1.2",
        "client_tracking": "yes",
        "maxmemory_policy": "noeviction",
        "append_only": "yes",
        "min_replicas_to_write": "1",
        "replicas": "10.0.0.2:6379 (20 bytes behind, heard 1 s ago), "
        "10.0.0.3:6380 (0 bytes behind, heard 0 s ago)",
        "sentinels": "2 of 3 answer: s1:26379 names 10.0.0.1:6379, s2:26379 names no primary, "
        "s3:26379 names 10.0.0.1:6379",
        "cluster": "slot 2409 at 10.0.0.1:6379, 3 nodes with slots",
    }
    assert shown_fact("replicas", []) == "none"
    assert shown_fact("append_only", None) == "unknown: the server does not say"
