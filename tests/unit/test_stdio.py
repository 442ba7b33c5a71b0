"""Standard descriptors that are closed, terminals that are left, readers that are gone."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest


def read_all(fd: int) -> bytes:
    """What can be read at once."""
    got = b""
    while select.select([fd], [], [], 0)[0] and (chunk := os.read(fd, 1 << 16)):
        got += chunk
    return got


PROGRAM = """
import os, sys
from gresque import stdio
stdio.open_missing()
stdio.open_missing()
print("out", flush=True)
print("error", file=sys.stderr, flush=True)
assert sys.stdin.read() == ""
opened = os.open("/dev/zero", os.O_RDONLY)
assert opened > 2, opened
assert all(os.get_inheritable(fd) for fd in range(3))
stdio.never_wait()
stdio.never_wait()
print("line\\u00e9")
sys.stdout.buffer.write(b"bytes\\n")
assert sys.stdout.fileno() == 1 and not sys.stdout.isatty()
os._exit(0)
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_descriptors_that_are_closed_are_opened(closed: str, tmp_path: Path) -> None:
    out, error = tmp_path / "out", tmp_path / "error"
    shell = f'exec "$0" -c "$1" </dev/null >{out} 2>{error} {closed}'
    ran = subprocess.run(["sh", "-c", shell, sys.executable, PROGRAM])
    assert ran.returncode == 0, error.read_text()
    closes = closed.split()
    shown = "" if ">&-" in closes else "out\nline\u00e9\nbytes\n"
    assert (out.read_text("utf-8"), error.read_text()) == (
        shown,
        "" if "2>&-" in closes else "error\n",
    )


def test_a_terminal_that_is_left_is_closed() -> None:
    """Else an ssh session would wait for it."""
    program = (
        "import os, sys\n"
        "from gresque import stdio\n"
        "stdio.never_wait()\n"
        "print('here')\n"
        "print('here', file=sys.stderr)\n"
        "stdio.leave_terminal()\n"
        "print('not there')\n"
        "links = [os.readlink(f'/proc/self/fd/{fd}') for fd in range(10)\n"
        "         if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "assert not [link for link in links if 'pts' in link or 'ptmx' in link], links\n"
    )
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=follower, stdout=follower, stderr=follower
    ) as process:
        assert process.wait(60) == 0
    shown = b""
    while shown.count(b"\n") < 2:  # the kernel passes on what is written to a terminal in its time
        shown += os.read(leader, 1 << 16)
    assert shown + read_all(leader) == b"here\r\n" * 2
    os.close(follower)
    os.close(leader)


def test_a_named_pipe_may_get_another_reader(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    program = (
        "import os, sys\n"
        "from gresque import stdio\n"
        "stdio.never_wait()\n"
        "for line in sys.stdin:\n"
        "    print(stdio.forget_gone_readers(), flush=True)\n"
        "    print('line', line, end='', file=sys.stderr, flush=True)\n"
    )
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with path.open("wb") as pipe, subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=pipe, bufsize=0,
    ) as process:  # fmt: skip
        pipe.close()
        assert process.stdin and process.stdout
        os.close(reader)
        for line in (b"1\n", b"2\n"):
            process.stdin.write(line)
            assert process.stdout.readline() == b"[]\n"
        process.stdin.write(b"3\n")
        assert process.stdout.readline() == b"[]\n"
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        process.stdin.write(b"4\n")
        process.stdin.close()
        assert process.wait(60) == 0
        told = read_all(reader)
        assert b"missing here: Broken pipe\n" in told
        assert told.endswith(b"line 4\n")
        os.close(reader)


def test_a_reader_that_is_gone_is_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import os, sys\n"
        "from gresque.stdio import forget_gone_readers\n"
        "assert forget_gone_readers() == []\n"
        "print('here', flush=True)\n"
        "os.read(0, 1)\n"
        "assert forget_gone_readers() == ['stdout']\n"
        "assert forget_gone_readers() == []\n"
        "os.write(1, b'taken')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"here\n"
        process.stdout.close()
        os.write(process.stdin.fileno(), b"x")
        assert process.wait(60) == 0
