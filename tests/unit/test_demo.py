"""The parts of the demo that need no workers."""

from __future__ import annotations

import contextlib
import http.server
import io
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from gresque.client.client import Client
from gresque.demo import processes
from gresque.demo.interrupts import Interrupts
from gresque.demo.jobs import fetch
from gresque.demo.library import library, requests
from gresque.demo.run import Demo, Plan, _what_next
from gresque.demo.screen import Screen
from gresque.demo.server import AGAIN_SECONDS, LONGEST_SECONDS, MEAN_SECONDS, NOT_FOUND, Site
from gresque.errors import SettingsError

FILES = {"/a.py": b"a = 1\n", "/b%20c.py": b"b = 2\n"}


def test_the_library_is_this_pythons() -> None:
    files = library()
    assert len(files) > 500
    assert b"def dataclass" in files["/dataclasses.py"]
    assert not [path for path in files if "site-packages" in path]


def test_no_url_comes_twice() -> None:
    first = [each.url for each in islice(requests("http://x", FILES, "one"), 5)]
    second = [each.url for each in islice(requests("http://x", FILES, "two"), 5)]
    assert len({*first, *second}) == 10
    assert first[0].startswith("http://x/a.py?")
    assert first[3].startswith("http://x/b%20c.py?")


def test_the_server_answers_what_it_has() -> None:
    site = Site(FILES)
    assert site.answer(b"/a.py?one-1").endswith(b"\r\nContent-Length: 6\r\n\r\na = 1\n")
    for target in (b"/../a.py", b"/etc/passwd", b"", b"?"):
        assert site.answer(target) == NOT_FOUND


def test_the_server_is_late_as_servers_are_and_soon_with_what_it_knows() -> None:
    site = Site(FILES)
    seconds = [site.latency_seconds(b"/a.py?%d" % number) for number in range(5000)]
    assert sum(seconds) / len(seconds) == pytest.approx(MEAN_SECONDS, rel=0.05)
    assert min(seconds) < 0.4 and max(seconds) <= LONGEST_SECONDS
    assert site.latency_seconds(b"/a.py?7") == AGAIN_SECONDS


@pytest.fixture
def server_url() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/a.py" else 404)
            self.end_headers()
            self.wfile.write(FILES["/a.py"])

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_fetch_checks_what_came(server_url: str) -> None:
    (right,) = islice(requests(server_url, {"/a.py": FILES["/a.py"]}, "x"), 1)
    url = right.url.partition("?")[0]
    fetch(url, right.sha256)
    with pytest.raises(ValueError, match="what came is not the file"):
        fetch(url, "0" * 64)
    with pytest.raises(ValueError, match="status 404"):
        fetch(f"{server_url}/b.py", right.sha256)


def test_a_low_limit_of_files_says_how_many_greenlets_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: set_to.append(limits))
    set_to: list[tuple[int, int]] = []
    with pytest.raises(SettingsError, match=r"allows 1,024 .*; run it with --threads 412$"):
        processes.raise_file_limit(1000)
    processes.raise_file_limit(412)
    assert set_to == [(1024, 1024)]
    processes.raise_file_limit(20)
    assert len(set_to) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_status_is_for_terminals_and_makes_room_for_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 5.0)
    for output, expected in [
        (io.StringIO(), "event\n"),
        (Terminal(), "\r  0.0 s  going\033[K\r\033[Kevent\n"),
    ]:
        with contextlib.redirect_stdout(output):
            screen = Screen()
            screen.status("going")
            screen.status("too soon for another one")
            screen.say("event")
        assert output.getvalue() == expected


def test_what_it_says_to_type_works_in_any_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "an Übungs'platz" / "bin"
    home.mkdir(parents=True)
    for name in ("gresque", "activate"):
        (home / name).write_text("echo $0 of $REDIS_URL $*")
        (home / name).chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(home / "python"))
    with contextlib.closing(
        Client("redis://127.0.0.1:1/0?socket_timeout=2&socket_connect_timeout=1")
    ) as client:
        Demo(Plan(2, 1, "redis://elsewhere"), Interrupts())._introduce(client)
    typed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    typed += [line for line in _what_next() if "activate" in line]
    shown = subprocess.run(
        ["sh", "-ec", "\n".join(typed)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    where = f"{home}/gresque of redis://127.0.0.1:1/0?socket_timeout=2&socket_connect_timeout=1"
    assert shown[:3] == [f"{where} status", f"{where} running -n 5", f"{where} web"]
    assert len(shown) == 4
