"""Workers and commands whose outputs are closed, full, gone, or read by nobody."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.process.support import JOBS, PATIENCE_SECONDS, ROOT, Bench, wait_for

WORK = f'"{sys.executable}" -m gresque work -r {JOBS} -q q'
MISSING = re.compile(r"([\d,]+) lines? (?:is|are) missing here: ")


@contextmanager
def shell(bench: Bench, command: str, **streams: int) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "REDIS_URL": bench.redis_url}
    with subprocess.Popen(
        ["sh", "-c", f"exec {command}"], env=env, cwd=ROOT, start_new_session=True, **streams
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_worker_whose_output_nobody_reads(bench: Bench, log_format: str) -> None:
    """Every job is done, TERM is obeyed, and who reads later learns how much is missing."""
    read, write = os.pipe()
    jobs, text = 500, "x" * 3_000
    bench.client.enqueue_many("Print", [(str(n), 0, text) for n in range(jobs)], queue="q")
    command = f"{WORK} -w 1 -t 5 -j 100000 -v --log-format {log_format}"
    with shell(bench, command, stdout=write, stderr=write) as process:
        os.close(write)
        wait_for(lambda: len(bench.runs()) == jobs)
        os.set_blocking(read, False)
        got = b""
        for n in range(jobs, jobs + 300):  # so that somebody writes again
            bench.client.enqueue_to("q", "Print", str(n), 0, "")
            wait_for(lambda n=n: len(bench.runs()) == n + 1)
            with open(read, "rb", closefd=False) as pipe:
                got += pipe.read() or b""
            if MISSING.search(got.decode()) and f"after {n} " in got.decode():
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    lines = got.decode().splitlines()
    told = [line for line in lines if MISSING.search(line)]
    missing = sum(int(MISSING.search(line)[1].replace(",", "")) for line in told)
    printed = sum(line.startswith(("before ", "after ")) for line in lines)
    assert missing > 0
    assert printed + missing >= 2 * jobs
    assert all(len(line) < 3_200 for line in lines), "no line is torn"
    if log_format == "json":
        assert any(line.startswith('{"time": ') for line in told)


@pytest.mark.parametrize("output", [">/dev/full 2>&1", "<&- >&- 2>&-", "--daemon <&- >&- 2>&-"])
def test_a_worker_that_cannot_write(bench: Bench, output: str) -> None:
    bench.client.enqueue_many("Print", [("a",), ("b",)], queue="q")
    with shell(bench, f"{WORK} -j 1 --burst {output}") as process:
        assert process.wait(PATIENCE_SECONDS) == 0
    wait_for(lambda: bench.runs() == {"a": 1, "b": 1})
    wait_for(lambda: not bench.redis.exists("resque:workers"))
    assert bench.stat("failed") == 0


def test_a_worker_whose_reader_is_gone(bench: Bench) -> None:
    bench.client.enqueue_many("Print", [("a",), ("b",)], queue="q")
    read, write = os.pipe()
    os.close(read)
    with shell(bench, f"{WORK} -j 1 --burst", stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        assert process.stderr
        log = process.stderr.read().decode()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert bench.runs() == {"a": 1, "b": 1}
    assert "the reader of stdout is gone" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("queues >&-", 0, ""),
        ("queues >/dev/full", 1, "gresque: cannot write the output: No space left on device\n"),
        ("--help >/dev/full", 1, "gresque: cannot write the output: No space left on device\n"),
        ("nothing 2>&-", 2, ""),
        ("nothing 2>/dev/full", 2, ""),
    ],
)
def test_a_command_that_cannot_write(bench: Bench, command: str, code: int, told: str) -> None:
    command = f'"{sys.executable}" -m gresque {command}'
    with shell(bench, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr
        error = process.stderr.read().decode()
        assert (process.wait(PATIENCE_SECONDS), error) == (code, told)


@pytest.mark.parametrize("command", ["queues", "--version", "check"])
def test_a_command_whose_reader_is_gone(bench: Bench, command: str) -> None:
    read, write = os.pipe()
    os.close(read)
    command = f'"{sys.executable}" -m gresque {command}'
    with shell(bench, command, stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        assert process.stderr
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_SECONDS) == (
            1 if command.endswith("--version") else 0
        )  # click has it so
