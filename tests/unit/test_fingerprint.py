"""Whether a process of this machine is gone: said only when it is sure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gresque.processes import fingerprint
from gresque.processes.fingerprint import are_dead, find, machine

pytestmark = pytest.mark.skipif(not machine(), reason="the kernel does not tell")


def replaced(place: str, **changes: str) -> str:
    names = ("machine", "pid", "started", "master_pid", "master_started")
    fields = dict(zip(names, place.split(" "), strict=True)) | changes
    return " ".join(fields.values())


def a_dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_stored_tells_machine_processes_and_starts() -> None:
    place = find(os.getpid(), os.getppid())
    told, pid, started, master, _ = place.split(" ")
    assert told == machine()
    assert (int(pid), int(master)) == (os.getpid(), os.getppid())
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 < int(started) / os.sysconf("SC_CLK_TCK") < uptime


def test_the_start_of_a_master_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its children inherit it: each life that is forked for one job would read a file for it."""
    master = os.getppid()
    read: list[int] = []
    fields = fingerprint.stat_fields

    def note(pid: int) -> list[str]:
        read.append(pid)
        return fields(pid)

    monkeypatch.setattr(fingerprint, "stat_fields", note)
    first = find(os.getpid(), master)
    assert find(os.getpid(), master) == first != ""
    assert read.count(os.getpid()) == 2
    assert read.count(master) <= 1


def test_both_must_be_gone() -> None:
    dead = str(a_dead_pid())
    place = find(os.getpid(), os.getppid())
    assert not are_dead(place)
    assert not are_dead(replaced(place, pid=dead))
    assert not are_dead(replaced(place, master_pid=dead))
    assert are_dead(replaced(place, pid=dead, master_pid=dead))


def test_a_pid_that_was_given_out_again_is_somebody_else() -> None:
    place = find(os.getpid(), os.getppid())
    assert are_dead(replaced(place, started="1", master_started="1"))


def test_a_process_of_somebody_else_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    place = find(os.getpid(), os.getppid())
    monkeypatch.setattr(fingerprint.os, "kill", refuse)
    monkeypatch.setattr(fingerprint, "stat_fields", lambda pid: [])  # /proc may hide it
    assert not are_dead(replaced(place, pid="4000000", master_pid="4000001"))


HUGE = 10**30


@pytest.mark.parametrize(
    "place", ["", "x", "a b c d e", "a 1 2 3", "a 1 2 3 4 5", f"a {HUGE} 1 {HUGE} 1", "a -1 1 -1 1"]
)
def test_what_cannot_be_read_claims_nothing(place: str) -> None:
    assert not are_dead(place)


def test_a_zombie_is_dead() -> None:
    """Its parent has not heard of it yet, but it does nothing any more."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    place = find(process.pid, process.pid)
    assert not are_dead(place)
    process.kill()
    deadline = time.monotonic() + 60
    while not are_dead(place):
        assert time.monotonic() < deadline
    assert b") Z " in Path(f"/proc/{process.pid}/stat").read_bytes()
    process.communicate()
    assert are_dead(place)


def test_a_process_whose_first_thread_has_ended_lives() -> None:
    code = """if True:
        import ctypes, threading, time
        threading.Thread(target=time.sleep, args=(60,)).start()
        print("ready", flush=True)
        ctypes.CDLL(None).pthread_exit(None)
    """
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    place = find(process.pid, process.pid)
    deadline = time.monotonic() + 60
    while b") Z " not in Path(f"/proc/{process.pid}/stat").read_bytes():
        assert time.monotonic() < deadline
    assert not are_dead(place)
    process.kill()
    process.communicate()
    assert are_dead(place)


def test_without_such_a_kernel_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "machine", lambda: "")
    assert find(os.getpid(), os.getppid()) == ""


def test_the_first_namespace_of_a_machine_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for number in ("4026531836", "4026532180", "4026532181"):
        monkeypatch.setattr(fingerprint, "_namespace", lambda kind, number=number: number)
        names[number] = fingerprint.container()
    first, *others = names.values()
    assert first == ""
    assert len(set(others)) == 2
    for name in others:
        assert len(name) == 4
        assert int(name, 16) >= 0


def test_without_proc_a_container_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(fingerprint, "_namespace", refuse)
    assert fingerprint.container() == ""
