"""The fingerprint of a process: other processes of its machine see by it whether it is dead.

A pid alone is not enough: it may be given out again, and each container has pids of its own.
Together with the machine's boot, the pid namespace and the kernel's time of the process's start it
names one process for ever. Where the kernel does not show all of these, as outside Linux, nothing
is claimed, and heartbeats show which processes are dead.

The kernel gives the number of a pid namespace out again when that has ended, and all its processes
with it. So a restarted container that got the number of the last one knows those as dead. One that
got another number cannot see from within whether the last one has ended: the heartbeats show it.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

_FIRST_PID_NAMESPACE = str(0xEFFFFFFC)  # PROC_PID_INIT_INO in the kernel


@cache
def machine() -> str:
    """This boot and pid namespace; '' where that is not known. Children may inherit the answer."""
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ""  # the /proc of another namespace
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return ":".join([boot, *(_namespace(kind) for kind in ("pid", "time"))])
    except OSError:
        return ""


def container() -> str:
    """Four hex digits of this pid namespace and boot; '' in the namespace that the machine starts
    with, and where the kernel does not show it."""
    try:
        namespace = _namespace("pid")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    if namespace == _FIRST_PID_NAMESPACE:
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:4]


def _namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").stat().st_ino)
    except FileNotFoundError:
        if kind == "pid":
            raise
        return ""  # a kernel without namespaces for time


def find(pid: int, master_pid: int) -> str:
    """Where a process and its master can be found; '' where that is not known for sure."""
    started, master_started = _started(pid), _started_once(master_pid)
    if not machine() or started is None or master_started is None:
        return ""
    return f"{machine()} {pid} {started} {master_pid} {master_started}"


def are_dead(fingerprint: str) -> bool:
    """Whether a process of this machine and its master both exist no more. While its master lives,
    that one sees to what it left. Nothing is claimed of a record that cannot be read."""
    try:
        _, pid, started, master_pid, master_started = fingerprint.split(" ")
        return _is_gone(_pid(pid), started) and _is_gone(_pid(master_pid), master_started)
    except (ValueError, OverflowError):
        return False


def _pid(text: str) -> int:
    """Raises ValueError for what is none: 0 and below mean groups of processes."""
    pid = int(text)
    if pid <= 0:
        raise ValueError(f"{pid} is not a pid")
    return pid


def _is_gone(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # another user's: it exists
    fields = stat_fields(pid)
    if not fields:
        return False
    return fields[_STARTED] != started or (fields[_STATE] == "Z" and fields[_THREADS] == "1")


def _started(pid: int) -> str | None:
    """When the process started, in the kernel's ticks since the boot."""
    fields = stat_fields(pid)
    return fields[_STARTED] if fields else None


_started_once = cache(_started)
"""Of a master: its children may inherit the answer, which holds for as long as they ask."""

_STATE, _THREADS, _STARTED = 0, 17, 19
"""Of the fields after the name. A zombie is a dead process that its parent has not reaped yet.
Its first thread may be one while others live, and they count as well."""


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name; empty where that cannot be read: /proc may
    hide the processes of others."""
    try:
        # By its descriptor: each worker process reads two of these before its first job.
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            line = os.read(descriptor, 4096)
        finally:
            os.close(descriptor)
    except OSError:
        return []
    # The name, in parentheses, may hold anything.
    found = line.rpartition(b")")[2].decode().split()
    return found if len(found) > _STARTED else []
