"""A file object for a standard descriptor: a write to it never waits and never raises."""

from __future__ import annotations

import errno
import fcntl
import io
import mmap
import os
import select
import socket
import stat
import sys
import termios
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from gresque.unpatched import original

BACKLOG_BYTES = 1 << 20
"""Kept by a process for a slow reader; more is dropped."""

ROOM_SECONDS = 1.0
"""How long a line waits until a pipe takes all of it."""

PARTING_SECONDS = 1.0
STILL_SECONDS = 0.05
"""A process that ends waits PARTING_SECONDS for a reader that goes on reading, and this long for
one that does not."""

_PAGE_BYTES = 4096
"""A pipe has room for 16 pages, which writes fill by half or more."""
_TERMINAL_BYTES = 256
_PARTS = 1000


class Outlet(io.RawIOBase):
    """Writes to a standard descriptor, never waits and never raises.

    Output that cannot be written now is kept, up to BACKLOG_BYTES, and written with later output or
    by `drain`. Output that does not fit, or cannot be written at all, is dropped by whole writes.
    Its lines are counted; a line with their number precedes the next write that gets through.

    The descriptor itself does not become non-blocking: that would hold for the shell and for all
    other programs that share it. A pipe or terminal is opened a second time instead, and a socket
    takes a flag for each call.

    Native threads, signal handlers and any greenlet may write. One of them at a time has the
    descriptor, the others leave their data to that one.
    """

    def __init__(self, fd: int, name: str) -> None:
        super().__init__()
        self.name = f"<{name}>"
        self.mode = "wb"
        self.notice: Callable[[str], bytes] = lambda text: f"gresque: {text}\n".encode()
        """Makes the line that reports missing lines."""
        self._fd = fd
        self._target: os.stat_result | None = None
        self._own: Any = None
        self._send: Callable[[bytes], int] = self._write_plainly
        self._queue: deque[tuple[int, bytes]] = deque()
        """Output to be written, and how many lines were dropped before it."""
        self._size = 0
        self._full = False
        self._refused: deque[int] = deque()
        """Lines that were dropped because of `_full`, counted in parts: threads add to it, and each
        step of theirs is a single one."""
        self._failed = 0
        self.cause = "its reader does not keep up"
        """Why lines were dropped last."""
        self._pipe_bytes = 0
        """How much the pipe holds; 0 of anything else."""
        self._no_room_since: float | None = None
        self._stuck = mmap.mmap(-1, 1)
        """1 when the end of a process found no reader, until there is one: there is no use in
        waiting again. Shared with all forked children."""
        self._lock = original("_thread", "allocate_lock")()

    def start_afresh(self) -> None:
        """In a forked child: kept and counted output is left to the parent."""
        self._queue.clear()
        self._refused.clear()
        self._size = self._failed = 0
        self._full = False
        self._no_room_since = None
        self._lock = original("_thread", "allocate_lock")()

    # As a file

    def writable(self) -> bool:
        return True

    @property
    def raw(self) -> Outlet:
        """As of the buffer that `sys.stdout` usually has."""
        return self

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return is_terminal(self._fd)

    def close(self) -> None:
        """A standard descriptor stays open."""

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        self._take(chunk)
        if _interrupted is not None:
            _go_on()
        return len(chunk)

    def _take(self, chunk: bytes) -> None:
        if self._write_at_once(chunk):
            return
        if self._full:
            self.drain()
            if not self._queue:  # another thread has written all of it since this one looked
                self._full = False
        if self._full:
            self._refused.append(_lines(chunk))
            if len(self._refused) > _PARTS:
                self._refused.append(self._take_refused())
            self.cause = "its reader does not keep up"
        elif chunk:
            refused = self._take_refused()
            self._size += len(chunk)
            self._queue.append((refused, chunk))
            self.drain()
            self._full = self.backlog > BACKLOG_BYTES

    def _write_at_once(self, chunk: bytes) -> bool:
        """The short way, when nothing waits and nothing is missing: True when it could be gone."""
        if self._queue or self._full or self._failed or self._refused:
            return False
        if not self._lock.acquire(False):
            return False
        try:
            self._follow()
            sent = self._send(chunk)
            self._stuck[0] = 0
            if sent < len(chunk):
                self._size = len(chunk) - sent
                self._queue.appendleft((0, chunk[sent:]))
        except OSError:
            return False
        finally:
            self._lock.release()
        if self._queue:
            self.drain()  # other threads have left lines to this one meanwhile
        return True

    def _take_refused(self) -> int:
        lines = 0
        with suppress(IndexError):
            while True:
                lines += self._refused.popleft()
        return lines

    # Writing

    @property
    def backlog(self) -> int:
        """How many bytes wait for the reader."""
        return self._size if self._queue else 0

    @property
    def dropped(self) -> int:
        """How many dropped lines have not been reported yet."""
        refused = sum(list(self._refused))
        return self._failed + refused + sum(lost for lost, _ in list(self._queue))

    def drain(self) -> None:
        """Write what can be written now."""
        # A thread that finds it taken has appended before; its owner looks again after the release.
        while self._queue and self._lock.acquire(False):
            try:
                done = self._write_queue()
            finally:
                self._lock.release()
            if not done:
                return

    def _write_queue(self) -> bool:
        """False when the rest must wait."""
        self._follow()
        queue = self._queue
        while queue:
            lost, chunk = queue.popleft()
            missing = lost + self._failed
            data = self._tell(missing) + chunk if missing else chunk
            try:
                sent = self._send(data)
            except BlockingIOError:
                queue.appendleft((lost, chunk))
                return False
            except OSError as error:
                self._size -= len(chunk)
                self._failed = missing + _lines(chunk)
                self.cause = error.strerror or str(error)
                continue
            self._failed = 0
            self._stuck[0] = 0
            self._size += len(data) - len(chunk) - sent
            if sent < len(data):
                queue.appendleft((0, data[sent:]))
            if self._full and self._size <= BACKLOG_BYTES // 2:
                self._full = False
        self._size = 0
        self._full = False
        return True

    def _tell(self, missing: int) -> bytes:
        return self.notice(f"{count_lines(missing)} missing here: {self.cause}")

    def finish(self) -> int:
        """At the end of the process: write what can be written without waiting for long. Returns
        how many lines are lost and not reported."""
        deadline = time.monotonic() + PARTING_SECONDS
        poll = original("select", "poll")()
        poll.register(self._fd, select.POLLOUT)
        self.drain()
        left, since = self._size, time.monotonic()
        while self._queue and not self._stuck[0] and time.monotonic() < deadline:
            if not poll.poll(STILL_SECONDS * 1000) or time.monotonic() - since > STILL_SECONDS:
                self._stuck[0] = 1
                break
            self.drain()
            if self._size != left:
                left, since = self._size, time.monotonic()
            elif self._queue:
                original("time", "sleep")(0.001)  # there is room, but not for a whole line
        self._pipe_bytes = 0
        self.drain()
        return self.dropped + sum(_lines(chunk) for _, chunk in self._queue)

    # How to write

    def follow(self) -> None:
        """Keep no state of the old file once the descriptor has become another one."""
        if self._lock.acquire(False):
            try:
                self._follow()
            finally:
                self._lock.release()

    def _follow(self) -> None:
        """Find out how to write, again when the descriptor has become another file."""
        try:
            target = os.fstat(self._fd)
        except OSError:  # closed: a write will say so
            target = None
        if target and self._target and os.path.samestat(target, self._target):
            return
        if isinstance(self._own, int):
            os.close(self._own)
        self._target, self._own, self._pipe_bytes = target, None, 0
        self._send = self._write_plainly
        if target is None:
            return
        if stat.S_ISSOCK(target.st_mode):
            self._own = _socket(self._fd)
            self._send = self._write_to_socket
        elif stat.S_ISFIFO(target.st_mode) or is_terminal(self._fd):
            self._own = _opened_again(self._fd, target)
            self._send = self._write_carefully if self._own is None else self._write_to_own
            if stat.S_ISFIFO(target.st_mode) and hasattr(fcntl, "F_GETPIPE_SZ"):
                self._pipe_bytes = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)

    def _write_plainly(self, data: bytes) -> int:
        return os.write(self._fd, data)

    def _write_to_own(self, data: bytes) -> int:
        self._need_room(len(data))
        return os.write(self._own, data)

    def _need_room(self, size: int) -> None:
        """Raise BlockingIOError while a pipe does not take all of it: where a second write is to
        complete it, lines of other processes come in between. What is longer than the pipe goes
        into an empty one, and nothing waits for long where others always fill it."""
        if size <= select.PIPE_BUF or not self._pipe_bytes:
            return
        unread = int.from_bytes(fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        now = time.monotonic()
        if not unread or 2 * (unread + _PAGE_BYTES) + size <= self._pipe_bytes:
            self._no_room_since = None
        elif self._no_room_since is None:
            self._no_room_since = now
        if self._no_room_since is not None and now - self._no_room_since < ROOM_SECONDS:
            raise BlockingIOError(errno.EAGAIN, "full")

    def _write_to_socket(self, data: bytes) -> int:
        return int(self._own.send(data, socket.MSG_DONTWAIT))

    def _write_carefully(self, data: bytes) -> int:
        """To a pipe or terminal of another user, which cannot be opened again: `gresque work` as
        root's child with a user of its own."""
        self._need_room(len(data))
        try:
            return os.pwritev(self._fd, [data], -1, os.RWF_NOWAIT)
        except BlockingIOError:
            raise
        except (AttributeError, OSError):  # not for terminals, nor with an old kernel
            pass
        poll = original("select", "poll")()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, "full")
        most = _TERMINAL_BYTES if is_terminal(self._fd) else select.PIPE_BUF
        return os.write(self._fd, data[:most])


# A signal handler raises the kill of a job, or lets other greenlets run, wherever the job stands.
# In the middle of a write that could leave the lock taken: the process would write nothing more.

_interrupted: tuple[int, Callable[[FrameType], None]] | None = None
"""The native thread that was interrupted in a write, and what its handler is to do then."""

_MOST_FRAMES = 40
"""A write that reports missing lines formats a record, some fifteen frames deep."""


def in_write(frame: FrameType | None) -> bool:
    """Whether this frame is part of a write."""
    for _ in range(_MOST_FRAMES):
        if frame is None:
            break
        if frame.f_code is Outlet.write.__code__:
            return True
        frame = frame.f_back
    return False


def after_write(go_on: Callable[[FrameType], None]) -> None:
    """Called by a signal handler whose frame is `in_write`: do this when the write is done, with
    the frame of its caller."""
    global _interrupted
    _interrupted = original("_thread", "get_ident")(), go_on


def _go_on() -> None:
    global _interrupted
    if _interrupted is not None and _interrupted[0] == original("_thread", "get_ident")():
        go_on = _interrupted[1]
        _interrupted = None
        go_on(sys._getframe(2))


def _opened_again(fd: int, target: os.stat_result) -> int | None:
    """A descriptor of our own for the same pipe or terminal, which does not wait."""
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    if os.path.samestat(os.fstat(own), target):
        return own
    os.close(own)
    return None


def _socket(fd: int) -> Any:
    # Not gevent's, whose `send` waits; and a copy, since a socket closes what it was made of.
    return original("socket", "socket")(fileno=os.dup(fd))


def count_lines(lines: int) -> str:
    """`1 line is`, `2,000 lines are`."""
    return "1 line is" if lines == 1 else f"{lines:,} lines are"


def _lines(chunk: bytes) -> int:
    return max(chunk.count(b"\n"), 1)


def is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:  # closed
        return False
