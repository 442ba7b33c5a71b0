"""`gresque top` in a terminal, over real workers."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from contextlib import suppress

import pytest

from gresque.failure.entry import decode_entry
from tests.process.support import Bench, wait_for


def _plain(written: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode("utf-8", "replace"))


class Screen:
    """The program in a terminal of 80 × 24, and all that it has written there."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self.written = b""
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            os.environ.update({"TERM": "xterm-256color", "LANG": "C.UTF-8", **env})
            os.execv(sys.executable, [sys.executable, "-m", "gresque", *arguments])
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def until(self, text: str) -> None:
        """Wait until it is written, from now on."""
        self.written = b""
        deadline = time.monotonic() + 30
        while text not in _plain(self.written):
            assert time.monotonic() < deadline, f"{text!r} is not in {self.written[-3000:]!r}"
            self._read()

    def end(self) -> int:
        """Its exit code; what it writes until then is read."""
        deadline = time.monotonic() + 30
        while not (found := os.waitpid(self.pid, os.WNOHANG))[0]:
            assert time.monotonic() < deadline
            self._read()
        self._read()
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(found[1])

    @property
    def is_restored(self) -> bool:
        """It has left the second screen, and shows the cursor."""
        return b"\x1b[?1049l" in self.written and b"\x1b[?25h" in self.written

    def _read(self) -> None:
        if select.select([self._terminal], [], [], 0.05)[0]:
            with suppress(OSError):  # it has ended
                self.written += os.read(self._terminal, 65536)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_kill_by_key_and_the_terminal_restored(bench: Bench, number: signal.Signals) -> None:
    job_id = bench.client.enqueue_to("q", "Behave", "sleep", 60)
    bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.redis.keys("resque:running:*"))
    screen = Screen("top", REDIS_URL=bench.redis_url)
    screen.until('Behave("sleep"')
    screen.press("K")
    screen.until("Kill 1 job?")
    screen.press("y")
    screen.until("dead")
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry.exception, entry.payload["id"]) == ("DirtyExit", job_id)
    (audit,) = [each for _, each in bench.redis.xrange("resque:audit")]
    assert (audit[b"verb"], audit[b"from"]) == (b"kill", b"top")
    os.kill(screen.pid, number)
    assert screen.end() == 128 + number
    assert screen.is_restored
