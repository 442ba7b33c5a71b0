"""Every command with two shards, each on a server of its own, and with one of them stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import click
import pytest

from gresque.cli import stores as cli_stores
from gresque.cli.main import gresque
from gresque.client.client import Client
from gresque.control.schedules import of
from gresque.jobs import payload
from gresque.jobs.attempts import failed_attempt
from gresque.jobs.ids import new_id
from gresque.store.later_job import LaterJob
from gresque.store.ledger import write_entry
from gresque.store.store import Store
from tests.support.cli import PROCESS, Call, fail, items, register
from tests.support.server import OwnServer

ASKS_ALL = """
    audit | cron list | cron next x | cron pause x | cron remove x | cron resume x | cron run x
    | cron skip x | delayed cancel ID | delayed list | delayed move ID --in 5 | delayed run ID
    | failed clear | failed groups | failed list | failed remove ID | failed retry ID
    | failed show ID | job ID | kill ID | ledger | limit mail 5 --per-shard | limits | locks list
    | locks release x | mark deploy | pause mail | process continue vm | process drain vm
    | process pause vm | process recycle vm | queues clear mail --yes | queues list
    | queues move mail low --yes | queues peek mail | queues show mail | retries cancel ID
    | retries list | retries now ID | running groups | running list | stacks | stats | status
    | unpause mail | workers list
"""
"""Each as it is called here. A command that is not among these has its reason below."""
ASKS_FOR_ONE = {"workers prune": ["workers", "prune", "vm:1:mail"]}
OTHERS = {
    "work": "serves shards by processes", "demo": "has a server of its own",
    "enqueue": "places jobs by the client", "web": "a program", "web hash": "no Redis",
    "web token": "no Redis", "top": "in test_top_shards", "check": "looks at every shard by itself",
    "supervisor-config": "no Redis", "cron check": "no Redis",
    "shards": "is about them", "shards list": "is about them", "shards move": "is about them",
}  # fmt: skip
CALLS = {" ".join(call.split()): call.split() for call in ASKS_ALL.split("|")}


def commands(group: click.Group = gresque, *before: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, *before, name)
        if not isinstance(found, click.Group) or found.invoke_without_command:
            yield " ".join((*before, name))


def test_every_command_has_its_place_in_the_table() -> None:
    all_of_them = {*commands()}
    called = {
        name
        for name in all_of_them
        for call in CALLS.values()
        if call[: len(name.split())] == name.split()
    }
    others = {*OTHERS, *ASKS_FOR_ONE}
    assert called | others >= all_of_them, all_of_them - called - others
    assert not called & others
    assert len(CALLS) == len(called)


@pytest.fixture
def shards(
    redis_url: str, own: OwnServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Store]]:
    """Two shards, a and b; `call` finds them in the environment. Each may be slow on a busy
    machine, unless a test stops one."""
    monkeypatch.setattr(cli_stores, "ANSWER_SECONDS", 30.0)
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("REDIS_URLS", f"a={redis_url} b={own.url}")
    with closing(Store(redis_url, "resque")) as a, closing(Store(own.url, "resque")) as b:
        yield {"a": a, "b": b}


def job(number: int, job_id: str | None = None) -> bytes:
    return payload.encode("t.job", (number,), {}, job_id or new_id())


class TestWithAll:
    def test_queues(self, call: Call, shards: dict[str, Store]) -> None:
        for name, queue, count in (("a", "mail", 2), ("b", "mail", 3), ("b", "web", 1)):
            shards[name].enqueuer.push(queue, [job(n) for n in range(count)])
        assert call("queues") == (0, "QUEUE  SIZE\nmail      5\nweb       1\ntotal     6\n", "")
        assert json.loads(call("queues", "--json").out)[0] == {
            "name": "mail", "size": 5, "policy": None,
        }  # fmt: skip
        assert call("queues", "--shard", "a").out == "QUEUE  SIZE\nmail      2\ntotal     2\n"
        assert (
            call("queues", "--shard", "1", "--json").out
            == call("queues", "--json", "--redis", shards["b"].server.url).out
        )
        assert "waiting                 5\n" in call("queues", "show", "mail").out

    def test_peek_is_merged_by_time(self, call: Call, shards: dict[str, Store]) -> None:
        now = int(time.time() * 1000)
        for number in range(6):
            made = now - 60_000 + 1000 * number
            job_id = f"{made:012x}7{number:03x}8{'0' * 15}"
            shards["ab"[number % 2]].enqueuer.push("mail", [job(number, job_id)])
        found = json.loads(call("queues", "peek", "mail", "--offset", "1", "-n", "3", "--json").out)
        assert [(row["shard"], row["args"]) for row in found] == [
            ("b", [1]),
            ("a", [2]),
            ("b", [3]),
        ]
        lines = call("queues", "peek", "mail", "-n", "2").out.splitlines()
        assert lines[0].startswith("SHARD  POSITION  JOB ID")
        assert [line.split()[0] for line in lines[1:]] == ["a", "b"]

    def test_clear_and_move(self, call: Call, shards: dict[str, Store]) -> None:
        for store in shards.values():
            store.enqueuer.push("mail", [job(n) for n in range(3)])
        assert call("queues", "move", "mail", "low", "-n", "4", "--yes").out == "4 jobs moved\n"
        assert [len(items(store.redis, "low")) for store in shards.values()] == [3, 1]
        assert call("queues", "clear", "low", "--yes").out == "4 jobs removed\n"
        assert call("queues", "clear", "mail", "--yes", "--shard", "a").out == "0 jobs removed\n"
        assert [len(items(store.redis)) for store in shards.values()] == [0, 2]

    def test_workers_and_jobs_that_run(self, call: Call, shards: dict[str, Store]) -> None:
        register(shards["a"].redis, held=1)
        register(shards["b"].redis, held=2)
        (worker,) = json.loads(call("workers", "--json").out)
        assert (worker["held"], len(worker["processes"])) == (3, 2)
        found = json.loads(call("running", "--json").out)
        assert [row["shard"] for row in found] == ["a", "b", "b"]
        assert [row["shard"] for row in json.loads(call("running", "--json", "-n", "9").out)] == []
        (group,) = json.loads(call("running", "groups", "--json").out)
        assert (group["job_class"], group["count"]) == ("Greet", 3)
        found = json.loads(call("ledger", "--json").out)
        assert [(row["shard"], row["held"]) for row in found] == [("a", 1), ("b", 2)]
        assert call("ledger").out.splitlines()[-1].startswith("2 processes: reserved 0")
        stats = json.loads(call("stats", "--json").out)
        assert (stats["in_flight"], stats["workers"], stats["missing_shards"]) == (3, 2, {})
        assert json.loads(call("job", "--json", "id1").out)["shard"] == "b"

    def test_kill_by_id_and_by_what_they_are(self, call: Call, shards: dict[str, Store]) -> None:
        for number, store in enumerate(shards.values()):
            register(store.redis)
            entry = write_entry(b"resque:queue:mail", job(number, f"{number:024x}deadbeef"))
            store.redis.hset(f"resque:ledger:{PROCESS}", "0", entry)
        code, _, err = call("kill", "deadbeef")
        assert (code, err.startswith("gresque: the ids of 2 running jobs end with")) == (2, True)
        asked = json.loads(call("kill", f"{1:024x}deadbeef", "--wait", "0", "--json").out)
        assert [row["id"] for row in asked] == [f"{1:024x}deadbeef"]
        commands = [store.redis.exists(f"resque:commands:{PROCESS}") for store in shards.values()]
        assert commands == [0, 1]
        done = call("kill", "--class", "t.job", "--wait", "0", "--yes", "--json")
        assert (done.code, len(json.loads(done.out))) == (0, 2)
        assert call("kill", f"{1:024x}deadbeef", "0f", "--wait", "0").code == 1
        assert call("kill", "0f").code == 2

    def test_failed_jobs(self, call: Call, shards: dict[str, Store]) -> None:
        fail(shards["a"].redis, 1, 2)
        fail(shards["b"].redis, 3)
        lines = call("failed").out.splitlines()
        assert lines[0].startswith("INDEX  FAILED AT")
        assert sorted(line.split()[0] for line in lines[1:]) == ["a:0", "a:1", "b:0"]
        assert json.loads(call("failed", "groups", "--json").out)[0]["count"] == 3
        assert "error 3" in call("failed", "show", "b:0").out
        shown = json.loads(call("failed", "show", f"{2:032x}", "--json").out)
        assert (shown["shard"], shown["index"]) == ("a", 1)
        assert call("failed", "show", "0").err == (
            "gresque: each shard has indexes of its own; name the job as the list does: a:0\n"
        )
        assert "no failed job has the index 9" in call("failed", "show", "a:9").err
        assert "no failed job has the id x" in call("failed", "show", "x").err
        assert call("failed", "retry", "b:0", f"{1:032x}").out == "2 failed jobs retried\n"
        assert [len(items(store.redis, "q")) for store in shards.values()] == [1, 1]
        assert call("failed", "retry", "--all", "--yes") == (
            0, "1 failed job retried\n", "2 retried before, left alone\n"
        )  # fmt: skip
        assert call("failed", "remove", "b:0").out == "1 failed job removed\n"
        assert (
            call("failed", "remove", "--class", "Greet", "--yes").out == "2 failed jobs removed\n"
        )
        fail(shards["a"].redis, 6)
        shards["b"].redis.rpush("resque:failed", '{"payload":7}')
        answer = call("failed", "retry", "a:0", "b:0")
        assert (answer.code, answer.out) == (2, "")
        assert "cannot be retried" in answer.err
        assert len(items(shards["a"].redis, "q")) == 2, "nothing is done on the other shard"
        assert call("failed", "clear", "--all", "--yes").out == "2 failed jobs removed\n"
        fail(shards["b"].redis, 4, 5)
        assert call("failed", "clear", "--all", "--yes").out == "2 failed jobs removed\n"

    def test_jobs_that_wait_for_their_time(self, call: Call, shards: dict[str, Store]) -> None:
        ids = [
            str(Client(store.server.url).options("t.job", queue="mail", in_=60 - n).enqueue(n))
            for n, store in enumerate(shards.values())
        ]
        found = json.loads(call("delayed", "--json").out)
        assert [(row["shard"], row["id"]) for row in found] == [("b", ids[1]), ("a", ids[0])]
        assert "(wait for their time)     2" in call("queues").out
        assert call("delayed", "run", *ids).code == 0
        assert [len(items(store.redis)) for store in shards.values()] == [1, 1]
        assert call("delayed", "run", ids[0]).code == 2

    def test_retries(self, call: Call, shards: dict[str, Store]) -> None:
        for number, store in enumerate(shards.values()):
            for each in range(2):
                failed = failed_attempt(job(each), "ValueError", "no", time.time(), 60)
                assert failed is not None
                job_id = f"{number}{each}".zfill(32)
                entry = LaterJob("", 0, "mail", failed).entry(store.keys)
                due = time.time() + 60 - 10 * number - each
                store.redis.hset(store.keys.later_jobs, job_id, entry)
                store.redis.zadd(store.keys.later, {job_id: int(due * 1000)})
        found = json.loads(call("retries", "--json").out)
        assert [row["shard"] for row in found] == ["b", "b", "a", "a"]
        assert call("retries", "now", found[0]["id"], found[3]["id"][-8:]).out == "2 jobs run now\n"
        assert [len(items(store.redis)) for store in shards.values()] == [1, 1]
        assert call("retries", "cancel", "--all", "--yes").out == "2 jobs cancelled\n"
        assert call("retries").out == "no job waits to run again\n"

    def test_schedules(self, call: Call, shards: dict[str, Store]) -> None:
        for name, entry in (("a", "both"), ("b", "both"), ("b", "other")):
            of(shards[name]).set(entry, every="2h", job="A", queue="q")
        found = json.loads(call("cron", "--json").out)
        assert [(row["shard"], row["name"]) for row in found] == [
            ("a", "both"), ("b", "both"), ("b", "other"),
        ]  # fmt: skip
        assert call("cron", "run", "both", "other").code == 0
        assert [len(items(store.redis, "q")) for store in shards.values()] == [1, 1]
        assert call("cron", "pause", "both").out == "both: paused\n"
        assert [row["paused"] for row in json.loads(call("cron", "--json").out)] == [
            True, True, False,
        ]  # fmt: skip
        assert len(call("cron", "next", "other", "--count", "3").out.splitlines()) == 3
        assert call("cron", "remove", "both").out == "both: removed\n"
        assert "no schedule entry" in call("cron", "run", "both").err.lower()

    def test_locks(self, call: Call, shards: dict[str, Store]) -> None:
        for number, store in enumerate(shards.values()):
            since = int(store.now() * 1000) - 90_000 * (number + 1)
            held = {
                "class": "Sync", "queue": "a", "id": f"{number:032x}", "mode": "queued",
                "since": str(since), "key": f"Sync [{number}]",
            }  # fmt: skip
            store.redis.hset(f"resque:unique:{number:032x}", mapping=held)
        assert [row["shard"] for row in json.loads(call("locks", "--json").out)] == ["b", "a"]
        assert call("locks", "release", "Sync [1]").out.startswith("released Sync [1]")
        assert [row["shard"] for row in json.loads(call("locks", "--json").out)] == ["a"]

    def test_what_changes_all_shards(self, call: Call, shards: dict[str, Store]) -> None:
        for store in shards.values():
            store.enqueuer.push("mail", [b"{}"])
        assert call("pause", "mail") == (0, "mail: paused; 2 jobs wait\n", "")
        assert all(store.policies.read().policy("mail").paused for store in shards.values())
        assert call("pause", "mail").out == "mail: was paused already; 2 jobs wait\n"
        call("unpause", "mail", "--shard", "b")
        assert call("queues").out.splitlines()[1] == "mail      2  a: paused"
        assert call("unpause", "mail").out == "mail: unpaused; 2 jobs wait\n"
        assert call("limit", "mail", "5", "--per-shard").out == (
            "mail: at most 5 jobs at once, on each of 2 shards\n"
        )
        assert call("limits").out.splitlines() == [
            "SHARD  QUEUE  PAUSED  CAP  IN FLIGHT  RATE  BURST  NEXT START  WAITING",
            "a      mail   -         5          0  -     -      -                 1",
            "b      mail   -         5          0  -     -      -                 1",
        ]
        assert [row["shard"] for row in json.loads(call("limits", "--json").out)["queues"]] == [
            "a", "b",
        ]  # fmt: skip
        assert call("mark", "deploy").out == "marked\n"
        found = json.loads(call("audit", "--search", "limit", "--json").out)
        assert sorted(row["shard"] for row in found) == ["a", "b"]

    def test_jobs_by_the_ends_of_their_ids(self, call: Call, shards: dict[str, Store]) -> None:
        ids = [f"{'0' * 20}{number:x}00deadbeef" for number in (1, 2)]
        ids = [each.zfill(32) for each in ids]
        for each, store in zip(ids, shards.values(), strict=True):
            store.enqueuer.push("mail", [job(1, each)])
        code, _, err = call("job", "deadbeef")
        assert code == 2
        assert err.startswith("gresque: the ids of 2 jobs end with deadbeef; give one of these: ")
        assert all(each in err for each in ids)
        assert json.loads(call("job", ids[1][-12:], "--json").out)["shard"] == "b"
        assert call("job", "ffffffff").code == 1
        assert call("job", "").code == 2


def test_every_command_with_one_that_is_away(
    call: Call, shards: dict[str, Store], own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gresque.cli.status.BETWEEN_SECONDS", 0.01)
    own.kill()
    wrong: dict[str, Any] = {}
    for name, words in CALLS.items():
        code, out, err = call(*words)
        if "shard b does not answer" not in out + err or code not in (0, 1, 2):
            wrong[name] = code, out, err
    assert wrong == {}


@pytest.mark.parametrize("words", ASKS_FOR_ONE.values(), ids=ASKS_FOR_ONE)
def test_commands_for_one_shard(call: Call, shards: dict[str, Store], words: list[str]) -> None:
    assert call(*words) == (
        2, "", "gresque: this is done on one shard at a time; say which: --shard a or --shard b\n"
    )  # fmt: skip
    assert "one shard at a time" not in call(*words, "--yes", "--shard", "a").err


def test_a_command_asks_for_less_than_two_seconds() -> None:
    """It takes 0.4 s to come up: so it has said what the others say within 2.5 s."""
    assert cli_stores.ANSWER_SECONDS <= 1.5


class TestWithOneStopped:
    def test_queues(
        self, call: Call, shards: dict[str, Store], own: OwnServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(cli_stores, "ANSWER_SECONDS", 2.5)  # the other may be slow
        shards["a"].enqueuer.push("mail", [b"{}"])
        own.stop()
        began = time.monotonic()
        code, out, err = call("queues")
        assert time.monotonic() - began < 10
        assert (code, out) == (0, "QUEUE  SIZE\nmail      1\ntotal     1\n")
        assert err.startswith(
            "shard b does not answer, its numbers are missing: no answer from Redis at "
            f"{own.socket} "
        )
        assert err.count("\n") == 1

    def test_a_change(
        self, call: Call, shards: dict[str, Store], own: OwnServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(cli_stores, "ANSWER_SECONDS", 2.5)
        shards["a"].enqueuer.push("mail", [b"{}"])
        own.stop()
        code, out, err = call("queues", "clear", "mail", "--yes")
        assert (code, out) == (1, "1 job removed\n")
        assert err.startswith("shard b does not answer, nothing more is changed there: ")
        assert f"no answer from Redis at {own.socket} " in err

    def test_commands_that_look_say_what_is_missing(
        self, call: Call, shards: dict[str, Store], own: OwnServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        own.kill()
        monkeypatch.setattr("gresque.cli.status.BETWEEN_SECONDS", 0.01)
        found = json.loads(call("stats", "--json").out)
        assert [*found["missing_shards"]] == ["b"]
        code, out, err = call("status", "--json")
        (finding,) = json.loads(out)["findings"]
        assert (code, finding["kind"], err) == (1, "shard_away", "")
        assert finding["message"].startswith("shard b does not answer, its numbers are missing: ")

    def test_commands_that_change_change_the_others(
        self, call: Call, shards: dict[str, Store], own: OwnServer
    ) -> None:
        own.kill()
        shards["a"].enqueuer.push("mail", [b"{}"])
        code, out, err = call("pause", "mail")
        assert (code, out) == (1, "mail: paused; 1 job waits\n")
        assert err.startswith("shard b does not answer, nothing more is changed there: ")
        assert call("queues", "clear", "mail", "--yes")[:2] == (1, "1 job removed\n")
        assert call("unpause", "mail", "--shard", "a").code == 0
        assert call("failed", "show", "b:3").err.endswith("its shard does not answer\n")

    def test_all_are_away(
        self, call: Call, own: OwnServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REDIS_URL")
        monkeypatch.setenv("REDIS_URLS", f"a=redis://127.0.0.1:1 b={own.url}")
        own.kill()
        code, out, err = call("queues")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("gresque: no shard answers; the last one asked, b: no answer from")
        assert call("queues", "--shard", "c").err == "gresque: no shard 'c'; there are a, b\n"


def test_one_server_that_hangs(call: Call, own: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_stores, "LOOK_SECONDS", 0.2)
    monkeypatch.setenv("REDIS_URL", own.url)
    own.stop()
    code, out, err = call("queues")
    assert (code, out) == (1, "")
    assert err.startswith(f"gresque: no answer from Redis at {own.socket} (")
    assert err.endswith("it hangs, or is busy\n")


def test_status_of_two_shards(
    call: Call, shards: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gresque.cli.status.BETWEEN_SECONDS", 0.01)
    for store in shards.values():
        store.enqueuer.push("mail", [b"{}"])
        register(store.redis, held=1)
    shards["b"].policies.pause_all()
    out = call("status").out
    assert "waiting  2 jobs in 1 queue" in out
    assert "running  2 jobs in 2 processes of 1 worker" in out
    assert "shard b: " in out and "gresque unpause --all --shard b" in out
    found = json.loads(call("status", "--json").out)
    assert found["totals"]["queues"] == {"mail": 2}
    assert found["flow"]["all_paused"] is True
    assert PROCESS.startswith("vm")
