"""Workers of several shards: two servers, of which one may be away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

import gresque
from tests.process.outage import ENDLESS, Outage
from tests.process.support import Master, account, wait_for
from tests.support.server import OwnServer


class TwoShards:
    """Two servers, a bench on each, and workers that serve both."""

    def __init__(self, directory: Path) -> None:
        self.tally = directory / "tally"
        self.servers = []
        self.benches = []
        for name in "ab":
            place = directory / name
            place.mkdir()
            server = OwnServer(place, "--appendonly", "yes", "--appendfsync", "always").start()
            self.servers.append(server)
            self.benches.append(Outage(server, place))
        self.a, self.b = self.benches
        self.urls = [f"{name}={each.url}" for name, each in zip("ab", self.servers, strict=True)]

    def work(self, *arguments: str, urls: Sequence[str] = (), **env: str) -> Master:
        redis = [word for url in urls or self.urls for word in ("--redis", url)]
        return self.a.start(
            "-q", "q", "-r", "tests.process.outage_jobs", *redis, *arguments,
            TALLY=str(self.tally), **env,
        )  # fmt: skip

    def ended(self) -> list[str]:
        lines = self.tally.read_text().splitlines() if self.tally.exists() else []
        return [line.removeprefix("end ") for line in lines if line.startswith("end ")]

    def close(self) -> None:
        for bench, server in zip(self.benches, self.servers, strict=True):
            bench.close()
            server.kill()


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[TwoShards]:
    shards = TwoShards(tmp_path)
    yield shards
    shards.close()


def serving(master: Master, shard: str) -> list[psutil.Process]:
    """The worker processes of this shard."""
    found = []
    for child in master.all_children():
        with suppress(psutil.NoSuchProcess):
            if f"worker q on {shard}: " in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_the_process_that_replaces_another_serves_its_shard(shards: TwoShards) -> None:
    master = shards.work("-w", "4", "-t", "5", *ENDLESS)
    wait_for(lambda: len(serving(master, "a")) == len(serving(master, "b")) == 2)
    shards.b.push(range(10), 0.5)
    wait_for(lambda: shards.b.held() == 10)
    for child in serving(master, "b"):
        child.kill()
    shards.a.push(range(10, 20))
    wait_for(lambda: sorted(map(int, set(shards.ended()))) == list(range(20)))
    wait_for(lambda: shards.b.held() == shards.a.held() == 0)
    assert len(serving(master, "a")) == len(serving(master, "b")) == 2
    assert [bench.stat("processed") for bench in shards.benches] == [10, 10]
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    assert account(master.log).done == 20
    for bench in shards.benches:
        assert not bench.redis.smembers("resque:workers")
        assert not bench.redis.exists("resque:vitals")


def test_a_shard_that_is_away_holds_up_no_other(shards: TwoShards) -> None:
    for bench, keys in zip(shards.benches, (range(10), range(10, 20)), strict=True):
        bench.push(keys)
    shards.servers[1].kill()
    master = shards.work("-w", "2", "-t", "5", "--burst")
    wait_for(lambda: len(shards.ended()) == 10)
    wait_for(lambda: "waiting for it" in master.log)
    shards.servers[1].start()
    assert master.wait() == 0, master.log
    assert sorted(map(int, shards.ended())) == list(range(20)), "a burst ends when both are dry"


def test_no_shard_answers(shards: TwoShards) -> None:
    for server in shards.servers:
        server.kill()
    master = shards.work("-w", "2")
    assert master.wait() == 1
    assert master.log.count("cannot start: no answer from Redis at") == 2


def test_some_of_the_shards(shards: TwoShards) -> None:
    shards.a.push(range(1))
    shards.b.push(range(1, 2))
    master = shards.work("--serve-shards", "b", "--burst")
    assert master.wait() == 0, master.log
    assert shards.ended() == ["1"]
    wrong = shards.work("-w", "3")
    assert wrong.wait() == 2
    assert "3 processes cannot serve 2 shards alike" in wrong.log


def test_one_server_hangs_under_load(shards: TwoShards) -> None:
    """What had not been sent to it by then goes to the other one at once; what had been is there
    once it goes on."""
    master = shards.work("-w", "2", "-t", "20", *ENDLESS)
    took: dict[int, float] = {}
    client = gresque.Client(urls=shards.urls)

    def enqueue(number: int) -> None:
        began = time.monotonic()
        client.enqueue_to("q", "Tell", str(number))
        took[number] = time.monotonic() - began

    with closing(client):
        for number in range(20):
            enqueue(number)
        wait_for(lambda: len(shards.ended()) == 20)
        shards.servers[1].stop()
        threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(20, 220)]
        for thread in threads:
            thread.start()
            time.sleep(0.01)
        quick = [number for number in took if took[number] < 1]
        assert len(quick) > 150
        wait_for(lambda: set(map(str, quick)) <= set(shards.ended()))
        shards.servers[1].resume()
        for thread in threads:
            thread.join()
    wait_for(lambda: len(shards.ended()) >= 220)
    assert sorted(map(int, shards.ended())) == list(range(220)), "each once"
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log


def test_a_pinned_queue_keeps_its_order(shards: TwoShards) -> None:
    with closing(gresque.Client(urls=shards.urls, pinned_queues=["q"])) as client:
        for number in range(60):
            client.enqueue_to("q", "Tell", str(number))
    shards.work("-w", "2", "-j", "1000", "--burst").wait()
    assert shards.ended() == [str(number) for number in range(60)]


def test_a_shard_comes_and_goes_under_load(shards: TwoShards) -> None:
    one, two = shards.urls[:1], shards.urls
    drained = [shards.urls[0], f"drain:{shards.urls[1]}"]
    sent, stop = 0, threading.Event()
    clients = [gresque.Client(urls=urls) for urls in (one, two, drained)]
    now = [clients[0]]

    def load() -> None:
        nonlocal sent
        while not stop.is_set():
            now[0].enqueue_to("q", "Tell", str(sent), 0.05)
            sent += 1
            time.sleep(0.005)

    def replace(master: Master, urls: Sequence[str]) -> Master:
        """Workers with the new settings, and an end of the old ones."""
        new = shards.work("-w", "2", "-t", "5", *ENDLESS, urls=urls)
        wait_for(lambda: "worker q" in str([c.cmdline() for c in new.children()]))
        master.signal(signal.SIGQUIT)
        assert master.wait() == 0, master.log
        return new

    loader = threading.Thread(target=load)
    master = shards.work("-w", "2", "-t", "5", *ENDLESS, urls=one)
    loader.start()
    try:
        wait_for(lambda: len(shards.ended()) > 20)
        master = replace(master, two)  # workers first, then producers
        now[0] = clients[1]
        wait_for(lambda: shards.b.stat("processed") > 20)
        now[0] = clients[2]
        master = replace(master, drained)
        wait_for(lambda: shards.b.redis.llen("resque:queue:q") == shards.b.held() == 0)
        count = len(shards.ended())
        wait_for(lambda: len(shards.ended()) > count + 20)
        assert shards.b.redis.llen("resque:queue:q") == 0, "it is given nothing"
    finally:
        stop.set()
        loader.join()
        for client in clients:
            client.close()
    wait_for(lambda: len(shards.ended()) >= sent)
    assert sorted(map(int, shards.ended())) == list(range(sent)), "each once"


def test_a_move_that_is_killed_loses_nothing(shards: TwoShards) -> None:
    """First while queues are moved, then while failed jobs are."""
    jobs, failures = 10_000, 4_000
    env = {**os.environ, "REDIS_URLS": f"{shards.urls[0]} drain:{shards.urls[1]}"}
    env.pop("REDIS_URL", None)
    a, b = shards.a.redis, shards.b.redis

    def move() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gresque", "shards", "move", "b"],
            env=env, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill_during(key: str) -> None:
        mover = move()
        wait_for(lambda: a.llen(key))
        mover.kill()
        mover.communicate()
        assert b.llen(key), "it was killed in the middle"

    raws = [b'{"class":"Tell","args":["%d"]}' % number for number in range(jobs)]
    entries = [
        b'{"queue":"q","payload":{"class":"Tell","args":["%d"]}}' % number
        for number in range(failures)
    ]
    b.rpush("resque:queue:q", *raws)
    b.sadd("resque:queues", "q")
    b.rpush("resque:failed", *entries)
    kill_during("resque:queue:q")
    kill_during("resque:failed")
    b.delete("resque:failed_sweep")  # as it expires 15 s after its holder has died
    mover = move()
    said, _ = mover.communicate(timeout=60)
    assert mover.returncode == 0
    assert "queue q is paused on b" in said, "as the first one was killed"
    assert b.llen("resque:queue:q") == b.llen("resque:failed") == 0
    assert set(a.lrange("resque:queue:q", 0, -1)) == set(raws)
    assert set(a.lrange("resque:failed", 0, -1)) == set(entries)
    assert a.llen("resque:queue:q") <= jobs + 1000, "one bulk at most is there twice"
    assert a.llen("resque:failed") <= failures + 500
