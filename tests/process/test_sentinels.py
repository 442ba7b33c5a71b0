"""Jobs go on while Sentinels let one server take the place of another."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
import redis

import gresque
from gresque.cli.main import run
from gresque.connection.tracked import TrackedConnection
from gresque.errors import GresqueError
from tests.process.support import account, wait_for
from tests.process.topologies import MovingBench, sentinel_set, sentinels, watched
from tests.support.fake_sentinel import FakeSentinel
from tests.support.load import JOBS, QUEUE
from tests.support.sentinels import SentinelSet

__all__ = ["sentinel_set", "sentinels", "watched"]

pytestmark = pytest.mark.servers("sentinels")

ALL_REPLICAS = 2


def test_the_primary_is_killed(sentinels: SentinelSet, watched: MovingBench) -> None:
    """Without a restart of anything, and nothing confirmed is missing."""
    master = watched.work()
    load = watched.load(wait_replicas=ALL_REPLICAS)
    pids = master.pids()
    # An enqueue waits until the old primary is back, as a replica. What is queued does not.
    watched.client.enqueue_many("Chaos", [(f"queued-{n}", 0.1) for n in range(1_000)], queue=QUEUE)
    old = sentinels.primary
    wait_for(lambda: all(node.follows(old) for node in sentinels.replicas))
    sentinels.watch_closely()
    old.kill()
    wait_for(lambda: sentinels.primary is not old and sentinels.primary.is_primary)
    promoted = time.monotonic()
    wait_for(lambda: any(note.at > promoted for note in load.notes()))
    went_on = min(note.at for note in load.notes() if note.at > promoted)
    old.start("--replicaof", f"127.0.0.1 {sentinels.primary.port}")
    ended = len(load.confirmed)
    wait_for(lambda: len(load.confirmed) > ended + 50)
    assert master.pids() == pids
    outcome = watched.settle(load, master)
    assert went_on - promoted < 2
    assert (outcome.lost, outcome.failures_missing) == (set(), set())
    assert len(outcome.twice) <= 2 * 20, "what was held at the kill, and taken in the lag"
    assert not load.refused


def test_a_switch_by_hand_leaves_two_primaries(
    sentinels: SentinelSet, watched: MovingBench
) -> None:
    """Sentinel demotes the old one only some 10 s later. Until then clients work on it, but for
    its missing replicas."""
    for node in sentinels.nodes:
        node.redis.config_set("min-replicas-to-write", 1)
        node.redis.config_set("min-replicas-max-lag", 3)
    master = watched.work()
    load = watched.load(wait_replicas=ALL_REPLICAS)
    old = sentinels.primary
    sentinels.fail_over()
    wait_for(lambda: sentinels.primary is not old and sentinels.primary.is_primary)
    ran = len(load.notes())
    wait_for(lambda: len(load.notes()) > ran + 20)
    old.redis.replicaof("127.0.0.1", sentinels.primary.port)
    ended = len(load.confirmed)
    wait_for(lambda: len(load.confirmed) > ended + 50)
    outcome = watched.settle(load, master)
    assert (outcome.lost, outcome.failures_missing) == (set(), set())
    assert not load.refused


def test_a_switch_in_agreement(sentinels: SentinelSet, watched: MovingBench) -> None:
    """The old primary hands over, and is a replica at once."""
    master = watched.work()
    load = watched.load()
    pooled = gresque.Client(sentinels.url)
    assert pooled.size("other") == 0
    old = sentinels.primary
    sentinels.fail_over("COORDINATED")
    wait_for(lambda: sentinels.primary is not old and sentinels.primary.is_primary)
    promoted = time.monotonic()
    wait_for(lambda: any(note.at > promoted for note in load.notes()))
    first = min(note.at for note in load.notes() if note.at > promoted)
    with closing(pooled):
        for attempt in range(2):
            try:
                pooled.remove_queue("other")
                break
            except (GresqueError, redis.RedisError):
                assert not attempt, "only the first call may fail"
    ended = len(load.confirmed)
    wait_for(lambda: len(load.confirmed) > ended + 50)
    outcome = watched.settle(load, master)
    # Before that the old primary answers nobody for a second or two, until its replica is in step.
    assert first - promoted < 1
    assert (outcome.lost, outcome.twice, outcome.failures_missing) == (set(), set(), set())


@pytest.fixture
def useless(sentinels: SentinelSet) -> Iterator[Callable[[str], str]]:
    """The address of a Sentinel that is no help, in one of three ways."""
    with ExitStack() as stack:

        def make(how: str) -> str:
            if how == "dead":
                sentinels.sentinels[0].kill()
                return sentinels.sentinels[0].address
            fake = FakeSentinel(sentinels.replicas[0] if how == "wrong" else None)
            stack.callback(fake.close)
            return fake.address

        yield make


@pytest.mark.parametrize("how", ["dead", "hanging", "wrong"])
def test_the_first_sentinel_is_of_no_use(
    sentinels: SentinelSet, useless: Callable[[str], str], how: str
) -> None:
    url = sentinels.url_of(useless(how), *(each.address for each in sentinels.sentinels[1:]))
    started = time.monotonic()
    with closing(TrackedConnection(url, "resque")) as connection:
        connection.connect()
        connected = time.monotonic() - started
        assert connection.call(b"ROLE")[0] == b"master"
        assert connection.tracking
    assert connected < 2
    started = time.monotonic()
    with closing(gresque.Client(url)) as client:
        assert client.enqueue_to("q", "Job", 1)
        assert client.size("q") == 1
    assert time.monotonic() - started < 2 * 2


def test_no_sentinel_is_there_while_the_primary_lives(
    sentinels: SentinelSet, watched: MovingBench
) -> None:
    """Work goes on. A new process of a worker finds the primary where the others had found it."""
    primary = sentinels.primary
    watched._find = lambda: primary
    master = watched.work()
    load = watched.load(per_second=50)
    for sentinel in sentinels.sentinels:
        sentinel.kill()
    pids = master.pids()
    first = min(pids)
    ended = len(load.confirmed)
    wait_for(lambda: len(load.confirmed) > ended + 20)
    master.kill_children()
    wait_for(lambda: (now := master.pids()) and not now & pids and len(now) == len(pids))
    assert first not in master.pids()
    after = time.monotonic()
    wait_for(lambda: any(note.at > after and note.pid not in pids for note in load.notes()))
    outcome = watched.settle(load, master)
    assert (outcome.lost, load.refused, load.unsure) == (set(), [], [])


def test_a_switch_while_nothing_is_to_be_done(sentinels: SentinelSet, watched: MovingBench) -> None:
    """An idle worker works for the new primary; so does a client that was idle, too."""
    master = watched.work("--interval", "1")
    watched.client.enqueue_to(QUEUE, "Chaos", "first", 0.0)
    wait_for(lambda: watched.ended("first"))
    old = sentinels.primary
    sentinels.fail_over("COORDINATED")
    wait_for(lambda: sentinels.primary is not old and sentinels.primary.is_primary)
    watched.client.enqueue_to(QUEUE, "Chaos", "second", 0.0)
    wait_for(lambda: watched.ended("second"))
    wait_for(watched.is_settled)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert account(master.log).ended == {"done": 2, "failed": 0, "retried": 0}


def test_the_errors_name_the_cure(
    sentinels: SentinelSet, watched: MovingBench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    replica = sentinels.replicas[0]
    for url, cure in (
        (f"redis://{replica.address}", "is a replica: give the URL of the primary"),
        (sentinels.url.replace("/main", "/nobody"), "no such primary"),
    ):
        master = watched.start("-q", QUEUE, "-r", JOBS, REDIS_URL=url)
        assert master.wait() == 1
        assert cure in master.log
        assert "Traceback" not in master.log


def test_check_names_what_it_finds(
    sentinels: SentinelSet, watched: MovingBench, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = sentinels.replicas[0]
    sentinels.sentinels[2].kill()
    assert run(["check", "--redis", sentinels.url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {each["place"] for each in found["redis"]["replicas"]} == {
        node.address for node in sentinels.replicas
    }
    primary = sentinels.primary.address
    assert [each["primary"] for each in found["redis"]["sentinels"]] == [primary, primary, ""]
    said = "\n".join(found["warnings"])
    assert f"Sentinel {sentinels.sentinels[2].address}: Connection refused" in said
    assert "set min-replicas-to-write 1" in said
    assert run(["check", "--redis", f"redis://{replica.address}"]) == 1
    assert "is a replica: give the URL of the primary" in capsys.readouterr().err
