"""Four shards on two servers, of which one is killed and one hangs; and shards that come and go
under load.

The jobs note what they do in a file, beside Redis. What was measured is printed:

    scripts/acceptance --only "tests of shards"
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.sharded import (
    ENDLESS,
    MANY,
    QUEUE,
    Push,
    Shard,
    Sharded,
    load_average,
    patience,
    spread_of,
)
from tests.process.support import wait_for

JOBS = 100_000
ALONE = 20_000
"""So many of them are enqueued one by one."""
ORDERED = 2_000
HANGS_SECONDS = 30.0
BEFORE_SECONDS = 15.0
NOTICED_SECONDS = 2.0
BACKLOG = 9_000
JOB_SECONDS = 0.1
WAITING = 40_000
LATER = 10_000
KILLS = 5


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Sharded]:
    sharded = Sharded(tmp_path, "ab", 2)
    yield sharded
    sharded.close()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Sharded]:
    sharded = Sharded(tmp_path, "abc", 1)
    yield sharded
    sharded.close()


def shares(shards: list[Shard], before: list[int]) -> list[float]:
    """Percent of the jobs that each shard has got."""
    got = [shard.waiting() - had for shard, had in zip(shards, before, strict=True)]
    return [100 * number / sum(got) for number in got]


def in_percent(found: list[float]) -> str:
    return ", ".join(f"{share:.2f}" for share in found)


def test_jobs_are_spread_and_a_server_is_away_at_the_start(
    four: Sharded, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_by_one(first: int, last: int) -> None:
        for number in range(first, last):
            client.enqueue_to(QUEUE, "Chaos", str(number), 0)

    with closing(four.client()) as client:
        began = time.monotonic()
        part = ALONE // 8
        threads = [
            threading.Thread(target=one_by_one, args=(part * number, part * (number + 1)))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone_seconds = time.monotonic() - began
        alone = shares(four.shards, [0] * 4)
        had = [shard.waiting() for shard in four.shards]
        for first in range(ALONE, JOBS, MANY):
            jobs = [(str(number), 0) for number in range(first, first + MANY)]
            client.enqueue_many("Chaos", jobs, queue=QUEUE)
        many = shares(four.shards, had)
        counts = [shard.waiting() for shard in four.shards]
    assert sum(counts) == JOBS
    four.servers["b"].kill()
    master = four.work("-w", "4", "-t", "50", "-j", "10000", "--burst")
    here = sum(counts[:2])
    wait_for(lambda: sum(four.ends().values()) >= here, 300)
    assert sum(four.ends().values()) == here, "those of the server that is there"
    assert "waiting for it" in master.log
    four.servers["b"].start()
    assert master.wait(300) == 0, master.log
    ends = four.ends()
    lost = {str(number) for number in range(JOBS)} - ends.keys()
    twice = [key for key, count in ends.items() if count > 1]
    with capsys.disabled():
        print(
            f"\nmeasured: {ALONE:,} jobs one by one (8 threads, {alone_seconds:.0f} s): "
            f"{in_percent(alone)} %; {JOBS - ALONE:,} by the thousand: {in_percent(many)} %; "
            f"worked with one of two servers away at the start, which came later: {len(lost)} "
            f"lost, {len(twice)} ran twice (load {load_average()})"
        )
    assert all(abs(share - 25) <= 1 for share in (*alone, *many))
    assert not lost and not twice


def test_a_pinned_queue_is_in_strict_order(
    four: Sharded, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(four.client(pinned_queues=["ordered"])) as client:
        for number in range(ORDERED):
            client.enqueue_to("ordered", "Chaos", str(number), 0)
    places = [shard.name for shard in four.shards if shard.waiting("ordered")]
    master = four.work("-w", "4", "-t", "1", "-j", "10000", "--burst", queue="ordered")
    assert master.wait(120) == 0, master.log
    starts = [int(note.key) for note in four.notes() if note.event == "start"]
    with capsys.disabled():
        print(
            f"\nmeasured: {len(starts):,} jobs of a pinned queue, one by one, on "
            f"{len(places)} of 4 shards: started in their order: {starts == sorted(starts)}"
        )
    assert len(places) == 1
    assert starts == list(range(ORDERED))


def test_a_server_hangs(four: Sharded, capsys: pytest.CaptureFixture[str]) -> None:
    for shard in four.shards:
        shard.fill([f"{shard.name}-{number}" for number in range(BACKLOG)], JOB_SECONDS)
    master = four.work("-w", "4", "-t", "20", *ENDLESS)
    load = four.load(per_second=100, threads=100)
    time.sleep(BEFORE_SECONDS)
    stopped = time.monotonic()
    four.servers["b"].stop()
    time.sleep(5)
    began = time.monotonic()
    output, errors = four.call("queues").communicate(timeout=60)
    command_seconds, busy = time.monotonic() - began, patience()
    time.sleep(max(0.0, stopped + HANGS_SECONDS - time.monotonic()))
    resumed = time.monotonic()
    four.servers["b"].resume()
    time.sleep(5)
    load.end()
    average = load_average()
    ended = [note for note in four.notes() if note.event == "end" and note.key.startswith("a")]
    before = pace([note.at for note in ended], stopped - BEFORE_SECONDS + 3, stopped)
    during = pace([note.at for note in ended], stopped, resumed)
    four.settle()
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    ends = four.ends()
    filled = {f"{each.name}-{number}" for each in four.shards for number in range(BACKLOG)}
    lost = (filled | set(load.confirmed)) - ends.keys()
    twice = [key for key, count in ends.items() if count > 1]
    everything = [push for push in load.pushes if stopped <= push.began < resumed]
    noticed = [push for push in everything if push.began >= stopped + NOTICED_SECONDS]
    with capsys.disabled():
        print(
            f"\nmeasured: one of two servers hung for {resumed - stopped:.0f} s: the other's jobs "
            f"{before:.0f}/s before, {during:.0f}/s ({100 * during / before:.0f} %) meanwhile; "
            f"{len(load.confirmed):,} enqueues confirmed, {len(load.unsure)} unsure, "
            f"{len(load.refused)} refused; begun while it hung: {quick(everything)}; of these "
            f"later than {NOTICED_SECONDS:.0f} s after: {quick(noticed)}; "
            f"{len(lost)} of {len(filled) + len(load.confirmed):,} jobs "
            f"lost, {len(twice)} ran twice; gresque queues took {command_seconds:.1f} s "
            f"(load {average})"
        )
    assert not lost and not twice
    assert during >= 0.9 * before
    assert sum(push.took <= NOTICED_SECONDS for push in noticed) >= 0.999 * len(noticed)
    assert QUEUE in output
    assert "b0 does not answer" in errors and "b1 does not answer" in errors
    assert command_seconds < 2.5 * busy


def pace(times: list[float], since: float, until: float) -> float:
    return sum(since <= at < until for at in times) / (until - since)


def quick(pushes: list[Push]) -> str:
    within = sum(push.took <= NOTICED_SECONDS for push in pushes)
    share = 100 * within / len(pushes)
    times = spread_of([push.took for push in pushes])
    return (
        f"{within:,} of {len(pushes):,} ({share:.2f} %) ended within {NOTICED_SECONDS:.0f} s, "
        f"median / 99 % / 99.9 % / longest {times}"
    )


def test_a_shard_comes_and_goes(three: Sharded, capsys: pytest.CaptureFixture[str]) -> None:
    two, all_three = three.urls[:2], three.urls
    drained = [*two, f"drain:{three.urls[2]}"]
    width = ("-t", "20", *ENDLESS)
    third = three.shards[2]
    master = three.work("-w", "2", *width, urls=two)
    load = three.load(per_second=300, threads=8, urls=two)
    clients = [load.client, three.client(all_three), three.client(drained)]
    try:
        time.sleep(5)
        master = three.replace(master, "-w", "3", *width, urls=all_three)
        load.client = clients[1]  # workers first, then what enqueues
        wait_for(lambda: third.bench.stat("processed") > 500, 60)
        load.client = clients[2]
        master = three.replace(master, "-w", "3", *width, urls=drained)
        wait_for(third.is_empty, 60)
        given = third.bench.stat("processed")
        master = three.replace(master, "-w", "2", *width, urls=two)
        time.sleep(5)
        load.end()
    finally:
        for client in clients[1:]:
            client.close()
        load.client = clients[0]
    three.settle()
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    ends = three.ends()
    lost = set(load.confirmed) - ends.keys()
    twice = [key for key, count in ends.items() if count > 1]
    with capsys.disabled():
        print(
            f"\nmeasured: 2, 3, and 2 shards again under load: {len(load.confirmed):,} enqueues "
            f"confirmed, {len(load.unsure) + len(load.refused)} not; {given:,} worked on the "
            f"shard that came and went; {len(lost)} lost, {len(twice)} ran twice "
            f"(load {load_average()})"
        )
    assert not lost and not twice


def left(shard: Shard) -> tuple[int, int]:
    """Jobs in its queue, and those that wait for their time."""
    return shard.waiting(), shard.later()


def is_under(shard: Shard, most: tuple[int, int], move: subprocess.Popen[str]) -> bool:
    """Whether that is no more than this, or the move has ended."""
    waiting, later = left(shard)
    return (waiting <= most[0] and later <= most[1]) or move.poll() is not None


@pytest.mark.parametrize("kills", [0, KILLS])
def test_a_shard_is_moved(three: Sharded, kills: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Under load, with workers on all shards, and with jobs that become due meanwhile."""
    third = three.shards[2]
    drained = [*three.urls[:2], f"drain:{three.urls[2]}"]
    keys = [f"moved-{number}" for number in range(WAITING)]
    third.fill(keys, 0.01)
    later = [f"later-{number}" for number in range(LATER)]
    for number in range(10):
        some = later[number::10]
        third.bench.client.options("Chaos", queue=QUEUE, in_=4 + 4 * number).enqueue_many(
            [(key, 0.001) for key in some]
        )
    master = three.work("-w", "3", "-t", "20", *ENDLESS, urls=drained)
    load = three.load(per_second=100, threads=4, urls=drained)
    at_kills = list[tuple[int, int]]()
    if kills:  # only moves take jobs out of this queue
        three.run("pause", QUEUE, "--shard", "c0", urls=drained)
    for number in range(kills):
        waiting, late = left(third)
        # The last kill comes while delayed jobs are moved, the others while a queue is.
        is_last = number == kills - 1
        most = (waiting, late - LATER // 20) if is_last else (waiting - MANY, late)
        move = three.call("shards", "move", "c0", urls=drained)
        wait_for(partial(is_under, third, most, move), 60)
        move.kill()
        move.communicate()
        at_kills.append(left(third))
    began = time.monotonic()
    output = three.run("shards", "move", "c0", urls=drained)
    seconds = time.monotonic() - began
    emptied = third.waiting()
    three.run("unpause", QUEUE, urls=drained)
    load.end()
    three.settle()
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    ends = three.ends()
    lost = {*keys, *later, *load.confirmed} - ends.keys()
    twice = [key for key, count in ends.items() if count > 1]
    late_twice = sum(key.startswith("later") for key in twice)
    with capsys.disabled():
        print(
            f"\nmeasured: shards move killed {kills} times (waiting, later: {at_kills}), then "
            f"{output!r} in {seconds:.1f} s: {len(lost)} of "
            f"{WAITING + LATER + len(load.confirmed):,} lost, {len(twice)} ran twice, of these "
            f"{late_twice} delayed ones (load {load_average()})"
        )
    assert not lost
    assert emptied < MANY, "what ran there has not been put back in such numbers"
    if not kills:
        assert not twice
