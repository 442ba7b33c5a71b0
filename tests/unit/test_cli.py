"""The commands that look and mend, as a user calls them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from gresque.cli.main import run
from gresque.cli.output import compact, table
from gresque.clock import iso_8601
from gresque.connection.urls import mask
from gresque.failure.entry import encode_entry
from gresque.inspector.running import RunningJob
from gresque.inspector.workers import WorkerStatus
from gresque.store.commands import Blocking, Running
from gresque.store.store import Store
from gresque.text import printable
from tests.support.programs import GRESQUE, PATCHED, PLAIN, stem

ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b[2J"
WORKER = "vm:10:mail,bulk:2:4:100"
PROCESS = f"{WORKER}:11:1795485960660"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


class Terminal(io.TextIOWrapper):
    """A stdin that somebody types on."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def call(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run `gresque …` in this process, against the test's Redis."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    def call(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Answer:
        kind = Terminal if terminal else io.TextIOWrapper
        monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(stdin)))
        code = run(list(arguments))
        return Answer(code, *capsys.readouterr())

    return call


def items(client: redis.Redis, queue: str = "mail") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in client.lrange(f"resque:queue:{queue}", 0, -1)]


def fail(client: redis.Redis, *numbers: int, retried: bool = False) -> None:
    for number in numbers:
        item = {"class": "Greet", "args": [number], "id": f"{number:032x}", "generation": 1}
        raw = encode_entry(
            json.dumps(item).encode(), "ValueError", f"error {number}", ["a.py:1:in `f'"], "w", "q"
        )
        mark = b',"retried_at":"2026/11/23 15:33:36"}' if retried else b"}"
        client.rpush("resque:failed", raw[:-1] + mark)


def failed(client: redis.Redis) -> list[int]:
    entries = client.lrange("resque:failed", 0, -1)
    return [json.loads(raw)["payload"]["args"][0] for raw in entries]


class TestEnqueue:
    def test_a_job(self, call: Call, redis_client: redis.Redis) -> None:
        given = ["42", '"text"', '{"a":1}', "null", "-1", "[1.5]"]
        code, out, err = call("enqueue", "mail", "Greet", *given, "--kwargs", '{"b": true}')
        (item,) = items(redis_client)
        assert (code, out, err) == (0, f"{item['id']}\n", "")
        assert len(item["id"]) == 32
        assert item == {
            "class": "Greet",
            "args": [42, "text", {"a": 1}, None, -1, [1.5], {"b": True, "_kwargs": True}],
            "id": item["id"], "generation": 1,
        }  # fmt: skip
        assert redis_client.smembers("resque:queues") == {b"mail"}

    def test_namespace_and_redis_are_flags(
        self, call: Call, redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_URL", "redis://localhost:1")
        assert call("enqueue", "q", "A", "--redis", redis_url, "--namespace", "mine").code == 0
        assert redis_client.llen("mine:queue:q") == 1

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["q", "A", "text"], """argument text is not JSON; for a text write '"text"'"""),
            (["q", "A", "two words"], """for a text write '"two words"'"""),
            (["q", "A", 'say "x"'], r"""for a text write '"say \"x\""'"""),
            (["q", "A", ""], """argument '' is not JSON; for a text write '""'"""),
            (["q", "A", "NaN"], "argument NaN is not JSON"),
            (
                ["q", "A", ESCAPE],
                r"""argument '\x1b[2J' is not JSON; for a text write '"\u001b[2J"'""",
            ),
            (["q", "A", "\udcff"], r"argument \xff is not UTF-8"),
            (["q", "A", "1", "--kwarg", "2"], "no such option: --kwarg"),
            (["q", "A", "-", "1"], "- reads the jobs from stdin and must be the only argument"),
            (["q", "A", "--kwargs", "[1]"], "--kwargs [1] is not a JSON object"),
            (["q", "A", "--kwargs", "x"], "--kwargs x is not a JSON object"),
            (["", "A"], "QUEUE is empty"),
            (["q", ""], "CLASS is empty"),
            (["\udcff", "A"], r"QUEUE \xff is not UTF-8"),
            (["q"], "Missing argument 'CLASS'"),
            (["q", "A", "x" * 5_000], """xxx… is not JSON; a text is written '"text"'"""),
            (["q", "A", f'"{"x" * 9_000_000}"'], "the limit is 8,388,608"),
        ],
    )
    def test_wrong_input_is_one_line(
        self, call: Call, redis_client: redis.Redis, arguments: list[str], told: str
    ) -> None:
        code, out, err = call("enqueue", *arguments)
        assert (code, out) == (2, "")
        assert told in err
        assert err.startswith("gresque: ")
        assert err.count("\n") == 1
        assert redis_client.keys("*") == []


class TestEnqueueStream:
    def test_lines(self, call: Call, redis_client: redis.Redis) -> None:
        stdin = b'[1, "x"]\n\n{"user_id": 2}\r\n  \n[]'
        assert call("enqueue", "mail", "Greet", "-", stdin=stdin) == (0, "3 jobs enqueued\n", "")
        found = items(redis_client)
        assert [item["args"] for item in found] == [
            [1, "x"],
            [{"user_id": 2, "_kwargs": True}],
            [],
        ]
        assert len({item["id"] for item in found}) == 3

    def test_kwargs_go_with_every_line(self, call: Call, redis_client: redis.Redis) -> None:
        stdin = b'[1]\n{"b": 3}\n'
        call("enqueue", "mail", "Greet", "-", "--kwargs", '{"a": 1, "b": 2}', stdin=stdin)
        assert [item["args"] for item in items(redis_client)] == [
            [1, {"a": 1, "b": 2, "_kwargs": True}],
            [{"a": 1, "b": 3, "_kwargs": True}],
        ]

    def test_many(self, call: Call, redis_client: redis.Redis) -> None:
        lines = b"".join(b"[%d]\n" % n for n in range(2_500))
        assert call("enqueue", "mail", "Greet", "-", stdin=lines).out == "2,500 jobs enqueued\n"
        assert [item["args"][0] for item in items(redis_client)] == list(range(2_500))

    def test_nothing(self, call: Call, redis_client: redis.Redis) -> None:
        assert call("enqueue", "mail", "Greet", "-").out == "0 jobs enqueued\n"
        assert redis_client.keys("*") == []

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            (b"7", "not a JSON array of arguments or object of keyword arguments: 7"),
            (b"[1", "keyword arguments: [1"),
            (b'["\xff"]', r'keyword arguments: ["\xff"]'),
            (b'["\x1b[2J', r"\x1b[2J"),
            (b'["' + b"x" * 9_000_000 + b'"]', "it is longer than the 8,388,608 bytes"),
            (b'["' + b"x" * 8_388_600 + b'"]\n', "the limit is 8,388,608"),
        ],
    )
    def test_a_wrong_line_ends_it(
        self, call: Call, redis_client: redis.Redis, line: bytes, told: str
    ) -> None:
        before = b"".join(b"[%d]\n\n" % n for n in range(1_200))
        code, out, err = call("enqueue", "mail", "Greet", "-", stdin=before + line + b"\n[9]\n")
        assert (code, out) == (2, "")
        assert err.startswith("gresque: line 2,401: ")
        assert err.endswith("; 1,200 jobs before it enqueued, to stay\n")
        assert told in err
        assert redis_client.llen("resque:queue:mail") == 1_200


class TestQueues:
    def test_none(self, call: Call) -> None:
        assert call("queues") == (0, "no queues\n", "")
        assert json.loads(call("queues", "--json").out) == []

    def test_sizes(self, call: Call, store: Store) -> None:
        store.queues.push("small", b"{}")
        assert sum(store.queues.push_many("Big", [b"{}"] * 1_234)) == 1_234
        assert call("queues").out == ("QUEUE   SIZE\nBig    1,234\nsmall      1\ntotal  1,235\n")
        assert json.loads(call("queues", "--json").out) == [
            {"name": "Big", "size": 1_234},
            {"name": "small", "size": 1},
        ]

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.sadd("resque:queues", b"\xff", ESCAPE, "no list", "queue\u202eabc")
        redis_client.set("resque:queue:no list", "x")
        redis_client.rpush(b"resque:queue:\xff", "x")
        out = call("queues").out
        assert out.replace("\n", "").isprintable()
        assert [line.rsplit(None, 1) for line in out.splitlines()[1:]] == [
            [r"\x1b[2J", "0"], ["no list", "0"], [r"queue\u202eabc", "0"], [r"\xff", "1"],
            ["total", "1"],
        ]  # fmt: skip
        assert len(json.loads(call("queues", "--json").out)) == 4


def register(client: redis.Redis, held: int = 0) -> None:
    """A worker with one process, as the worker itself registers."""
    client.sadd("resque:workers", WORKER)
    client.set(f"resque:worker:{WORKER}:started", "2026-11-23 15:33:10 +0000")
    seconds = int(client.time()[0]) - 5
    client.hset("resque:workers:heartbeat", WORKER, iso_8601(seconds))
    client.zadd("resque:ledgers", {PROCESS: seconds * 1000})
    client.hset(f"resque:ledger:{PROCESS}", "state", "1 0 0 0 0")
    for slot in range(held):
        args = [slot, {"a": 1, "_kwargs": True}]
        raw = json.dumps({"class": "Greet", "args": args, "id": f"id{slot}"})
        client.hset(f"resque:ledger:{PROCESS}", str(slot), f"17:resque:queue:mail{raw}")
    client.mset({f"resque:stat:processed:{WORKER}": 9, f"resque:stat:failed:{WORKER}": 2})


def odd_workers(client: redis.Redis) -> None:
    """What other programs, or none, may leave behind."""
    client.sadd("resque:workers", "vm:26136:bench", b"vm:1:\xff", ESCAPE, "", "a:b:c:d:e:f")
    client.hset("resque:workers:heartbeat", "vm:26136:bench", "nonsense")
    client.hset("resque:workers:heartbeat", b"vm:1:\xff", "2026-11-23 15:35:47")
    client.set(b"resque:worker:vm:1:\xff:started", b"\xff" + ESCAPE.encode())
    client.rpush("resque:stat:processed:vm:26136:bench", "x")
    client.zadd("resque:ledgers", {"odd": 5, b"\xff:1:2": 7, "text:1:2": 1e300, "w:x:y": 1})
    client.hset("resque:ledger:odd", mapping={"state": "x", "1": "no colon"})
    client.set("resque:ledger:text:1:2", "x")
    client.hset(
        "resque:ledger:w:x:y",
        mapping={
            "0": b'14:resque:queue:\xff{"class":["x"],"args":3,"id":{},"kwargs":[1]}',
            "1": b"17:resque:queue:mail\xff" + ESCAPE.encode(),
        },
    )
    client.set("resque:running:w:x:y", "[1]")
    client.set("resque:running:odd", '{"1":"x"}')


class TestWorkers:
    def test_none(self, call: Call) -> None:
        assert call("workers") == (0, "no workers\n", "")
        assert json.loads(call("workers", "--json").out) == []

    def test_status(self, store: Store, redis_client: redis.Redis) -> None:
        register(redis_client, held=3)
        (worker,) = WorkerStatus.all(store)
        assert worker.name is not None
        assert (worker.name.master_pid, worker.name.queues) == (10, "mail,bulk")
        assert (worker.registered, worker.started) == (True, "2026-11-23 15:33:10 +0000")
        assert (worker.held, worker.processed, worker.failed) == (3, 9, 2)
        assert worker.heartbeat_age_seconds is not None
        assert 5 <= worker.heartbeat_age_seconds < 30
        (process,) = worker.processes
        assert (process.pid, process.held) == (11, 3)
        assert 5 <= process.beat_age_seconds < 30

    def test_one_that_left_its_jobs_behind_is_listed(
        self, call: Call, store: Store, redis_client: redis.Redis
    ) -> None:
        register(redis_client, held=1)
        store.workers.unregister(WORKER)
        assert store.workers.ids() == [WORKER], "a process has a ledger still"
        redis_client.srem("resque:workers", WORKER)
        redis_client.hdel("resque:workers:heartbeat", WORKER)
        (worker,) = WorkerStatus.all(store)
        assert (worker.registered, worker.held) == (False, 1)
        assert "-, gone" in call("workers").out

    @pytest.mark.parametrize("hours", [-5, 0, 5.5])
    def test_heartbeats_of_other_programs_are_in_their_local_time(
        self, store: Store, redis_client: redis.Redis, hours: float
    ) -> None:
        zone = timezone(timedelta(hours=hours))
        beat = datetime.fromtimestamp(int(redis_client.time()[0]) - 100, zone)
        redis_client.sadd("resque:workers", "ny:1:q")
        redis_client.hset("resque:workers:heartbeat", "ny:1:q", beat.isoformat())
        (worker,) = WorkerStatus.all(store)
        assert worker.heartbeat_age_seconds is not None
        assert 100 <= worker.heartbeat_age_seconds < 130

    def test_listing(self, call: Call, redis_client: redis.Redis) -> None:
        register(redis_client, held=2)
        titles, row = call("workers").out.splitlines()
        assert titles.split() == [
            "WORKER", "STARTED", "HEARTBEAT", "PROCESSES", "HOLDS", "PROCESSED", "FAILED"
        ]  # fmt: skip
        assert row.startswith(f"{WORKER}  2026-11-23 15:33:10 +0000  ")
        assert row.split()[-4:] == ["1", "2", "9", "2"]
        (found,) = json.loads(call("workers", "--json").out)
        assert found["id"] == WORKER
        assert found["name"]["thread_count"] == 4
        assert found["processes"][0]["held"] == 2

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        odd_workers(redis_client)
        out = call("workers").out
        assert "vm:26136:bench" in out and r"\x1b[2J" in out and r"vm:1:\xff" in out
        assert "\x1b" not in out
        assert {"vm:26136:bench", "w:x:y"} <= {
            row["id"] for row in json.loads(call("workers", "--json").out)
        }


class TestRunning:
    def test_none(self, call: Call) -> None:
        assert call("running") == (0, "no jobs are running\n", "")
        assert json.loads(call("running", "--json").out) == []

    def test_the_oldest_first(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        register(redis_client, held=3)
        now = store.now()
        blocking = Blocking("1", now - 3, ["jobs.py:7:in `spin'"])
        running = Running({"2": now - 90, "1": now - 5}, blocking)
        redis_client.set(f"resque:running:{PROCESS}", running.encode())
        jobs = RunningJob.all(store)
        assert [job.slot for job in jobs] == ["2", "1", "0"]
        assert [job.queue for job in jobs] == ["mail"] * 3
        assert jobs[0].seconds is not None and 90 <= jobs[0].seconds < 120
        assert (jobs[2].since, jobs[2].seconds) == (None, None)
        lines = call("running").out.splitlines()
        assert lines[1].split()[2:] == [
            "-",
            PROCESS,
            "2",
            "mail",
            "Greet",
            "id2",
            "[2]",
            '{"a":',
            "1}",
        ]
        assert lines[2].split()[2:5] == ["3.0", "s", PROCESS]
        assert lines[3].split()[:3] == ["-", "-", PROCESS]
        found = json.loads(call("running", "--json").out)
        assert [row["args"] for row in found] == [[2], [1], [0]]
        page = json.loads(call("running", "-n", "2", "--json").out)
        assert [row["id"] for row in page] == ["id1", "id2"]  # the one that blocks is first
        assert found[0]["class"] == "Greet"
        assert (found[0]["blocks_seconds"], found[0]["stack"]) == (None, None)
        assert 3 <= found[1]["blocks_seconds"] < 30
        assert found[1]["stack"] == ["jobs.py:7:in `spin'"]

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        odd_workers(redis_client)
        out = call("running").out
        assert r"\xff\x1b[2J" in out
        assert "\x1b" not in out
        assert len(json.loads(call("running", "--json").out)) == 3


def test_stats(call: Call, store: Store, redis_client: redis.Redis) -> None:
    register(redis_client, held=2)
    fail(redis_client, 1, 2, 3)
    store.queues.push("mail", b"{}")
    redis_client.mset({"resque:stat:processed": 1_234, "resque:stat:failed": 5})
    assert json.loads(call("stats", "--json").out) == {
        "processed": 1_234, "failed": 5, "pending": 1, "in_flight": 2, "queues": 1, "workers": 1,
        "processes": 1, "failed_list": 3,
    }  # fmt: skip
    assert call("stats").out.splitlines()[0] == "processed    1,234"


class TestFailedList:
    def test_none(self, call: Call) -> None:
        assert call("failed") == (0, "no failed jobs\n", "")
        assert json.loads(call("failed", "--json").out) == []

    def test_the_newest_first(self, call: Call, redis_client: redis.Redis) -> None:
        fail(redis_client, 0)
        fail(redis_client, 1, retried=True)
        titles, *rows = call("failed", "list").out.splitlines()
        assert titles.split("  ")[0] == "INDEX"
        assert rows[0].split()[0] == "1" and rows[1].split()[0] == "0"
        assert rows[0].split()[3:] == [
            "q", "Greet", f"{1:032x}", "yes", "ValueError", "error", "1"
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("arguments", "indexes"),
        [
            ([], list(range(29, 9, -1))),
            (["--count", "2"], [29, 28]),
            (["--offset", "28"], [1, 0]),
            (["--offset", "30"], []),
            (["--count", "0"], []),
        ],
    )
    def test_paging(
        self, call: Call, redis_client: redis.Redis, arguments: list[str], indexes: list[int]
    ) -> None:
        fail(redis_client, *range(30))
        found = json.loads(call("failed", *arguments, "--json").out)
        assert [row["index"] for row in found] == indexes
        assert all(row["payload"]["args"] == [row["index"]] for row in found)

    def test_more_than_a_page(self, call: Call, redis_client: redis.Redis) -> None:
        fail(redis_client, *range(1_100))
        assert len(json.loads(call("failed", "--count", "5000", "--json").out)) == 1_100
        lines = call("failed", "--count", "5000").out.splitlines()
        assert len(lines) == 1_101
        assert lines[-1].split()[0] == "0"

    def test_the_error_is_cut_to_the_terminal(
        self, call: Call, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        redis_client.rpush(
            "resque:failed",
            encode_entry(b'{"class":"A"}', "E", f"a\n  {ESCAPE} b {'x' * 500}", [], "w", "q"),
        )
        assert r"a \x1b[2J b xxx" in call("failed").out
        assert len(call("failed").out.splitlines()[1]) > 500
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
        line = call("failed").out.splitlines()[1]
        assert len(line) == 100 and line.endswith("x…")

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.rpush("resque:failed", b"\xff" + ESCAPE.encode(), "", "[1]", '{"a":1}')
        out = call("failed").out
        assert r"not an entry: \xff\x1b[2J" in out
        assert "\x1b" not in out
        assert json.loads(call("failed", "--json").out)[0] == {"index": 3, "a": 1}
        assert r"\xff\x1b[2J" in call("failed", "show", "0").out


class TestFailedShow:
    @pytest.mark.parametrize("target", ["1", f"{7:032x}"])
    def test_everything(self, call: Call, redis_client: redis.Redis, target: str) -> None:
        fail(redis_client, 6, 7)
        out = call("failed", "show", target).out
        for line in ("class       Greet", "args        [7]", "  error 7", "  a.py:1:in `f'"):
            assert line in out.splitlines()
        found = json.loads(call("failed", "show", target, "--json").out)
        assert (found["index"], found["payload"]["args"]) == (1, [7])

    @pytest.mark.parametrize("item", [b"not json", b"\xff", b'{"class":"\x1b"}', b"[]"])
    def test_an_item_that_was_no_job(
        self, call: Call, redis_client: redis.Redis, item: bytes
    ) -> None:
        raw = encode_entry(item, "InvalidPayload", "bad\n" + ESCAPE, [ESCAPE], "w", "q")
        redis_client.rpush("resque:failed", raw)
        out = call("failed", "show", "0").out
        assert "gresque.InvalidPayload" in out
        assert out.count(r"  \x1b[2J") == 2
        assert "\x1b" not in out

    @pytest.mark.parametrize(
        ("target", "told"),
        [
            ("2", "no failed job has the index 2; they go from 0 to 1"),
            ("nope", "no failed job has the id nope"),
            (ESCAPE, r"no failed job has the id \x1b[2J"),
            ("9" * 32, "no failed job has the id 999"),
            ("９", "no failed job has the id ９"),
        ],
    )
    def test_not_there(self, call: Call, redis_client: redis.Redis, target: str, told: str) -> None:
        fail(redis_client, 6, 7)
        code, out, err = call("failed", "show", target)
        assert (code, out) == (2, "")
        assert told in err and err.count("\n") == 1


class TestFailedRetry:
    def test_some(self, call: Call, redis_client: redis.Redis) -> None:
        fail(redis_client, 0, 1, 2, 3)
        answer = call("failed", "retry", "3", "0", f"{1:032x}", "3")
        assert answer == (0, "3 failed jobs retried\n", "")
        found = items(redis_client, "q")
        assert [(item["args"], item["generation"]) for item in found] == [
            ([3], 2), ([0], 2), ([1], 2)
        ]  # fmt: skip
        assert failed(redis_client) == [0, 1, 2, 3]

    def test_nothing_is_done_when_one_is_not_there(
        self, call: Call, redis_client: redis.Redis
    ) -> None:
        fail(redis_client, 0)
        assert call("failed", "retry", "0", "1").code == 2
        redis_client.rpush("resque:failed", "garbage")
        code, _, err = call("failed", "retry", "0", "1")
        assert (code, err.count("\n")) == (2, 1)
        assert "failed job 1 cannot be retried" in err
        assert items(redis_client, "q") == []

    def test_all(self, call: Call, redis_client: redis.Redis) -> None:
        fail(redis_client, 0, retried=True)
        fail(redis_client, 1, 2)
        redis_client.rpush("resque:failed", "garbage")
        code, out, err = call("failed", "retry", "--all", "--yes")
        assert (code, out) == (0, "2 failed jobs retried\n")
        assert err.splitlines() == [
            "1 retried before, left alone",
            "1 with no job that could be retried, left alone; see gresque failed list",
        ]
        assert [item["args"] for item in items(redis_client, "q")] == [[1], [2]]
        assert call("failed", "retry", "--all", "-y").out == "0 failed jobs retried\n"

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ([], "name the jobs to retry by index or job id, or give --class"),
            (["--all", "1"], "give one of these: the jobs to retry, --all, or"),
            (["--all", "--class", "A"], "give one of these: the jobs to retry, --all, or"),
            (["1", "--queue", "q"], "give one of these: the jobs to retry, --all, or"),
            (["--all"], "stdin is not a terminal; give --yes"),
        ],
    )
    def test_wrong_input(
        self, call: Call, redis_client: redis.Redis, arguments: list[str], told: str
    ) -> None:
        fail(redis_client, 0)
        code, _, err = call("failed", "retry", *arguments)
        assert code == 2 and told in err
        assert items(redis_client, "q") == []

    @pytest.mark.parametrize(("said", "code", "left"), [("y", 0, 0), ("n", 1, 2), ("", 1, 2)])
    def test_it_asks_on_a_terminal(
        self,
        call: Call,
        redis_client: redis.Redis,
        said: str,
        code: int,
        left: int,
    ) -> None:
        fail(redis_client, 0, 1)
        answer = call("failed", "clear", "--all", stdin=f"{said}\n".encode(), terminal=True)
        assert answer.code == code
        assert "Remove all of 2 failed jobs, for good?" in answer.err
        assert redis_client.llen("resque:failed") == left


class TestFailedRemove:
    def test_indexes_mean_the_list_as_it_was(self, call: Call, redis_client: redis.Redis) -> None:
        fail(redis_client, *range(6))
        answer = call("failed", "remove", "0", "2", "1", f"{4:032x}")
        assert answer == (0, "4 failed jobs removed\n", "")
        assert failed(redis_client) == [3, 5]

    def test_nothing_is_done_when_one_is_not_there(
        self, call: Call, redis_client: redis.Redis
    ) -> None:
        fail(redis_client, 0)
        assert call("failed", "remove", "0", "1").code == 2
        assert call("failed", "remove").code == 2
        assert failed(redis_client) == [0]


class TestFailedClear:
    def test_only_those_retried(self, call: Call, redis_client: redis.Redis) -> None:
        fail(redis_client, 0, 1)
        fail(redis_client, 2, retried=True)
        fail(redis_client, 3)
        assert call("failed", "clear").out == "1 failed job removed\n"
        assert failed(redis_client) == [0, 1, 3]

    def test_all(self, call: Call, redis_client: redis.Redis) -> None:
        fail(redis_client, 0, 1)
        assert call("failed", "clear", "--all").code == 2
        assert failed(redis_client) == [0, 1]
        assert call("failed", "clear", "--all", "--yes").out == "2 failed jobs removed\n"
        assert call("failed", "clear", "--all").out == "0 failed jobs removed\n"


class TestCheck:
    def test_settings_and_sources(
        self, call: Call, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THREAD_COUNT", "7")
        found = json.loads(call("check", "-q", "high,low", "--json").out)
        settings = {row["name"]: (row["value"], row["source"]) for row in found["settings"]}
        assert settings["queues"] == ("high,low", "--queues")
        assert settings["thread_count"] == (7, "THREAD_COUNT")
        assert settings["jobs_per_fork"] == (1, "default")
        assert settings["redis_url"] == (redis_url, "REDIS_URL")
        assert found["ok"] is True
        assert found["redis"]["client_tracking"] is True
        assert found["redis"]["version"].startswith("valkey ")
        assert found["redis"]["maxmemory_policy"] == "noeviction"

    def test_a_replica_is_no_place_for_jobs(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.replicaof("127.0.0.1", "1")
        try:
            answer = call("check")
        finally:
            redis_client.replicaof("NO", "ONE")
        assert answer.code == 1
        assert "is a replica: give the URL of the primary" in answer.err

    def test_text(self, call: Call) -> None:
        code, out, err = call("check")
        assert (code, err) == (0, "")
        assert "  thread_count" in out
        assert "warning: no queues are named" in out
        assert "warning: no module is required" in out

    def test_an_evicting_redis(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "warning: maxmemory-policy is allkeys-lru" in call("check").out
        finally:
            redis_client.config_set("maxmemory-policy", "noeviction")

    def test_config_get_may_be_refused(
        self, call: Call, redis_client: redis.Redis, redis_url: str
    ) -> None:
        redis_client.execute_command(
            "ACL", "SETUSER", "small", "on", ">secret", "~*", "+@all", "-config", "-info"
        )
        try:
            path = redis_url.removeprefix("unix://")
            code, out, err = call("check", "--redis", f"unix://small:secret@{path}")
        finally:
            redis_client.execute_command("ACL", "DELUSER", "small")
        assert (code, err) == (0, "")
        assert "unknown: CONFIG GET is refused" in out
        assert "secret" not in out

    def test_redis_out_of_reach(self, call: Call) -> None:
        code, out, err = call("check", "--redis", "redis://joe:secret@localhost:1")
        assert code == 1
        assert "redis://joe:***@localhost:1" in out
        assert "secret" not in out + err
        assert err.startswith("error: no answer from Redis at localhost:1")
        assert err.count("\n") == 1

    def test_a_wrong_setting(self, call: Call) -> None:
        code, out, err = call("check", "-t", "0")
        assert (code, out) == (2, "")
        assert err == "gresque: --threads: 0 is too small; give 1 or more\n"

    def test_too_few_open_files(self, call: Call) -> None:
        assert "1,000,000 threads with a socket each" in call("check", "-t", "1000000").out


JOBS = """
    import sys, types
    import gresque
    print("on stdout")
    sys.modules["MySQLdb"] = types.ModuleType("MySQLdb")

    @gresque.job(queue="mail", name="Greet")
    def greet():
        import fakedb.grpc
        import pycurl
"""


class TestCheckOfModules:
    """In processes of their own: it patches the standard library."""

    @pytest.fixture
    def check(self, redis_url: str, tmp_path: Path) -> Callable[..., Answer]:
        def check(source: str, *arguments: str) -> Answer:
            (tmp_path / "the_jobs.py").write_text(textwrap.dedent(source))
            (tmp_path / "pycurl.py").touch()
            arguments = ("check", "-r", "the_jobs", *arguments)
            return in_a_process(redis_url, *arguments, setup=PATCHED, cwd=tmp_path)

        return check

    def test_jobs_and_blocking_libraries(self, check: Callable[..., Answer]) -> None:
        code, out, err = check(JOBS, "-q", "other", "--json")
        found = json.loads(out)
        assert (code, err) == (0, "on stdout\n")
        assert found["jobs"] == [{"name": "Greet", "queue": "mail"}]
        unserved, *blocking = found["warnings"]
        assert unserved == "job Greet goes to queue 'mail', which other does not serve"
        assert [warning.split()[0] for warning in blocking] == ["MySQLdb", "pycurl"]

    def test_hints_at_what_works_otherwise(self, check: Callable[..., Answer]) -> None:
        source = JOBS + "        import asyncio, os as o, sqlite3, requests\n        o.fork()\n"
        (fork, loop, sqlite, names) = json.loads(check(source, "-t", "20", "--json").out)["hints"]
        assert fork.startswith("the_jobs uses os.fork: a process that a job forks runs the job's ")
        assert "the_jobs uses asyncio: asyncio.run() works in one job" in loop
        assert "connect with timeout=0" in sqlite
        assert "GEVENT_RESOLVER=ares" in names
        text = check(source, "-t", "10").out
        assert f"\nhint: {sqlite}\n" in text
        assert "GEVENT_RESOLVER" not in text
        assert "hint:" not in check(JOBS).out

    def test_threads(self, check: Callable[..., Answer]) -> None:
        source = JOBS + "    import threading, time\n    from gevent.monkey import get_original\n"
        source += "    get_original('_thread', 'start_new_thread')(lambda: "
        source += "get_original('time', 'sleep')(60), ())\n"
        assert "starts native threads" in check(source, "-q", "mail").out
        assert "starts native threads" not in check(source, "--no-preload").out

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("import nowhere", "cannot import the_jobs (-r): ModuleNotFoundError"),
            ("1 +", "cannot import the_jobs (-r): SyntaxError"),
            ("", "no jobs are declared"),
            ("raise SystemExit(3)", "cannot import the_jobs (-r): SystemExit: 3"),
        ],
    )
    def test_a_module_that_does_not_import(
        self, check: Callable[..., Answer], source: str, told: str
    ) -> None:
        code, out, err = check(source)
        assert code == 1
        assert "settings" in out
        assert told in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://token@localhost:1/2", "redis://***@localhost:1/2"),
        ("redis://token:@localhost:1/2", "redis://***@localhost:1/2"),
        ("redis://:secret@localhost", "redis://:***@localhost"),
        ("redis://joe:se@cr/et@localhost:1/2", "redis://joe:***@localhost:1/2"),
        ("unix:///run/x.sock?password=secret&db=1", "unix:///run/x.sock?password=***&db=1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("embedded:///some/dir", "embedded:///some/dir"),
    ],
)
def test_mask_password(url: str, masked: str) -> None:
    assert mask(url) == masked


class TestOutput:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain héllo 日本 😀", "plain héllo 日本 😀"),
            ("\x1b[31m", r"\x1b[31m"),
            ("a\r\n\tb", r"a\r\n\tb"),
            ("\x9b1m\x7f", r"\x9b1m\x7f"),
            ("\u202e", r"\u202e"),
            ("\udcff", r"\xff"),
            ("\ud800", r"\ud800"),
        ],
    )
    def test_printable(self, text: str, shown: str) -> None:
        assert printable(text) == shown

    def test_compact(self) -> None:
        assert compact({"é": "\x1b\x9b"}) == r'{"é": "\u001b\x9b"}'

    def test_table(self) -> None:
        rows = [["日本", 1_234, None], ["e\u0301", 5, "x\ny"]]
        assert list(table(["A", "N", "B"], rows)) == [
            "A         N  B",
            "日本  1,234  -",
            "e\u0301         5  x y",
        ]


def in_a_process(
    redis_url: str,
    *arguments: str,
    setup: str = PLAIN,
    cwd: Path = ROOT,
    stdin: bytes = b"",
) -> Answer:
    """`gresque …` as a process of its own."""
    env = {**os.environ, "REDIS_URL": redis_url}
    ran = stem(setup).run(GRESQUE, str(cwd), *arguments, env=env, stdin=stdin)
    return Answer(ran.returncode, ran.stdout, ran.stderr)


def in_a_shell(redis_url: str, *arguments: str) -> Answer:
    """The same by a start of Python."""
    ran = subprocess.run(
        [sys.executable, "-m", "gresque", *arguments],
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        timeout=60,
    )
    return Answer(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


HOOKED = """
    import gresque

    class Greet(gresque.Job):
        queue = "mail"
        name = "Greet"
        expires_seconds = 60

        def perform(who, template="welcome"): ...

        def before_enqueue_check(who, template="welcome"):
            return who != "nobody"

        def after_enqueue_log(who, template="welcome"):
            gresque.enqueue_to("log", "Log", who, template)
"""


class TestEnqueueOfADeclaredJob:
    @pytest.fixture
    def enqueue(self, redis_url: str, tmp_path: Path) -> Callable[..., Answer]:
        (tmp_path / "the_jobs.py").write_text(textwrap.dedent(HOOKED))

        def enqueue(*arguments: str, stdin: bytes = b"") -> Answer:
            arguments = ("enqueue", "-r", "the_jobs", "mail", *arguments)
            return in_a_process(redis_url, *arguments, cwd=tmp_path, stdin=stdin)

        return enqueue

    def test_its_hooks_run_and_its_settings_hold(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        code, out, err = enqueue("Greet", '"joe"', "--kwargs", '{"template": "bye"}')
        assert (code, err) == (0, "")
        (item,) = items(redis_client)
        assert out == f"{item['id']}\n"
        assert item["args"] == ["joe", {"template": "bye", "_kwargs": True}]
        assert item["expires_at"] > 0
        assert [item["args"] for item in items(redis_client, "log")] == [["joe", "bye"]]

    def test_a_hook_may_reject_it(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        code, out, err = enqueue("Greet", '"nobody"')
        assert (code, out) == (1, "")
        assert err == "gresque: a before_enqueue hook of Greet rejected the job\n"
        assert redis_client.keys("*") == []

    def test_a_stream(self, enqueue: Callable[..., Answer], redis_client: redis.Redis) -> None:
        stdin = b'["joe"]\n["nobody"]\n{"who": "sue"}\n'
        code, out, err = enqueue("Greet", "-", stdin=stdin)
        assert (code, err) == (0, "")
        assert out == "2 jobs enqueued, 1 rejected by a before_enqueue hook\n"
        assert len(items(redis_client)) == len(items(redis_client, "log")) == 2

    def test_another_name_is_one_of_another_program(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        assert enqueue("Archive", "7").code == 0
        assert [item["class"] for item in items(redis_client)] == ["Archive"]

    def test_a_module_that_does_not_import(self, redis_url: str, tmp_path: Path) -> None:
        arguments = ("enqueue", "-r", "nowhere", "mail", "Greet")
        code, _, err = in_a_process(redis_url, *arguments, cwd=tmp_path)
        assert (code, "cannot import nowhere (-r)" in err) == (1, True)


class TestInAShell:
    def test_a_round(self, redis_url: str, redis_client: redis.Redis) -> None:
        arguments = ("enqueue", "mail", "Greet", "-")
        enqueued = in_a_process(redis_url, *arguments, stdin=b"[1]\n[2]\n")
        assert enqueued == (0, "2 jobs enqueued\n", "")
        assert in_a_shell(redis_url, "queues").out.split()[-4:] == ["mail", "2", "total", "2"]

    @pytest.mark.parametrize(
        "arguments",
        [["queues"], ["workers", "--json"], ["failed"], ["stats"], ["enqueue", "q", "A"]],
    )
    def test_redis_out_of_reach(self, arguments: list[str]) -> None:
        code, out, err = in_a_process("redis://localhost:1", *arguments)
        assert (code, out) == (1, "")
        assert (
            err.removeprefix("gresque: not enqueued: ")
            .removeprefix("gresque: ")
            .startswith("no answer from Redis")
        )
        assert err.count("\n") == 1

    @pytest.mark.parametrize("arguments", [["failed", "--count", "9999"], ["failed", "--json"]])
    def test_a_closed_pipe(
        self, redis_url: str, redis_client: redis.Redis, arguments: list[str]
    ) -> None:
        fail(redis_client, *range(2_500))
        reader, writer = os.pipe()
        os.close(reader)
        env = {**os.environ, "REDIS_URL": redis_url}
        with os.fdopen(writer, "wb") as closed, tempfile.TemporaryFile() as err:
            ran = stem(PLAIN).start(
                GRESQUE, str(ROOT), *arguments, env=env, stdout=closed, stderr=err
            )
            assert ran.wait() == 0
            err.seek(0)
            assert err.read() == b""

    def test_a_terminal_that_knows_only_ascii(
        self, redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        redis_client.sadd("resque:queues", "日本")
        monkeypatch.setenv("PYTHONIOENCODING", "ascii")
        assert r"\u65e5\u672c" in in_a_shell(redis_url, "queues").out
        found = json.loads(in_a_shell(redis_url, "queues", "--json").out)
        assert found == [{"name": "日本", "size": 0}]


@pytest.mark.parametrize(
    "name",
    ["enqueue", "queues", "workers", "running", "stats", "check", "failed", "failed list",
     "failed show", "failed retry", "failed remove", "failed clear"],
)  # fmt: skip
def test_every_help_has_examples(call: Call, name: str) -> None:
    code, out, _ = call(*name.split(), "--help")
    assert code == 0
    assert f"  Examples:\n    gresque {name.split()[0]}" in out
    assert name == "failed" or ("--redis" in out and "--namespace" in out)


ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "environ",
    [ASCII, {"PYTHONIOENCODING": "ascii:strict"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=["posix", "ascii", "latin-1"],
)
def test_any_locale_and_encoding(environ: dict[str, str], redis_url: str, store: Store) -> None:
    def gresque(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "gresque", *arguments]
        env = {**os.environ, "REDIS_URL": redis_url, **environ}
        return subprocess.run(command, env=env, capture_output=True, check=False)

    if environ is ASCII:
        assert gresque("enqueue", "ü☃", "Grüße", '"é☃"').returncode == 0
        assert items(store.redis, "ü☃")[0]["args"] == ["é☃"]
    printed = gresque("supervisor-config", "-q", "ü☃", "-r", "jobs", "--name", "x")
    assert "ü☃" in printed.stdout.decode(), printed.stderr
    wrong = gresque("supervisor-config", "-q", "!☃\x1b\n", "-r", "jobs")
    assert (wrong.returncode, wrong.stderr.count(b"\n"), b"\x1b" in wrong.stderr) == (2, 1, False)


def test_an_argument_with_half_a_character(call: Call) -> None:
    answer = call("enqueue", "mail", "Greet", r'"\ud800"')
    assert answer.code == 2
    assert r"has a lone surrogate, \ud800, which is half a character" in answer.err
    answer = call("enqueue", "mail", "Greet", "-", stdin=rb'["\udc00"]')
    assert r"line 1: it has a lone surrogate, \udc00" in answer.err


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e9", "soon"])
@pytest.mark.parametrize("command", [("kill", "x"), ("stacks",)])
def test_a_wait_that_is_no_time_to_wait(call: Call, command: tuple[str, ...], seconds: str) -> None:
    answer = call(*command, "--wait", seconds)
    assert answer.code == 2
    assert "is not a number of seconds from 0 to 3600" in answer.err
