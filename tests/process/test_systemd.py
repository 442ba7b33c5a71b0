"""systemd's notification protocol, with a real datagram socket as systemd's end."""

from __future__ import annotations

import json
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.support import PATIENCE_SECONDS, Bench, Master, wait_for


class Systemd:
    """Receives what a service says, in order, with the time of its arrival."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def lines(self) -> list[str]:
        while True:
            try:
                message = self._socket.recv(4096).decode()
            except BlockingIOError:
                return [line for _, line in self.heard]
            self.heard += [(time.monotonic(), line) for line in message.split("\n")]

    def states(self) -> list[str]:
        """READY, RELOADING and STOPPING, as they came."""
        names = ("READY=", "RELOADING=", "STOPPING=")
        return [line for line in self.lines() if line.startswith(names)]

    def status(self) -> str:
        told = [line for line in self.lines() if line.startswith("STATUS=")]
        return told[-1] if told else ""

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory(prefix="sd-") as short:
        path = f"{short}/notify"
        systemd = Systemd(path if request.param == "path" else f"@gresque-test-{uuid.uuid4()}")
        yield systemd
        systemd.close()


def start(bench: Bench, systemd: Systemd, *arguments: str, **env: str) -> Master:
    return bench.start("-q", "q", *arguments, NOTIFY_SOCKET=systemd.address, **env)


def test_the_life_of_a_service(bench: Bench, systemd: Systemd) -> None:
    master = start(bench, systemd, "-w", "2", "-t", "5", "-j", "1000")
    wait_for(systemd.states)
    assert bench.redis.zcard("resque:ledgers") == 2, "READY with both processes at work"
    assert f"MAINPID={master.process.pid}" in systemd.lines()
    bench.client.enqueue_to("q", "CountSlowly", "long", 60)
    bench.client.enqueue_to("q", "Boom", "x")
    bench.client.enqueue_to("q", "Count", "done")
    wait_for(lambda: "working, 2 of 2 processes, 1 running, 1 done, 1 failed" in systemd.status())
    master.signal(signal.SIGHUP)
    wait_for(lambda: systemd.states() == ["READY=1", "RELOADING=1", "READY=1"])
    assert any(line.startswith("MONOTONIC_USEC=") for line in systemd.lines())
    master.signal(signal.SIGUSR2)
    wait_for(lambda: "paused" in systemd.status())
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert systemd.states() == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert not [line for line in systemd.lines() if line.startswith("WATCHDOG=")]


def test_the_watchdog_hears_of_a_loop_that_turns(bench: Bench, systemd: Systemd) -> None:
    master = start(bench, systemd, WATCHDOG_USEC="400000")

    def beats() -> list[float]:
        systemd.lines()
        return [when for when, line in systemd.heard if line == "WATCHDOG=1"]

    wait_for(lambda: len(beats()) > 2)
    master.signal(signal.SIGSTOP)
    process = psutil.Process(master.process.pid)
    wait_for(lambda: process.status() == psutil.STATUS_STOPPED)
    before = len(beats())
    time.sleep(0.6)
    assert len(beats()) == before, "a loop that stands is silent"
    master.signal(signal.SIGCONT)
    wait_for(lambda: len(beats()) > before + 2)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_not_ready_while_one_of_the_first_processes_does_not_work(
    bench: Bench, systemd: Systemd, tmp_path: Path
) -> None:
    (tmp_path / "slow_second.py").write_text(
        "import pathlib, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "try:\n"
        "    (here / 'first').touch(exist_ok=False)\n"
        "except FileExistsError:\n"
        "    while not (here / 'go').exists():\n"
        "        time.sleep(0.01)\n"
    )
    path = str(tmp_path)
    master = start(bench, systemd, "-r", "slow_second", "-w", "2", "--no-preload", PYTHONPATH=path)
    wait_for(lambda: "booting, 1 of 2 processes" in systemd.status())
    assert systemd.states() == []
    (tmp_path / "go").touch()
    wait_for(lambda: systemd.states() == ["READY=1"])
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_what_a_job_starts_does_not_speak_for_the_service(bench: Bench, systemd: Systemd) -> None:
    bench.client.enqueue_to("q", "Environment", "NOTIFY_SOCKET", "WATCHDOG_USEC", "REDIS_URL")
    master = start(bench, systemd, "--burst", WATCHDOG_USEC="1000000")
    assert master.wait() == 0
    seen = json.loads(bench.redis.get("environment"))
    assert seen == [None, None, bench.redis_url]


def test_a_daemon_tells_its_own_pid(bench: Bench, systemd: Systemd, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    arguments = ("--daemon", "--pidfile", str(pidfile))
    caller = start(bench, systemd, *arguments, WATCHDOG_USEC="400000")
    assert caller.wait() == 0
    master = psutil.Process(int(pidfile.read_text()))
    wait_for(lambda: f"MAINPID={master.pid}" in systemd.lines())
    wait_for(lambda: "WATCHDOG=1" in systemd.lines())
    master.send_signal(signal.SIGTERM)
    master.wait(PATIENCE_SECONDS)
    assert systemd.states() == ["READY=1", "STOPPING=1"]


def test_a_systemd_that_is_gone_is_complained_of_once(bench: Bench, tmp_path: Path) -> None:
    bench.client.enqueue_to("q", "Count", "done")
    master = bench.start("-q", "q", NOTIFY_SOCKET="/nonexistent/notify")
    wait_for(bench.runs)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert master.log.count("cannot notify systemd at '/nonexistent/notify'") == 1
