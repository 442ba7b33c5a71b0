"""The plugin of pytest: fixtures by these names, in every project that has gresque installed.

It is imported in each run of pytest, so all else is imported by the fixtures themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gresque.testing.fake import FakeJobs
    from gresque.testing.server import TestServer, WorkerRun


@pytest.fixture
def gresque_fake() -> Iterator[FakeJobs]:
    """Jobs wait in the test, which looks at them and runs them: `gresque.testing.fake()`."""
    from gresque.testing.modes import fake

    with fake() as jobs:
        yield jobs


@pytest.fixture
def gresque_inline() -> Iterator[None]:
    """Jobs run at once in their caller: `gresque.testing.inline()`."""
    from gresque.testing.modes import inline

    with inline():
        yield


@pytest.fixture(scope="session")
def _gresque_server() -> Iterator[str]:
    """One for each process of pytest-xdist."""
    from gresque.testing.server import embedded_server

    with embedded_server() as url:
        yield url


@pytest.fixture
def gresque_redis(_gresque_server: str) -> Iterator[TestServer]:
    """An embedded Valkey, for all clients of the program, in a namespace of the test's own. It
    needs the extra `embedded`."""
    from gresque.testing.server import server

    with server(_gresque_server) as found:
        yield found


@pytest.fixture
def gresque_worker(
    gresque_redis: TestServer, request: pytest.FixtureRequest
) -> Callable[..., WorkerRun]:
    """Runs `gresque work --burst` on `gresque_redis`: `gresque_worker(*flags, queues="*",
    require=None, timeout_seconds=60)`. A test that fails shows its output."""

    def work(*flags: str, **options: Any) -> WorkerRun:
        run = gresque_redis.work(*flags, **options)
        request.node.add_report_section("call", "gresque work", run.output)
        return run

    return work
