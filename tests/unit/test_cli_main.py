"""The commands together, as a shell runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

import pytest
import redis

from gresque.cli.main import run
from gresque.store.store import Store
from tests.support.cli import (
    ROOT,
    Call,
    fail,
    in_a_process,
    in_a_shell,
    items,
)
from tests.support.programs import GRESQUE, PLAIN, stem


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
        assert found == [{"name": "日本", "size": 0, "policy": None}]


@pytest.mark.parametrize(
    "name",
    ["enqueue", "queues", "queues list", "queues show", "queues peek", "queues move",
     "queues clear", "workers", "workers list", "workers prune", "running",
     "running list", "running groups", "stats", "status", "kill", "stacks", "check", "failed",
     "failed list", "failed show", "failed retry", "failed remove", "failed clear"],
)  # fmt: skip
def test_every_help_has_examples(call: Call, name: str) -> None:
    code, out, _ = call(*name.split(), "--help")
    assert code == 0
    assert f"  Examples:\n    gresque {name.split()[0]}" in out
    assert name in ("failed", "queues", "running", "workers") or (
        "--redis" in out and "--namespace" in out
    )


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


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e9", "soon"])
@pytest.mark.parametrize("command", [("kill", "x"), ("stacks",)])
def test_a_wait_that_is_no_time_to_wait(call: Call, command: tuple[str, ...], seconds: str) -> None:
    answer = call(*command, "--wait", seconds)
    assert answer.code == 2
    assert "is not a number of seconds from 0 to 3600" in answer.err


@pytest.mark.parametrize(
    ("words", "count", "found"),
    [
        ("gresque que", 1, {"queues"}),
        ("gresque queues ", 2, {"list", "show", "peek", "clear", "move"}),
        (
            "gresque queues --",
            2,
            {"--help", "--json", "--redis", "--namespace", "--shard", "--shards"},
        ),
        (
            "gresque queues move --",
            3,
            {"--count", "--yes", "--redis", "--namespace", "--shard", "--shards", "--help"},
        ),
        ("gresque failed --off", 2, {"--offset"}),
    ],
    ids=range(5),
)
def test_a_shell_completes_commands_and_flags(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    count: int,
    found: set[str],
) -> None:
    monkeypatch.setenv("_GRESQUE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(count))
    with pytest.raises(SystemExit):
        run([])
    assert {line.partition(",")[2] for line in capsys.readouterr().out.splitlines()} == found
