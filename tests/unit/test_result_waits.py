"""Waiting for tracked jobs over one connection: nothing is missed, and nobody waits for ever."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis

import gresque
from gresque.connection.raw import RawConnection
from gresque.store.store import Store
from tests.support.server import OwnServer

SECONDS = 30.0
"""Far above what anything here takes: a wait of this length has failed."""


def end(db: redis.Redis, job_id: str, value: object = 1, state: str = "done") -> None:
    details = msgspec.json.encode({"value": value})
    db.hset(f"resque:job:{job_id}", mapping={"s": state, "d": details})


def begin(db: redis.Redis, *ids: str) -> None:
    for job_id in ids:
        db.hset(f"resque:job:{job_id}", mapping={"s": "queued", "c": "t", "q": "mail"})


def connections(db: redis.Redis) -> list[dict[str, str]]:
    """Those that track: each other one is of another kind."""
    return [each for each in db.client_list() if "t" in each["flags"]]


def asked(db: redis.Redis) -> bool:
    """Whether who waits has been answered that the job runs."""
    return bool(connections(db)) and all(
        int(each.get("tot-net-out", 1)) > 0 and each["cmd"] == "hmget" for each in connections(db)
    )


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Waiting(threading.Thread):
    """One who waits for a result."""

    def __init__(self, client: gresque.Client, job_id: str, seconds: float | None = None) -> None:
        super().__init__(daemon=True)
        self.client, self.job_id, self.seconds = client, job_id, seconds
        self.found: object = None
        self.start()

    def run(self) -> None:
        try:
            self.found = self.client.result(self.job_id, self.seconds)
        except Exception as error:
            self.found = error

    def get(self) -> object:
        self.join(SECONDS)
        assert not self.is_alive(), "it waits still"
        return self.found


@pytest.fixture
def client(redis_url: str) -> Iterator[gresque.Client]:
    made = gresque.Client(redis_url)
    yield made
    made.close()


def test_what_has_ended_is_there_at_once(client: gresque.Client, redis_client: redis.Redis) -> None:
    end(redis_client, "a", {"x": [1]})
    assert client.result("a", timeout=0) == {"x": [1]}
    details = msgspec.json.encode({"error": ["ValueError", "no", "line 1"]})
    redis_client.hset("resque:job:b", mapping={"s": "failed", "d": details})
    with pytest.raises(gresque.JobFailed, match="job b failed: ValueError: no") as caught:
        client.result("b")
    assert (caught.value.error, caught.value.traceback) == ("ValueError: no", "line 1")


def test_an_unknown_job_is_not_waited_for(client: gresque.Client) -> None:
    with pytest.raises(gresque.NotKnown, match="nothing is known of job nope"):
        client.result("nope")
    assert client.status("nope").state == "unknown"


def test_an_unknown_job_takes_one_trip(client: gresque.Client, redis_client: redis.Redis) -> None:
    end(redis_client, "a")
    client.result("a")  # the connection is there

    def commands() -> int:
        return int(redis_client.info("commandstats").get("cmdstat_hmget", {}).get("calls", 0))

    before = commands()
    with pytest.raises(gresque.NotKnown):
        client.result("nope")
    assert commands() == before + 1


def test_many_wait_over_one_connection(client: gresque.Client, redis_client: redis.Redis) -> None:
    ids = [f"id{number}" for number in range(60)]
    begin(redis_client, *ids)
    waits = [Waiting(client, job_id) for job_id in ids]
    until(lambda: len(client.store.result_waits._lines) == 1)
    (line,) = (each for _, each in client.store.result_waits._lines.values())
    until(lambda: len(line._waiting) == len(ids))
    until(lambda: len(connections(redis_client)) == 1)
    for number, job_id in enumerate(ids):
        end(redis_client, job_id, number)
    assert [each.get() for each in waits] == list(range(60))
    assert len(connections(redis_client)) == 1
    assert not line._waiting
    assert not line._calls


def test_an_end_right_after_the_look_is_not_missed(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    for number in range(200):
        begin(redis_client, "a")
        wait = Waiting(client, "a")
        end(redis_client, "a", number)
        assert wait.get() == number


def test_who_reads_for_all_may_have_its_answer_first_or_give_up(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    begin(redis_client, "a", "b", "c")
    late = Waiting(client, "a", 0.2)
    until(lambda: connections(redis_client))
    others = [Waiting(client, "b"), Waiting(client, "c"), Waiting(client, "b")]
    error = late.get()
    assert isinstance(error, gresque.NotEnded)
    assert isinstance(error, TimeoutError)
    assert str(error) == "job a has not ended within 0.2 s"
    end(redis_client, "b", "B")
    assert (others[0].get(), others[2].get()) == ("B", "B")
    end(redis_client, "c", "C")
    assert others[1].get() == "C"


def test_the_first_of_several(client: gresque.Client, redis_client: redis.Redis) -> None:
    begin(redis_client, "a", "b", "c")
    end(redis_client, "b")
    found = client.wait(["a", "b", "c", "b"], timeout=SECONDS, count=1)
    assert [*found] == ["b"]
    with pytest.raises(gresque.NotEnded, match="jobs a, c have not ended") as caught:
        client.wait(["a", "b", "c"], timeout=0.05)
    assert [*caught.value.ended] == ["b"]
    assert client.wait([]) == {}
    for wrong in ({"count": 4}, {"count": -1}, {"count": True}, {"timeout": -1}, {"timeout": "x"}):
        with pytest.raises(gresque.GresqueError):
            client.wait(["a", "b", "c"], **wrong)  # type: ignore[arg-type]
    for none in ("abc", b"abc", None, 5):
        with pytest.raises(gresque.GresqueError, match="give a list of ids"):
            client.wait(none)  # type: ignore[arg-type]
    for none in ("", 5):
        with pytest.raises(gresque.GresqueError, match="is not the id of a job"):
            client.result(none, timeout=0)  # type: ignore[arg-type]
    with pytest.raises(gresque.NotKnown, match=r"nothing is known of job x\\n1{62}: no such job"):
        client.result("x\n" + 500 * "1")


def test_a_time_that_is_longer_than_clocks_count(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    begin(redis_client, "a", "b")
    waits = [Waiting(client, job_id, 1e300) for job_id in "aabb"]
    until(lambda: connections(redis_client))
    end(redis_client, "a", 1)
    end(redis_client, "b", 2)
    assert [wait.get() for wait in waits] == [1, 1, 2, 2]


def test_a_result_that_expires_while_it_is_waited_for(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    begin(redis_client, "a")
    wait = Waiting(client, "a")
    until(lambda: connections(redis_client))
    redis_client.pexpire("resque:job:a", 1)
    assert isinstance(wait.get(), gresque.NotKnown)


def test_a_connection_that_is_cut(client: gresque.Client, redis_client: redis.Redis) -> None:
    begin(redis_client, "a", "b")
    wait, other = Waiting(client, "a"), Waiting(client, "b")
    for _ in range(5):
        until(lambda: connections(redis_client))
        for each in connections(redis_client):
            redis_client.client_kill(each["addr"])
    end(redis_client, "a", 7)
    assert wait.get() == 7
    end(redis_client, "b", 8)
    assert other.get() == 8


def test_a_server_that_starts_again_and_one_that_stays_away(tmp_path: Path) -> None:
    own = OwnServer(tmp_path, "--appendonly", "yes").start()
    client = gresque.Client(own.url, retry_seconds=SECONDS)
    try:
        begin(own.redis, "a", "b")
        wait = Waiting(client, "a")
        until(lambda: connections(own.redis))
        own.kill()
        own.start()
        end(own.redis, "a", 7)
        assert wait.get() == 7
        client.retry_seconds = 0.1
        client.close()
        gone = Waiting(client, "b")
        until(lambda: connections(own.redis))
        own.kill()
        assert isinstance(gone.get(), gresque.RedisUnavailable)
    finally:
        own.kill()


def test_a_server_that_still_loads_says_nothing_of_a_job(
    client: gresque.Client, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(redis_client, "a", 7)
    plain, loading = RawConnection.take_in, [redis.exceptions.BusyLoadingError("it loads")]

    def take_in(raw: RawConnection) -> list[object]:
        found = plain(raw)
        return [loading.pop() if loading else each for each in found]

    monkeypatch.setattr(RawConnection, "take_in", take_in)
    assert client.result("a", timeout=SECONDS) == 7
    assert not loading


def test_a_server_that_announces_nothing_is_polled(
    redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.execute_command(
        "ACL", "SETUSER", "poller", "reset", "on", ">secret", "~*", "+@all", "-client|tracking"
    )
    url = redis_url.replace("unix://", "unix://poller:secret@")
    url = url.replace("redis://", "redis://poller:secret@")
    client = gresque.Client(url)
    try:
        begin(redis_client, "a", "b")
        wait, other = Waiting(client, "a"), Waiting(client, "b", 0.2)
        assert isinstance(other.get(), gresque.NotEnded)
        end(redis_client, "a", 7)
        assert wait.get() == 7
        assert not connections(redis_client)
    finally:
        client.close()
        redis_client.execute_command("ACL", "DELUSER", "poller")


def test_a_missing_right_is_said(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.execute_command(
        "ACL", "SETUSER", "blind", "reset", "on", ">secret", "~*", "+@all", "-hmget"
    )
    url = redis_url.replace("unix://", "unix://blind:secret@")
    url = url.replace("redis://", "redis://blind:secret@")
    client = gresque.Client(url)
    try:
        with pytest.raises(gresque.RedisUnavailable, match="hmget"):
            client.result("a", timeout=SECONDS)
    finally:
        client.close()
        redis_client.execute_command("ACL", "DELUSER", "blind")


def test_a_key_of_another_type_is_no_state(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    redis_client.set("resque:job:a", "text")
    with pytest.raises(gresque.NotKnown):
        client.result("a")
    assert client.status("a").state == "unknown"


def test_a_fork_has_a_connection_of_its_own(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    begin(redis_client, "a", "b")
    wait = Waiting(client, "a")
    until(lambda: connections(redis_client))
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if client.result("b", timeout=SECONDS) == "B" else 2
        finally:
            os._exit(code)
    end(redis_client, "b", "B")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    end(redis_client, "a", "A")
    assert wait.get() == "A"


def test_the_client_is_closed_and_used_again(
    client: gresque.Client, redis_client: redis.Redis, store: Store
) -> None:
    end(redis_client, "a")
    assert client.result("a") == 1
    client.close()
    until(lambda: not connections(redis_client))
    assert client.result("a") == 1
