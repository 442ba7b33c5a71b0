"""What `gresque supervisor-config` prints, under a real supervisord."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.process.support import JOBS, ROOT, Bench, wait_for


class Supervisord:
    """A running supervisord with one program, gresque."""

    def __init__(self, bench: Bench, directory: Path, short: str, *arguments: str) -> None:
        self._bench = bench
        self._log = directory / "gresque.log"
        self._conf = directory / "supervisord.conf"
        # Not supported on its setuptools side: it imports pkg_resources, which warns.
        self._env = {**os.environ, "PYTHONWARNINGS": "ignore", "REDIS_URL": bench.redis_url}
        printed = subprocess.run(
            [
                *(sys.executable, "-m", "gresque", "supervisor-config", "-q", "q", "-r", JOBS),
                *("--directory", str(ROOT), "--logfile", str(self._log), "--startsecs", "0"),
                *arguments,
            ],
            env=self._env, cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        # Its socket's path must be short.
        self._conf.write_text(f"""{printed.stdout}
[unix_http_server]
file={short}/s
[supervisorctl]
serverurl=unix://{short}/s
[supervisord]
nodaemon=true
logfile={directory}/supervisord.log
pidfile={directory}/supervisord.pid
childlogdir={directory}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
""")
        self.daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._conf)],
            env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def control(self, *words: str) -> str:
        """What supervisorctl says."""
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self._conf), *words]
        return subprocess.run(
            command, env=self._env, check=False, capture_output=True, text=True
        ).stdout

    def master(self) -> psutil.Process:
        return psutil.Process(int(self.control("pid", "gresque")))

    def at_work(self, processes: int) -> None:
        wait_for(lambda: self._bench.redis.zcard("resque:ledgers") == processes)

    def logs(self) -> str:
        """The log and its rotated ones, the oldest first."""
        rotated = self._log.parent.glob("gresque.log.*")
        files = [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), self._log]
        return "".join(path.read_text() for path in files)

    def close(self) -> None:
        family = psutil.Process(self.daemon.pid).children(recursive=True)
        self.daemon.terminate()
        self.daemon.wait(60)
        psutil.wait_procs(family, 20)
        print(self.logs())


@contextmanager
def supervisord(bench: Bench, directory: Path, *arguments: str) -> Iterator[Supervisord]:
    with tempfile.TemporaryDirectory(prefix="sv-") as short:
        daemon = Supervisord(bench, directory, short, *arguments)
        try:
            yield daemon
        finally:
            daemon.close()


def test_start_restart_and_stop(bench: Bench, tmp_path: Path) -> None:
    with supervisord(bench, tmp_path, "-w", "2", "-t", "20", "-j", "1000") as daemon:
        daemon.at_work(2)
        first = daemon.master()
        for n in range(20):
            bench.client.enqueue_to("q", "CountSlowly", str(n), 1)
        wait_for(lambda: bench.begun() == 20)
        assert "started" in daemon.control("restart", "gresque")  # QUIT: the running ones finish
        assert bench.runs() == {str(n): 1 for n in range(20)}
        assert bench.stat("processed") == 20
        assert daemon.master() != first
        bench.client.enqueue_to("q", "Boom", "seen")
        wait_for(lambda: bench.stat("failed") == 1)
        daemon.control("stop", "gresque")
        assert "STOPPED" in daemon.control("status", "gresque")
        assert bench.redis.zcard("resque:ledgers") == 0
    assert "reserved 20 = 20 done + 0 failed + 0 requeued" in daemon.logs()


def test_a_killed_master_is_replaced_and_its_jobs_finish(bench: Bench, tmp_path: Path) -> None:
    with supervisord(bench, tmp_path, "-w", "2", "-t", "20", "-j", "1000") as daemon:
        daemon.at_work(2)
        first = daemon.master()
        orphans = first.children()
        # They print again when supervisord has closed its end of their pipe.
        for n in range(20):
            bench.client.enqueue_to("q", "Print", str(n), 3)
        wait_for(lambda: daemon.logs().count("before") == 20)
        first.kill()
        wait_for(lambda: "RUNNING" in daemon.control("status", "gresque"))
        bench.client.enqueue_to("q", "Count", "by the next one")
        wait_for(lambda: bench.stat("processed") == 21)
        assert daemon.master() != first
        wait_for(lambda: not any(orphan.is_running() for orphan in orphans))
        daemon.at_work(2)
    assert bench.stat("failed") == 0
    assert bench.runs() == {**{str(n): 1 for n in range(20)}, "by the next one": 1}


def test_the_log_rotates(bench: Bench, tmp_path: Path) -> None:
    rotated = ("--logfile-maxbytes", "20KB", "--logfile-backups", "100")
    with supervisord(bench, tmp_path, *rotated, "-t", "20", "-j", "100") as daemon:
        for n in range(500):
            bench.client.enqueue_to("q", "Print", str(n), 0.001, "x" * 100)
        wait_for(lambda: bench.stat("processed") == 500)
        daemon.control("stop", "gresque")
    assert bench.stat("failed") == 0
    assert (tmp_path / "gresque.log.5").exists()
    assert daemon.logs().count("\nafter ") == 500


def test_a_wrong_setting_is_not_tried_again(bench: Bench, tmp_path: Path) -> None:
    with supervisord(bench, tmp_path, "--pidfile", "/nonexistent/gresque.pid") as daemon:
        wait_for(lambda: "EXITED" in daemon.control("status", "gresque"))
        wait_for(lambda: "cannot write the pidfile" in daemon.logs())
        assert daemon.logs().count("cannot write the pidfile") == 1
