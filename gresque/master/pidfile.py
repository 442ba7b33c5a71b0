"""The pidfile: holds the master's pid, and keeps a second master from starting with it."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from gresque.connection.own_path import Untrusted, open_own
from gresque.errors import SettingsError

_PID = re.compile(rb"\s*\d*\s*")


class PidFile:
    """A file with the pid of a live master, which holds a lock on it.

    Nothing else is overwritten: no link is followed, and a file of another user, or one that holds
    something other than a pid, is refused.

    The kernel drops the lock when the master dies in any way, and no child inherits it. So a stale
    file differs from one in use, even when another process has that pid now.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()
        self._fd = -1

    def write(self) -> None:
        """Create the file, or take over a stale one. Raises SettingsError if another has it."""
        try:
            while not self._lock():
                os.close(self._fd)  # another master removed it meanwhile
            if not _PID.fullmatch(os.read(self._fd, 32)):
                raise Untrusted(f"{self._path} holds something other than a pid")
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except (OSError, Untrusted) as error:
            raise SettingsError(f"cannot write the pidfile: {error}") from None

    def _lock(self) -> bool:
        self._fd = open_own(self._path, mode=0o644)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            pid = os.read(self._fd, 32).decode("ascii", "replace").strip()
            raise SettingsError(
                f"the pidfile {self._path} belongs to a running gresque master (pid {pid}); "
                "stop that one first, or give another --pidfile"
            ) from None
        return self._is_ours()

    def remove(self) -> None:
        """Remove it at the master's end, unless another file stands in its place."""
        if self._fd >= 0 and self._is_ours():
            self._path.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.lstat())
        except FileNotFoundError:
            return False
