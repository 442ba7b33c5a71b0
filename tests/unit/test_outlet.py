"""An output that nobody reads, that is full, gone or closed."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

import gresque.outlet
from gresque.outlet import BACKLOG_BYTES, Outlet, after_write, in_write

LINE = b"x" * 99 + b"\n"
MISSING = re.compile(rb"gresque: ([\d,]+) lines? (?:is|are) missing here: (.*)\n")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        with suppress(OSError):
            os.close(fd)


def read_all(fd: int) -> bytes:
    """What can be read at once."""
    got = b""
    while select.select([fd], [], [], 0)[0] and (chunk := os.read(fd, 1 << 16)):
        got += chunk
    return got


def missing(text: bytes) -> int:
    return sum(int(found[1].replace(b",", b"")) for found in MISSING.finditer(text))


@pytest.fixture(params=["opened again", "of another user", "of another user, old kernel"])
def outlet(
    request: pytest.FixtureRequest, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> Outlet:
    """To a pipe, in every way in which one is written to."""
    if request.param != "opened again":
        monkeypatch.setattr(gresque.outlet, "_opened_again", lambda fd, target: None)
    if "old" in request.param:
        monkeypatch.setattr(os, "RWF_NOWAIT", 1 << 30, raising=False)
    return Outlet(pipe[1], "test")


def test_what_nobody_reads_is_dropped_and_counted(outlet: Outlet, pipe: tuple[int, int]) -> None:
    lines = 20_000
    assert lines * len(LINE) > BACKLOG_BYTES + (1 << 16)
    for _ in range(lines):
        assert outlet.write(LINE) == len(LINE)
    assert os.get_blocking(pipe[1]), "others share it"
    assert BACKLOG_BYTES <= outlet.backlog < BACKLOG_BYTES + len(LINE)
    assert outlet.dropped > 0
    got = b""
    while outlet.backlog:
        got += read_all(pipe[0])
        outlet.drain()
    outlet.write(b"the next one\n")
    got += read_all(pipe[0])
    assert got.count(LINE) + missing(got) == lines
    assert got.endswith(b" lines are missing here: its reader does not keep up\nthe next one\n")
    assert set(got.replace(LINE, b"").splitlines()[-1:]) == {b"the next one"}
    assert outlet.dropped == 0
    outlet.write(LINE)
    assert read_all(pipe[0]) == LINE


def test_a_slow_reader_misses_nothing(outlet: Outlet, pipe: tuple[int, int]) -> None:
    lines = [b"%d %s\n" % (number, b"y" * (number % 5000)) for number in range(200)]
    got = b""
    for line in lines:
        outlet.write(line)
        got += os.read(pipe[0], 2000)
    while outlet.backlog:
        got += read_all(pipe[0])
        outlet.drain()
    assert got + read_all(pipe[0]) == b"".join(lines)


def test_one_large_write_gets_through_whole(outlet: Outlet, pipe: tuple[int, int]) -> None:
    large = b"z" * (BACKLOG_BYTES * 2) + b"\n"
    outlet.write(large)
    got = b""
    while outlet.backlog:
        got += read_all(pipe[0])
        outlet.drain()
    assert got + read_all(pipe[0]) == large


def test_a_long_line_waits_until_the_pipe_takes_all_of_it(
    outlet: Outlet, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else lines of other processes, which write to the same pipe, come into its midst."""
    line = b"z" * 9000 + b"\n"
    for _ in range(600):
        os.write(pipe[1], LINE)
    outlet.write(line)
    os.write(pipe[1], LINE)
    assert read_all(pipe[0]) == LINE * 601
    outlet.drain()
    assert read_all(pipe[0]) == line
    for _ in range(600):
        os.write(pipe[1], LINE)
    outlet.write(line)
    assert outlet.backlog == len(line)
    monkeypatch.setattr(gresque.outlet, "ROOM_SECONDS", 0.0)  # others keep it full
    outlet.drain()
    assert outlet.backlog < len(line)


def test_a_pipe_without_a_reader(outlet: Outlet, pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    for _ in range(3):
        outlet.write(b"a\nb\n")
    assert (outlet.dropped, outlet.backlog) == (6, 0)


def test_a_full_disk_and_a_closed_descriptor() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(fd, "test")
    outlet.write(b"a\nb\n")
    assert outlet.dropped == 2
    os.close(fd)
    outlet.write(b"no newline")
    assert outlet.dropped == 3


def test_lines_missing_for_an_error_are_counted_once_there_is_room(tmp_path: Path) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(fd, "test")
    outlet.write(b"a\nb\n")
    outlet.write(b"c\n")
    with (tmp_path / "log").open("wb") as log:
        os.dup2(log.fileno(), fd)  # as somebody who redirects it
        outlet.write(b"d\n")
        outlet.write(b"e\n")
    told = b"gresque: 3 lines are missing here: No space left on device\n"
    assert (tmp_path / "log").read_bytes() == told + b"d\ne\n"
    os.close(fd)


def test_a_socket_that_nobody_reads() -> None:
    ours, theirs = socket.socketpair()
    outlet = Outlet(ours.fileno(), "test")
    for _ in range(20_000):
        outlet.write(LINE)
    assert ours.getblocking()
    assert outlet.dropped > 0
    got = b""
    while outlet.backlog:
        got += read_all(theirs.fileno())
        outlet.drain()
    outlet.write(b"\n")
    got += read_all(theirs.fileno())
    assert got.count(LINE) + missing(got) == 20_000
    theirs.close()
    outlet.write(LINE)
    assert outlet.dropped == 1
    outlet._own.close()
    ours.close()


def test_a_stopped_terminal() -> None:
    leader, follower = pty.openpty()
    termios.tcflow(follower, termios.TCOOFF)  # Ctrl-S
    outlet = Outlet(follower, "test")
    for _ in range(20_000):
        outlet.write(LINE)
    assert outlet.dropped > 0
    termios.tcflow(follower, termios.TCOON)
    outlet.drain()
    assert select.select([leader], [], [], 60)[0], "the kernel passes it on in its time"
    assert read_all(leader).startswith(LINE[:-1])
    os.close(leader)
    os.close(follower)


def test_a_signal_in_the_middle_of_a_write_neither_waits_nor_tears(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], "test")
    before = signal.signal(signal.SIGALRM, lambda *_: outlet.write(b"tick\n") and None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        got = b""
        for _ in range(20_000):
            outlet.write(b"line\n")
            got += read_all(pipe[0])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    outlet.drain()
    lines = (got + read_all(pipe[0])).splitlines()
    assert lines.count(b"line") == 20_000
    assert set(lines) == {b"line", b"tick"}


def test_threads_do_not_tear_each_others_lines(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], "test")
    writers = [
        threading.Thread(target=lambda: [outlet.write(LINE) for _ in range(5_000)])
        for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    got = b""
    while any(writer.is_alive() for writer in writers) or outlet.backlog:
        got += read_all(pipe[0])
        outlet.drain()
    for writer in writers:
        writer.join()
    outlet.write(b"\n")
    got += read_all(pipe[0])
    assert got.count(LINE) + missing(got) == 20_000
    assert set(MISSING.sub(b"", got).splitlines()) == {LINE[:-1], b""}


def test_a_forked_child_leaves_to_its_parent_what_the_parent_kept(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], "test")
    for _ in range(20_000):
        outlet.write(LINE)
    outlet.start_afresh()
    assert (outlet.backlog, outlet.dropped) == (0, 0)
    assert outlet.finish() == 0


def test_the_end_waits_for_who_reads_only(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet = Outlet(pipe[1], "test")
    for _ in range(2_000):
        outlet.write(LINE)
    kept = outlet.backlog
    assert outlet.finish() * len(LINE) >= kept > 0
    monkeypatch.setattr(gresque.outlet, "STILL_SECONDS", 60.0)
    monkeypatch.setattr(gresque.outlet, "PARTING_SECONDS", 60.0)
    began = time.monotonic()
    assert outlet.finish() > 0
    assert time.monotonic() - began < 30, "no child waits where one has waited"
    assert os.read(pipe[0], 1 << 16)
    outlet.drain()
    got: list[bytes] = []

    def read() -> None:
        while sum(map(len, got)) < 2_000 * len(LINE) - (1 << 16):
            got.append(os.read(pipe[0], 1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    assert outlet.finish() == 0
    reader.join()


class Killed(BaseException):
    pass


def test_an_interrupt_waits_for_the_end_of_a_write(tmp_path: Path) -> None:
    """A kill in the middle would leave the lock taken."""
    path = tmp_path / "out"
    outlet = Outlet(os.open(path, os.O_WRONLY | os.O_CREAT), "stdout")
    callers = []

    def go_on(caller: FrameType) -> None:
        callers.append(caller.f_code.co_name)
        assert not in_write(caller)
        raise Killed

    def interrupt(number: int, frame: FrameType | None) -> None:
        assert in_write(frame)
        after_write(go_on)

    send = outlet._write_plainly

    def interrupted_send(data: bytes, depth: int = 20) -> int:
        """As deep as where a record about missing lines is formatted."""
        if depth:
            return interrupted_send(data, depth - 1)
        signal.raise_signal(signal.SIGUSR1)
        return send(data)

    outlet._write_plainly = interrupted_send  # type: ignore[method-assign]
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Killed):
            outlet.write(b"one\n")
        other = threading.Thread(target=outlet.write, args=(b"two\n",))
        outlet._write_plainly = send  # type: ignore[method-assign]
        outlet._send = send
        after_write(go_on)  # of this thread, not of the other one
        other.start()
        other.join()
        with pytest.raises(Killed):
            outlet.write(b"three\n")
        outlet.write(b"four\n")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert path.read_bytes() == b"one\ntwo\nthree\nfour\n"
    assert callers == ["test_an_interrupt_waits_for_the_end_of_a_write"] * 2
    assert not in_write(None)
