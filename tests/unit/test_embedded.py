"""Embedded servers: they come with their first user and go with the last, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import redis

from tests.support.embedded import DEADLINE_SECONDS, STAY, Place, User, ask, wait_for
from tests.support.embedded import place_fixture as place_fixture
from tests.support.programs import PATCHED


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
