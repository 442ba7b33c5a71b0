"""`gresque job ID`: one job from all sides, wherever it is."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

import gresque
from gresque.cli.main import run
from gresque.client import job_search
from gresque.failure.entry import encode_entry
from gresque.jobs import payload
from gresque.jobs.ids import new_id
from gresque.store.ledger import write_entry
from gresque.store.store import Store

Look = Callable[[str], dict[str, Any]]


@pytest.fixture
def look(redis_url: str, capsys: pytest.CaptureFixture[str]) -> Look:
    """All that the command says as JSON; its text has to be printable as well."""

    def found(job_id: str) -> dict[str, Any]:
        assert run(["job", job_id, "--redis", redis_url]) == 0
        text = capsys.readouterr().out
        assert run(["job", "--json", job_id, "--redis", redis_url]) == 0
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert said["state"] in text
        return {**said, "text": text}

    return found


def job(number: int = 0) -> tuple[str, bytes]:
    job_id = new_id()
    return job_id, payload.encode("t.job", (number,), {"password": "secret"}, job_id)


def test_a_tracked_job(look: Look, redis_client: redis.Redis) -> None:
    details = {
        "class": "t.job", "queue": "mail", "attempt": 2, "started": 5000, "ended": 6000,
        "progress": [1, 4, "a note"], "worker": "vm:1", "value": {"a": [1]},
    }  # fmt: skip
    redis_client.hset("resque:job:x", mapping={"s": "done", "d": msgspec.json.encode(details)})
    found = look("x")
    assert (found["state"], found["tracked"], found["result"]) == ("done", True, {"a": [1]})
    assert (found["attempt"], found["started_at"], found["ended_at"]) == (2, 5.0, 6.0)
    assert found["progress"] == {"done": 1, "total": 4, "note": "a note"}
    assert '{"a": [1]}' in found["text"] and "1 of 4, a note" in found["text"]


def test_times_that_are_none(look: Look, redis_client: redis.Redis) -> None:
    """As another program may have written them."""
    for started, ended in ((10**30, 10**18), (-5, 0)):
        details = b'{"started":%d,"ended":%d}' % (started, ended)
        redis_client.hset("resque:job:x", mapping={"s": "done", "d": details})
        found = look("x")
        assert (found.get("started_at"), found.get("ended_at")) == (None, None)


def test_a_job_in_flight(look: Look, store: Store, redis_client: redis.Redis) -> None:
    job_id, raw = job(7)
    process = "vm:1:mail:1:1:1:2:3"
    redis_client.zadd("resque:ledgers", {process: 1})
    entry = write_entry(b"resque:queue:mail", raw)
    redis_client.hset(f"resque:ledger:{process}", mapping={"3": entry, "state": "1 1 0 0 0 0"})
    redis_client.set(f"resque:running:{process}", json.dumps({"since": {"3": store.now() - 90}}))
    found = look(job_id)
    assert (found["state"], found["tracked"], found["worker"]) == ("running", False, process)
    assert found["payload"]["args"] == [7]
    assert "secret" not in json.dumps(found)
    assert "runs for" in found["text"] and f"gresque stacks {job_id}" in found["text"]


def test_jobs_that_wait(look: Look, redis_url: str, store: Store) -> None:
    first, last = job(1), job(2)
    store.enqueuer.push("mail", [first[1], last[1]])
    found = look(last[0])
    assert (found["state"], found["queue"], found["ahead"]) == ("queued", "mail", 1)
    delayed = str(gresque.Client(redis_url).options("t.job", queue="mail", in_=60).enqueue(3))
    found = look(delayed)
    assert (found["state"], found["queue"]) == ("later", "mail")
    assert found["due_at"] == pytest.approx(store.now() + 60, abs=10)


def test_a_failed_job_with_its_lines(look: Look, redis_client: redis.Redis) -> None:
    job_id, raw = job()
    entry = encode_entry(raw, "ValueError", "no", ["a.py:7:in `f'"], "vm:1", "mail")
    redis_client.rpush("resque:failed", b"no JSON", entry, b"{}")
    redis_client.set(f"resque:log:{job_id}", zlib.compress(b"line one\nline two"))
    found = look(job_id)
    assert (found["state"], found["error"]) == ("failed", "ValueError: no")
    assert (found["queue"], found["log"]) == ("mail", ["line one", "line two"])
    assert found["traceback"] == "a.py:7:in `f'"
    assert "line two" in found["text"] and f"gresque failed show {job_id}" in found["text"]


def test_nothing_is_known(
    redis_url: str, redis_client: redis.Redis, store: Store,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store.enqueuer.push("mail", [job(number)[1] for number in range(30)])
    assert run(["job", "0f", "--redis", redis_url]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gresque: nothing is known of job 0f: looked at all jobs in flight")
    assert "at 30 waiting or failed jobs" in line and "there are more" not in line
    monkeypatch.setattr(job_search, "MOST_LOOKED_AT", 10)
    status = gresque.Client(redis_url).status("0f", search=True)
    assert status.state == "unknown"
    assert status.note.endswith(
        "10 waiting or failed jobs; there are more, so it may be among those"
    )
