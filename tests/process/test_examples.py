"""The examples, run as they stand but for their paths."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.process.support import ROOT, Bench, wait_for

EXAMPLES = ROOT / "examples"


def example_program(bench: Bench, directory: Path) -> configparser.RawConfigParser:
    """The example's section, with the paths and the Redis of this test."""
    config = configparser.RawConfigParser()
    config.read(EXAMPLES / "supervisord.conf")
    program = config["program:gresque"]
    gresque = f"{shlex.quote(sys.executable)} -m gresque"
    program["command"] = program["command"].replace("/srv/myapp/.venv/bin/gresque", gresque)
    program["directory"] = str(EXAMPLES)
    program["environment"] = f'REDIS_URL="{bench.redis_url}",PYTHONPATH="{ROOT}"'
    program["stdout_logfile"] = str(directory / "gresque.log")
    program["startsecs"] = "0"
    del program["user"]
    return config


@contextmanager
def supervisord(config: configparser.RawConfigParser, directory: Path) -> Iterator[list[str]]:
    """A supervisord with this program; yields the command line of its supervisorctl."""
    # Its socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="sv-") as short:
        socket = f"unix://{short}/s"
        config["unix_http_server"] = {"file": f"{short}/s"}
        config["supervisorctl"] = {"serverurl": socket}
        config["supervisord"] = {
            "nodaemon": "true",
            "logfile": str(directory / "supervisord.log"),
            "pidfile": str(directory / "supervisord.pid"),
            "childlogdir": str(directory),
        }
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        path = directory / "supervisord.conf"
        with path.open("w") as file:
            config.write(file)
        # Not supported on its setuptools side: it imports pkg_resources, which warns.
        env = {**os.environ, "PYTHONWARNINGS": "ignore"}
        daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "supervisor.supervisorctl",
                "-c",
                str(path),
            ]
        finally:
            family = psutil.Process(daemon.pid).children(recursive=True)
            daemon.terminate()
            daemon.wait(30)
            psutil.wait_procs(family, 10)


def test_the_supervisord_section_starts_stops_and_restarts(bench: Bench, tmp_path: Path) -> None:
    with supervisord(example_program(bench, tmp_path), tmp_path) as control:

        def run(*words: str) -> str:
            return subprocess.run(
                [*control, *words], check=False, capture_output=True, text=True
            ).stdout

        def pid() -> int:
            return int(run("pid", "gresque"))

        wait_for(lambda: bench.redis.zcard("resque:ledgers") == 2)
        first = pid()

        for _ in range(20):
            bench.client.enqueue_to("web", "myjobs.wait", 0.5)
        wait_for(lambda: bench.held() == 20)
        assert "started" in run("restart", "gresque")  # QUIT: the running ones finish
        assert bench.stat("processed") == 20
        assert pid() != first

        bench.client.enqueue_to("web", "myjobs.fail", "seen")
        wait_for(lambda: bench.stat("failed") == 1)

        psutil.Process(pid()).kill()  # supervisord starts another one
        wait_for(lambda: bench.redis.scard("resque:workers") == 2)
        wait_for(lambda: "RUNNING" in run("status", "gresque"))
        bench.client.enqueue_to("web", "myjobs.wait", 0)
        wait_for(lambda: bench.stat("processed") == 22)

        run("stop", "gresque")
        assert "STOPPED" in run("status", "gresque")
        assert bench.redis.zcard("resque:ledgers") == 0
    log = (tmp_path / "gresque.log").read_text()
    assert "reserved 20 = 20 done + 0 failed + 0 requeued" in log


def test_the_systemd_unit_names_what_exists(tmp_path: Path) -> None:
    text = (EXAMPLES / "gresque.service").read_text()
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    assert unit["Service"]["KillSignal"] == "SIGQUIT"
    assert unit["Service"]["ExecStart"].split()[1] == "work"
    if analyze := shutil.which("systemd-analyze"):
        path = tmp_path / "gresque.service"
        text = text.replace("/srv/myapp/.venv/bin/gresque", sys.executable)
        path.write_text(text.replace("=/srv/myapp", f"={ROOT}"))
        checked = subprocess.run(
            [analyze, "verify", str(path)], check=False, capture_output=True, text=True
        )
        assert str(path) not in checked.stderr, checked.stderr
