"""Twenty fail-overs by Sentinel in a row, under load, and a primary that hangs.

The jobs note what they do in a file, beside Redis. What was measured is printed:

    scripts/acceptance --only "tests of sentinel failovers"
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.process.support import Master, wait_for
from tests.process.topologies import MovingBench, sentinel_set, sentinels, watched
from tests.support.load import Load
from tests.support.nodes import Node
from tests.support.sentinels import SentinelSet

__all__ = ["sentinel_set", "sentinels", "watched"]

ROUNDS = 20
PER_SECOND = 300
BURST = 1_000
ALL_REPLICAS = 2
DOWN_AFTER_SECONDS = 1.0
REPLY_SECONDS = 5.0
"""How long a worker waits for the reply to a turn."""
CALM_SECONDS = 2.0


def promoted(sentinels: SentinelSet, old: Node) -> float:
    """When another one became the primary; looked at 50 times a second."""
    others = [node for node in sentinels.nodes if node is not old]
    deadline = time.monotonic() + 60
    while not any(node.is_primary for node in others):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return time.monotonic()


def wait_until_calm(sentinels: SentinelSet) -> None:
    """All Sentinels agree, and both replicas have been in step for a while."""
    sentinels.wait_until_whole()
    since = time.monotonic()
    while time.monotonic() < since + CALM_SECONDS:
        if not sentinels.is_whole():
            since = time.monotonic()
        time.sleep(0.1)


def after(load: Load, moment: float) -> float:
    """Seconds until a job ended."""

    def first() -> float:
        return min((note.at for note in load.notes() if note.at > moment), default=0)

    found: float = wait_for(first)
    return found - moment


@pytest.fixture
def master(sentinels: SentinelSet, watched: MovingBench) -> Iterator[Master]:
    sentinels.watch_closely(DOWN_AFTER_SECONDS)
    yield watched.work()


@pytest.mark.parametrize("wait_replicas", [ALL_REPLICAS, 0])
def test_twenty_primaries_are_killed(
    sentinels: SentinelSet,
    watched: MovingBench,
    master: Master,
    wait_replicas: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load = watched.load(PER_SECOND, wait_replicas)
    pids = master.pids()
    waits, promotions = list[float](), list[float]()
    for number in range(ROUNDS):
        wait_until_calm(sentinels)
        old = sentinels.primary
        if number % 3 == 0:
            load.burst(BURST)
            time.sleep(0.1)
        killed = time.monotonic()
        old.kill()
        moment = promoted(sentinels, old)
        promotions.append(moment - killed)
        primary = sentinels.primary
        old.start("--replicaof", f"127.0.0.1 {primary.port}")
        waits.append(after(load, moment))
    wait_until_calm(sentinels)
    assert master.pids() == pids, "no process was restarted"
    outcome = watched.settle(load, master)
    with capsys.disabled():
        print(
            f"\nmeasured: WAIT {wait_replicas}: {ROUNDS} primaries killed, promoted after "
            f"{max(promotions):.1f} s at most; {outcome.confirmed:,} enqueues confirmed, "
            f"{len(outcome.lost)} of them lost, {len(load.unsure)} unsure, "
            f"{len(load.refused)} refused; {len(outcome.twice)} jobs ran twice; "
            f"{len(outcome.failures_missing)} of {outcome.failures:,} failures missing; "
            f"longest silence {outcome.silence_seconds:.1f} s, {max(waits):.1f} s of it after "
            "the promotion"
        )
    assert outcome.failures_missing == set()
    if wait_replicas:  # an enqueue waits until the old primary is a replica
        assert outcome.lost == set()
    else:
        assert max(waits) < 2
    assert outcome.confirmed > ROUNDS * PER_SECOND


def test_a_primary_hangs(
    sentinels: SentinelSet,
    watched: MovingBench,
    master: Master,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load = watched.load(PER_SECOND)
    pids = master.pids()
    wait_until_calm(sentinels)
    old = sentinels.primary
    replica = next(node for node in sentinels.nodes if node.follows(old))
    processes = [name.decode() for name in old.redis.zrange("resque:ledgers", 0, -1)]
    stopped = time.monotonic()
    old.stop()
    known = turns(replica, processes)
    promotion = promoted(sentinels, old) - stopped
    after(load, time.monotonic())
    time.sleep(max(0.0, stopped + 12 - time.monotonic()))
    old.resume()
    wait_for(lambda: old.ask("PING"))
    time.sleep(1)  # it is the primary of nobody, until Sentinel makes it a replica
    late = {name: turn - known[name] for name, turn in turns(old, processes).items()}
    sentinels.wait_until_whole()
    assert master.pids() == pids
    outcome = watched.settle(load, master)
    with capsys.disabled():
        print(
            f"\nmeasured: a primary stopped for 12 s: a replica promoted after {promotion:.1f} s, "
            f"longest silence {outcome.silence_seconds:.1f} s; {outcome.confirmed:,} enqueues "
            f"confirmed, {len(outcome.lost)} of them lost, {len(outcome.twice)} jobs ran twice, "
            f"{len(outcome.failures_missing)} of {outcome.failures:,} failures missing; after it "
            f"went on, the old primary got {sum(late.values())} turns of {len(late)} processes"
        )
    # Sentinels on a busy machine may take longer than the reply that is waited for.
    assert outcome.silence_seconds < max(DOWN_AFTER_SECONDS + REPLY_SECONDS, promotion + 3) + 1
    assert outcome.failures_missing == set()
    assert max(late.values()) <= 1


def turns(node: Node, processes: list[str]) -> dict[str, int]:
    """Process -> the number of its last turn, as this server knows it."""
    found = {name: node.redis.hget(f"resque:ledger:{name}", "state") for name in processes}
    return {name: int(state.split()[0]) for name, state in found.items() if state}
