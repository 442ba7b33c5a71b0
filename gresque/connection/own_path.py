"""Directories and files in which no other user can set a trap."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from gresque.errors import SettingsError

_MOST_LINKS = 40


class Untrusted(SettingsError):
    """Another user could have set a trap here."""


def own_directory(path: Path, *, shared: bool = False) -> Path:
    """Walk to a directory, make the missing parts, and return it without links. With `shared` it
    may be one like /tmp, where all users write but only owners rename and remove.

    Raises OSError, and Untrusted when the directory belongs to another user, or when another user
    could have placed it, a link on the way, or a file in it: files would be written and processes
    ended where that user wants it.
    """
    place = _walk(path)
    if shared:
        return place
    found = place.lstat()
    if found.st_mode & stat.S_ISVTX and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Untrusted(f"other users may write to {place}")
    for entry in place.iterdir():
        _check_owner(entry, entry.lstat())
    return place


def _walk(path: Path) -> Path:
    place, names, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    while names:
        name = names.pop()
        if name == "..":
            place = place.parent
            continue
        at = place / name
        try:
            found = at.lstat()
        except FileNotFoundError:
            at.mkdir(mode=0o700, exist_ok=True)
            found = at.lstat()
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(at))
            _check_owner(at, found)
            target = at.readlink()
            names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            place = Path("/") if target.is_absolute() else place
        else:
            _check_directory(at)
            place = at
    return place


def _check_directory(place: Path) -> None:
    """Only owners may rename or replace what is in the directory."""
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    _check_owner(place, found)
    if found.st_mode & stat.S_ISVTX:
        return
    if found.st_mode & stat.S_IWOTH or (
        found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid)
    ):
        raise Untrusted(f"other users may write to {place}; run: chmod go-w {place}")


def _check_owner(place: Path, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"{place} belongs to {_user(found.st_uid)}")


def _is_private(group: int) -> bool:
    """Whether a group is that of this user alone, as many systems give one to each."""
    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def open_own(path: str | Path, flags: int = 0, mode: int = 0o600) -> int:
    """Open a file for reading and writing, or make it. Follows no link and does not wait.

    Raises OSError, and Untrusted when it is not a plain file of this user.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) and Path(path).is_symlink():
            raise Untrusted(f"{path} is a symbolic link; remove it") from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Untrusted(f"{path} is not a plain file; give another path")
        if found.st_uid != os.geteuid():
            raise Untrusted(f"{path} belongs to {_user(found.st_uid)}; give another path")
        if found.st_nlink > 1:
            raise Untrusted(f"{path} is a hard link to a file elsewhere; remove it")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
