"""A replica that lags is promoted while workers work."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gresque.control.counts import verify_counts
from gresque.store.store import Store
from tests.process.support import Bench, Master, account, wait_for
from tests.support.faults import FaultyProxy
from tests.support.ledgers import counts
from tests.support.server import OwnServer

JOBS = "tests.process.outage_jobs"
THREADS = 10


class Pair(Bench):
    """A primary and its replica, and an address that leads to the one and then to the other."""

    def __init__(self, directory: Path) -> None:
        places = directory / "primary", directory / "replica"
        for place in places:
            place.mkdir()
        options = "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", "--port"
        self.primary = OwnServer.on_a_free_port(lambda port: OwnServer(places[0], *options, port))
        port = self.primary.redis.config_get("port")["port"]
        self.replica = OwnServer(places[1], "--replicaof", f"127.0.0.1 {port}").start()
        self.proxy = FaultyProxy(directory / "proxy.sock", self.primary.socket)
        super().__init__(self.proxy.url, self.primary.redis, directory)
        self.tally = directory / "tally"
        wait_for(lambda: self.replica.redis.info("replication")["master_link_status"] == "up")

    def work(self, queues: str = "q") -> Master:
        width = ("-w", "1", "-t", str(THREADS), "-j", "100000")
        return self.start("-q", queues, "-r", JOBS, *width, TALLY=str(self.tally))

    def push(self, name: str, count: int) -> None:
        items = [{"class": name, "args": [str(n), 0.2], "id": str(n)} for n in range(count)]
        self.push_raw("q", *(json.dumps(item).encode() for item in items))
        wait_for(lambda: self.replica.redis.llen("resque:queue:q") == count)

    def cut_off(self) -> None:
        """From now on the replica hears nothing."""
        self.replica.redis.replicaof("NO", "ONE")

    def promote(self) -> None:
        self.primary.kill()
        self.redis = self.replica.redis
        self.proxy.turn_to(self.replica.socket)
        self.proxy.cut_all()

    def failed_ids(self) -> list[str]:
        entries = self.redis.lrange("resque:failed", 0, -1)
        return [json.loads(entry)["payload"]["id"] for entry in entries]

    def close(self) -> None:
        super().close()
        self.proxy.close()
        self.primary.kill()
        self.replica.kill()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def test_no_failure_of_the_forgotten_moments_is_missing(pair: Pair) -> None:
    count = 120
    pair.push("TellAndFail", count)
    master = pair.work()
    wait_for(lambda: pair.stat("processed") >= THREADS)
    pair.cut_off()
    wait_for(lambda: pair.stat("processed") >= 3 * THREADS)
    pair.primary.redis.client_pause(60_000, all=False)  # else it would grow until the promotion
    lag = pair.stat("processed") - int(pair.replica.redis.get("resque:stat:processed") or 0)
    assert lag > 0
    pair.promote()
    wait_for(lambda: set(pair.failed_ids()) == {str(n) for n in range(count)})
    wait_for(lambda: not pair.redis.llen("resque:queue:q") and pair.held() == 0)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "Redis has forgotten" in master.log
    assert pair.stat("processed") == pair.stat("failed") == len(pair.failed_ids())
    assert count <= len(pair.failed_ids()) <= count + lag + THREADS, "doubled: reserved in the lag"


def test_what_was_given_back_in_them_is_held_by_nobody(pair: Pair) -> None:
    pair.push("Tell", 40)
    master = pair.work()
    wait_for(lambda: pair.stat("processed") >= THREADS)
    pair.cut_off()
    master.signal(signal.SIGUSR2)
    wait_for(lambda: pair.held() == 0)
    # Jobs that were taken and done in the lag are in the queue of the replica, and run twice.
    lag = pair.stat("processed") - int(pair.replica.redis.get("resque:stat:processed") or 0)
    pair.promote()
    master.signal(signal.SIGCONT)
    wait_for(lambda: not pair.redis.llen("resque:queue:q") and pair.held() == 0)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    done = pair.stat("processed")
    assert 40 <= done <= 40 + lag
    assert pair.stat("failed") == 0
    assert account(master.log).ended == {"done": done, "failed": 0, "retried": 0}


@pytest.mark.parametrize("name", ["Tell", "TellAndFail"])
def test_what_is_in_flight_is_counted_right_after_them(pair: Pair, name: str) -> None:
    """The server counts what its own ledger holds: jobs of the forgotten moments stand there still,
    others are not there yet."""
    count, cap = 100, 6
    pair.client.limit("q", concurrent=cap)
    pair.push(name, count)
    master = pair.work(f"q:{cap}")
    wait_for(lambda: pair.stat("processed") >= cap)
    pair.cut_off()
    wait_for(lambda: pair.stat("processed") >= 3 * cap)
    pair.primary.redis.client_pause(60_000, all=False)
    store = Store(f"unix://{pair.replica.socket}", "resque")
    assert verify_counts(store) == []
    assert all(queues["q"] <= cap for queues in counts(store).values())
    pair.promote()
    wait_for(lambda: pair.stat("processed") >= 2 * cap)
    assert verify_counts(store) == []
    wait_for(lambda: not pair.redis.llen("resque:queue:q") and pair.held() == 0)
    assert counts(store) == {}
    store.close()
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "Redis has forgotten" in master.log
