"""--daemon and the pidfile, as from a shell and as from a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.support import JOBS, PATIENCE_SECONDS, ROOT, Bench, wait_for


class Shell:
    """Calls `gresque work --daemon`, and ends the masters that it left in the background."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self.pidfile = directory / "gresque.pid"
        self.log = directory / "daemon.log"
        self._env = {**os.environ, "REDIS_URL": bench.redis_url}
        self._masters: set[psutil.Process] = set()

    def work(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "gresque", "work", "-r", JOBS, "-q", "q", *arguments]
        ran = subprocess.run(command, env=self._env, cwd=ROOT, check=False, timeout=60, **options)
        if ran.returncode == 0:
            self._masters.add(self.master())
        return ran

    def daemon(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """With its output in a file, as from a script."""
        with self.log.open("ab") as log:
            return self.work("--daemon", *arguments, "--pidfile", str(self.pidfile), stderr=log)

    def master(self) -> psutil.Process:
        return psutil.Process(int(self.pidfile.read_text()))

    def close(self) -> None:
        for master in filter(psutil.Process.is_running, self._masters):
            for process in (*master.children(), master):
                process.kill()
        if self.log.exists():
            print(self.log.read_text())


@pytest.fixture
def shell(bench: Bench, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(bench, tmp_path)
    yield shell
    shell.close()


def test_the_caller_returns_when_the_first_process_works(bench: Bench, shell: Shell) -> None:
    assert shell.daemon("-t", "2").returncode == 0
    assert bench.redis.zcard("resque:ledgers") == 1
    master = shell.master()
    assert os.getsid(master.pid) not in (os.getsid(0), master.pid)
    assert master.cwd() == str(ROOT)
    assert {file.path for file in master.open_files() if file.fd == 2} == {str(shell.log)}
    bench.client.enqueue_to("q", "Count", "done")
    wait_for(bench.runs)
    master.send_signal(signal.SIGQUIT)
    master.wait(PATIENCE_SECONDS)
    assert "stopped: reserved 1 = 1 done" in shell.log.read_text()
    assert not shell.pidfile.exists()


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_a_module_that_does_not_import_is_told_to_the_caller(shell: Shell, preload: str) -> None:
    assert shell.daemon("-r", "no_such_module", preload).returncode == 1
    assert "cannot import no_such_module (-r): ModuleNotFoundError" in shell.log.read_text()
    assert not shell.pidfile.exists()


def test_redis_out_of_reach_is_told_to_the_caller(shell: Shell) -> None:
    assert shell.daemon("--redis", "unix:///nonexistent/redis.sock").returncode == 1
    assert "/nonexistent/redis.sock" in shell.log.read_text()


def test_a_wrong_setting_exits_with_2(shell: Shell) -> None:
    assert shell.daemon("-w", "none").returncode == 2
    unwritable = shell.work("--daemon", "--pidfile", "/nonexistent/pid", stderr=subprocess.PIPE)
    assert unwritable.returncode == 2
    assert b"gresque: cannot write the pidfile" in unwritable.stderr


def test_a_second_master_is_refused_and_a_stale_pidfile_is_not(bench: Bench, shell: Shell) -> None:
    shell.pidfile.write_text(f"{os.getpid()}\n")  # of a process that is no gresque
    assert shell.daemon().returncode == 0
    first = shell.master()
    second = shell.work("--pidfile", str(shell.pidfile), stderr=subprocess.PIPE)
    assert second.returncode == 2
    assert second.stderr.decode().splitlines() == [
        f"gresque: the pidfile {shell.pidfile} belongs to a running gresque master "
        f"(pid {first.pid}); stop that one first, or give another --pidfile"
    ]
    assert shell.master() == first, "the file of the live one stays"
    bench.client.enqueue_to("q", "CountSlowly", "done", 2)
    wait_for(lambda: bench.begun() == 1)
    first.kill()  # its worker process lives on for a while, and does not hold the file
    first.wait(PATIENCE_SECONDS)
    assert shell.daemon().returncode == 0
    assert shell.master() != first
    wait_for(bench.runs)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_terminal_is_left_once_it_works(bench: Bench, shell: Shell) -> None:
    terminal, its_end = pty.openpty()
    arguments = ["--daemon", "-t", "2", "-w", "2", "--pidfile", str(shell.pidfile)]
    called = shell.work(*arguments, stdin=its_end, stdout=its_end, stderr=its_end)
    os.close(its_end)
    assert called.returncode == 0
    shown = b""
    while b"started: 2 processes" not in shown:
        shown += os.read(terminal, 4096)  # each read may bring a part of it
    master = shell.master()
    wait_for(lambda: bench.redis.zcard("resque:ledgers") == 2)

    def held() -> set[str]:
        family = [master, *master.children()]
        assert len(family) in (3, 4)  # with the maintenance process
        return {str(Path(f"/proc/{p.pid}/fd/{fd}").readlink()) for p in family for fd in range(3)}

    wait_for(lambda: held() == {os.devnull})
    os.close(terminal)  # its window is closed
    bench.client.enqueue_to("q", "Count", "done")
    wait_for(bench.runs)
    master.send_signal(signal.SIGTERM)
    master.wait(PATIENCE_SECONDS)


def test_ctrl_c_ends_what_does_not_work_yet(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path)!r}, 'in').touch()\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-m", "gresque", "work", "-r", "hangs", "-q", "q", "--daemon"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as caller:
        wait_for((tmp_path / "in").exists)
        family = psutil.Process(caller.pid).children(recursive=True)
        caller.send_signal(signal.SIGINT)
        assert caller.wait(PATIENCE_SECONDS) == 130
    wait_for(lambda: not any(process.is_running() for process in family))
