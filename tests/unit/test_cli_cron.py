"""`gresque cron`, as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import redis

import gresque
from gresque.schedule.entry import Entry
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store
from tests.support.cli import Call


@pytest.fixture(autouse=True)
def _configured(redis_url: str) -> None:
    gresque.configure(redis_url)


def test_list(call: Call, store: Store) -> None:
    assert call("cron") == (0, "nothing is scheduled\n", "")
    assert json.loads(call("cron", "--json").out) == []
    gresque.schedules.set("hourly", every="2h", job="A", queue="q", overlap="skip")
    gresque.schedules.set("nightly", cron="30 2 * * * Europe/Berlin", job="B", queue="q", args=[1])
    gresque.schedules.set("off", every=60, job="A", queue="q", enabled=False)
    gresque.schedules.pause("nightly")
    store.cron.put([Change("wrong", b"", b"{}", 5)])
    out = call("cron", "list").out
    rows = [re.split(r"  +", line) for line in out.splitlines()]
    assert rows[0] == ["NAME", "SCHEDULE", "NEXT IN", "LAST RAN", "OVERLAP", "QUEUE", "JOB"]
    assert rows[1][:2] == ["hourly", "every 2h"] and rows[1][3:] == ["-", "skip", "q", "A"]
    assert rows[2] == ["nightly", "30 2 * * * Europe/Berlin", "paused", "-", "-", "q", "B"]
    assert rows[3] == ["off", "every 1m", "off", "-", "-", "q", "A"]
    assert rows[4][2] == "cannot run" and rows[4][-1].startswith("it cannot be read")
    found = {each["name"]: each for each in json.loads(call("cron", "list", "--json").out)}
    assert found["nightly"]["paused"] and found["nightly"]["args"] == [1]
    assert found["hourly"]["next"].endswith("+00:00")


def test_next(call: Call) -> None:
    gresque.schedules.set("a", cron="30 2 * * * Europe/Berlin", job="B", queue="q")
    lines = call("cron", "next", "a").out.splitlines()
    assert len(lines) == 10
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d 0[23]:\d\d:00\+0[12]:00", line) for line in lines)
    assert len(json.loads(call("cron", "next", "a", "--count", "3", "--json").out)) == 3


def test_run_pause_resume_remove(call: Call, store: Store) -> None:
    gresque.schedules.set("a", every=60, job="A", queue="q")
    (job,) = re.findall("a: job ([0-9a-f]{32}) is enqueued\n", call("cron", "run", "a").out)
    assert json.loads(store.queues.peek("q", 0, 1)[0])["id"] == job
    gresque.schedules.set("b", every=60, job="A", queue="q", overlap="skip")
    (job,) = re.findall("b: job ([0-9a-f]{32}) is enqueued\n", call("cron", "run", "b").out)
    again = call("cron", "run", "b").out
    assert again == f"b: job {job} has not ended, so none is enqueued (overlap=skip)\n"
    assert call("cron", "pause", "a").out == "a: paused\n"
    assert call("cron", "pause", "a").out == "a: was paused already\n"
    assert call("cron", "resume", "a").out.startswith("a: its next time is 2")
    assert call("cron", "resume", "a").out == "a: was not paused\n"
    assert call("cron", "remove", "a").out == "a: removed\n"
    assert call("cron", "remove", "a") == (
        2, "", "gresque: no schedule entry is named 'a'; gresque cron list shows all\n",
    )  # fmt: skip


def test_skip(call: Call) -> None:
    gresque.schedules.set("a", cron="0 9 * * * Europe/Berlin", job="A", queue="q")
    first = gresque.schedules.next("a", 1)[0]
    assert call("cron", "skip", "a").out == f"a: does not run at {first.isoformat(' ')}\n"
    assert gresque.schedules.next("a", 1)[0] > first
    gresque.schedules.pause("a")
    assert call("cron", "skip", "a").out == "a: has no next time\n"


def test_removing_what_code_declares(call: Call, store: Store) -> None:
    entry = Entry(name="a", every=60.0, job="A", queue="q", source="code", app="myapp.jobs")
    store.cron.put([Change("a", b"", entry.to_json(), 5)])
    out = call("cron", "remove", "a").out
    assert out.startswith("a: removed; myapp.jobs declares it, and a worker of that ")


def test_check(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "cron.yml"
    file.write_text(
        "nightly:\n  cron: '30 2 * * * Europe/Berlin'\n  queue: q\n"
        "often:\n  every: 15m\n  class: A\n  queue: q\n"
        "else:\n  every: 1h\n  queue: q\n  rails_env: production\n"
    )
    code, out, err = call("cron", "check", str(file))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "nightly", "often"]
    assert "line 8: entry 'else' is for the environment production, and this is none" in err
    assert "warning: schedule entry nightly (30 2 * * * Europe/Berlin): on 2" in err
    report = json.loads(call("cron", "check", str(file), "--json").out)
    assert [each["name"] for each in report["entries"]] == ["nightly", "often"]
    file.write_text("nightly:\n  cron: '61 2 * * *'\n  queue: q\n")
    code, out, err = call("cron", "check", str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"gresque: {file}, line 1: entry 'nightly': the cron line '61 2 * * *'")
    assert err.count("\n") == 1


def test_a_wrong_redis(call: Call) -> None:
    code, out, err = call("cron", "--redis", "redis://127.0.0.1:1/0")
    assert (code, out) == (1, "") and err.count("\n") == 1


def test_info_counts_them(redis_client: redis.Redis) -> None:
    gresque.schedules.set("a", every=60, job="A", queue="q")
    assert gresque.info()["schedules"] == 1
