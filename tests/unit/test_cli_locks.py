"""`gresque locks`, and what a program sees of locks."""

from __future__ import annotations

import json

import pytest
import redis

from gresque.cli.locks import columns
from gresque.cli.main import run
from gresque.cli.table import Table
from gresque.client.locks import UniqueLock
from gresque.store.store import Store
from tests.unit.test_by_hand import Bench, digest, job, job_id, lock


@pytest.fixture
def bench(redis_url: str, store: Store, redis_client: redis.Redis) -> Bench:
    made = Bench(redis_url, store, redis_client)
    now = int(store.now() * 1000)
    fields = {"class": "Sync", "queue": "a"}
    made.hold(1, key="Sync [7]", since=str(now - 90_000), **fields)
    made.client.pexpire(lock(1), 3_600_000)
    made.hold(2, mode="running", by="p 0", since=str(now - 60_000), **{**fields, "class": "Other"})
    made.client.zadd(lock(2) + ":waiting", {job_id(5): 1})
    made.client.zadd("resque:later", {job_id(5): 9e12})
    made.client.set("resque:unique:other", "no lock")
    return made


def test_the_oldest_comes_first(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["locks", "--redis", bench.url]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["FOR", "UNIQUE", "CLASS", "KEY"]
    assert "Sync [7]" in first and job_id(1) in first and "60 min" in first
    assert digest(2) in second and "running" in second


@pytest.mark.parametrize(("field", "follows"), [("again", True), ("payload", False)])
def test_one_that_keeps_a_payload_does_not_expire(bench: Bench, field: str, follows: bool) -> None:
    bench.client.hset(lock(1), field, job(3))
    bench.client.pexpire(lock(1), 316_224_000_000)
    found = bench.gresque.locks()[0]
    assert (found.expires_in, found.next_run) == (None, follows)


def test_of_one_class_as_json(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["locks", "--class", "Other", "--json", "--redis", bench.url]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found.pop("since") == pytest.approx(bench.store.now() - 60, abs=5)
    assert found == {
        "digest": digest(2), "id": job_id(2), "unique": "running", "class": "Other", "key": None,
        "queue": "a", "expires_in": None, "next": False, "waiting": 1,
    }  # fmt: skip


def test_a_narrow_terminal(bench: Bench) -> None:
    bench.client.hset(lock(1), mapping={"key": 'myapp.sync {"site":7}', "class": "myapp.sync"})
    table = Table(columns(bench.store.now()), room=80)
    head, first, second = table.lines(bench.gresque.locks())
    assert head.split() == ["FOR", "UNIQUE", "KEY", "QUEUE", "JOB", "ID", "WAIT", "EXPIRES", "IN"]
    assert 'myapp.sync {"site":7}' in first and f" {job_id(1)[-8:]} " in first
    assert f" Other {digest(2)[:8]}" in second


@pytest.mark.parametrize("name", ["0000abcd", f"Other {digest(2)}"])
def test_one_is_released_by_what_a_narrow_terminal_shows(bench: Bench, name: str) -> None:
    bench.client.hset(lock(2), "id", job_id(2)[:-4] + "abcd")
    assert run(["locks", "release", name[1:], "--redis", bench.url]) == 1
    assert run(["locks", "release", name, "--redis", bench.url]) == 0
    assert not bench.client.exists(lock(2)) and bench.client.exists(lock(1))


def test_an_end_that_two_ids_have_releases_none(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [f"{n}{job_id(n)[1:-4]}abcd" for n in (1, 2)]
    for n, each in enumerate(ids, 1):
        bench.client.hset(lock(n), "id", each)
    assert run(["locks", "release", "0000abcd", "--redis", bench.url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the ids of 2 jobs" in line and all(each in line for each in ids)
    assert bench.client.exists(lock(1), lock(2)) == 2


@pytest.mark.parametrize("name", ["Sync [7]", digest(1), job_id(1)])
def test_one_is_released_by_its_key_its_digest_or_its_job(
    bench: Bench, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    following = job(1).replace(job_id(1).encode(), job_id(3).encode())
    bench.client.hset(lock(1), "again", following)
    assert run(["locks", "release", name, "--redis", bench.url]) == 0
    assert capsys.readouterr().out == f"released Sync [7], held by job {job_id(1)}\n"
    assert not bench.client.exists(lock(1))
    assert bench.client.lrange("resque:queue:a", 0, -1) == [following]
    assert run(["locks", "release", name, "--redis", bench.url]) == 1
    assert "gresque locks" in capsys.readouterr().err


def test_what_waits_for_a_released_lock_is_due(bench: Bench) -> None:
    assert bench.gresque.release_lock(digest(2))
    assert bench.client.zscore("resque:later", job_id(5)) <= bench.store.now() * 1000
    assert not bench.client.exists(lock(2) + ":waiting")
    assert not bench.gresque.release_lock(digest(2))


def test_none_of_a_class(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["locks", "--class", "Third", "--redis", bench.url]) == 0
    assert capsys.readouterr().out == "no Third job holds a lock\n"


def test_none(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.client.flushdb()
    assert run(["locks", "--redis", bench.url]) == 0
    assert capsys.readouterr().out == "no job holds a lock\n"


def test_a_program_sees_them(bench: Bench) -> None:
    first, second = bench.gresque.locks()
    assert isinstance(first, UniqueLock)
    assert (first.key, first.job_id, first.name, first.unique) == (
        "Sync [7]", job_id(1), "Sync", "both",
    )  # fmt: skip
    assert first.expires_in == pytest.approx(3600, abs=5)
    assert (second.key, second.waiting, second.expires_in) == (None, 1, None)
