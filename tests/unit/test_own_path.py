"""Paths that another user could have prepared are refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gresque.connection import own_path
from gresque.connection.own_path import Untrusted, open_own, own_directory
from gresque.errors import SettingsError
from gresque.master.pidfile import PidFile

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs files of another user")


def foreign_directory(tmp: Path) -> Path:
    (tmp / "d").mkdir()
    os.chown(tmp / "d", NOBODY, NOBODY)
    return tmp / "d"


def below_a_foreign_directory(tmp: Path) -> Path:
    return foreign_directory(tmp) / "below"


def own_below_a_foreign_directory(tmp: Path) -> Path:
    below = below_a_foreign_directory(tmp)
    below.mkdir()
    return below


def foreign_link(tmp: Path) -> Path:
    (tmp / "precious").mkdir(mode=0o700)
    (tmp / "d").symlink_to(tmp / "precious")
    os.lchown(tmp / "d", NOBODY, NOBODY)
    return tmp / "d"


def link_to_a_foreign_link(tmp: Path) -> Path:
    (tmp / "mine").symlink_to(foreign_link(tmp))
    return tmp / "mine"


def below_a_foreign_link(tmp: Path) -> Path:
    return foreign_link(tmp) / "below"


def foreign_link_that_leads_nowhere(tmp: Path) -> Path:
    (tmp / "d").symlink_to(tmp / "new")
    os.lchown(tmp / "d", NOBODY, NOBODY)
    return tmp / "d"


def foreign_entry(tmp: Path) -> Path:
    (tmp / "d").mkdir(mode=0o700)
    (tmp / "d" / "users.lock").symlink_to("/etc/passwd")
    os.lchown(tmp / "d" / "users.lock", NOBODY, NOBODY)
    return tmp / "d"


def with_mode(mode: int) -> Callable[[Path], Path]:
    def make(tmp: Path) -> Path:
        (tmp / "d").mkdir()
        (tmp / "d").chmod(mode)
        return tmp / "d"

    make.__name__ = f"with_mode_{mode:o}"
    return make


def below_mode(mode: int) -> Callable[[Path], Path]:
    def make(tmp: Path) -> Path:
        below = with_mode(mode)(tmp) / "below"
        below.mkdir(mode=0o700)
        return below

    make.__name__ = f"below_mode_{mode:o}"
    return make


def back_up_from(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """A link into a place that is not safe, and out of it again."""

    def make_it(tmp: Path) -> Path:
        (tmp / "safe").mkdir(mode=0o700)
        (tmp / "there").symlink_to(make(tmp) / ".." / "safe")
        return tmp / "there"

    make_it.__name__ = f"back_up_from_{make.__name__}"
    return make_it


@as_root
@pytest.mark.parametrize(
    "make",
    [
        foreign_directory,
        below_a_foreign_directory,
        own_below_a_foreign_directory,
        foreign_link,
        link_to_a_foreign_link,
        below_a_foreign_link,
        foreign_link_that_leads_nowhere,
        foreign_entry,
        back_up_from(foreign_directory),
        back_up_from(foreign_link),
    ],
)
def test_what_belongs_to_another_user_is_refused(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    with pytest.raises(Untrusted, match=r"^\S+ belongs to user nobody$"):
        own_directory(path)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "precious" / "below").exists()


@pytest.mark.parametrize(
    "make", [with_mode(0o777), with_mode(0o1777), with_mode(0o702), below_mode(0o777)]
)
def test_what_others_may_write_to_is_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=r"^other users may write to \S+"):
        own_directory(make(tmp_path))


@pytest.mark.parametrize("private", [True, False])
def test_a_group_of_one_is_nobody_else(
    private: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_path, "_is_private", lambda group: private)
    path = below_mode(0o775)(tmp_path)
    if private:
        assert own_directory(path) == path
    else:
        with pytest.raises(Untrusted, match="chmod go-w"):
            own_directory(path)


@pytest.mark.parametrize("make", [with_mode(0o700), with_mode(0o755), below_mode(0o1777)])
def test_what_nobody_else_may_write_to_is_taken(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    assert own_directory(path) == path


def test_what_is_missing_is_made_for_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0)
    monkeypatch.chdir(tmp_path)
    try:
        assert own_directory(Path("a/b/../c")) == tmp_path / "a" / "c"
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/c")} == {0o700}


def test_own_links_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to("up/../d")
    (tmp_path / "up").mkdir()
    assert own_directory(tmp_path / "there" / "e") == tmp_path / "d" / "e"


# Files


def link(path: Path) -> None:
    (path.parent / "victim").write_text("precious, and longer than a pid")
    path.symlink_to(path.parent / "victim")


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "victim")


def hard_link(path: Path) -> None:
    (path.parent / "victim").write_text("1234")
    path.hardlink_to(path.parent / "victim")


def foreign_file(path: Path) -> None:
    path.write_text("1234")
    os.chown(path, NOBODY, NOBODY)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def directory(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    os.mknod(path, 0o20666, os.makedev(1, 3))


def something_else(path: Path) -> None:
    path.write_text("import gresque\n")


traps = [
    pytest.param(link, "symbolic link"),
    pytest.param(link_to_nothing, "symbolic link"),
    pytest.param(hard_link, "hard link"),
    pytest.param(foreign_file, "belongs to user nobody", marks=as_root),
    pytest.param(pipe, "not a plain file"),
    pytest.param(device, "not a plain file", marks=as_root),
    pytest.param(unix_socket, "No such device or address"),
    pytest.param(directory, "Is a directory"),
]


@pytest.mark.parametrize(("make", "told"), traps)
def test_a_file_that_is_a_trap_is_refused(
    make: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    make(tmp_path / "file")
    with pytest.raises((Untrusted, OSError), match=told):
        open_own(tmp_path / "file")


@pytest.mark.parametrize(
    ("make", "told"), [*traps, pytest.param(something_else, "something other than a pid")]
)
def test_a_pidfile_that_is_a_trap_is_refused(
    make: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    path, victim = tmp_path / "g.pid", tmp_path / "victim"
    make(path)
    before = victim.read_text() if victim.exists() else None
    content = path.read_text() if make is something_else else None
    with pytest.raises(SettingsError, match=rf"^cannot write the pidfile: [^\n]*{told}"):
        PidFile(str(path)).write()
    assert (victim.read_text() if victim.exists() else None) == before
    assert content is None or path.read_text() == content


@pytest.mark.parametrize("content", ["", "1234\n", "9999999999999999999"])
def test_a_stale_pidfile_is_taken_over(content: str, tmp_path: Path) -> None:
    path = tmp_path / "g.pid"
    path.write_text(content)
    file = PidFile(str(path))
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()
    assert not path.exists()


def test_a_pidfile_that_was_replaced_by_a_link_stays(tmp_path: Path) -> None:
    path = tmp_path / "g.pid"
    file = PidFile(str(path))
    file.write()
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    file.remove()
    assert path.is_symlink()
