"""Every script that a unit test runs fails when it touches a key that was not declared; commands
are called in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from gresque.cli.main import run
from tests.support.cli import Answer, Call, Terminal
from tests.support.declared_keys import keys_are_checked
from tests.support.pool_bench import open_bench_fixture as open_bench_fixture


@pytest.fixture(scope="package", autouse=True)
def _keys_are_checked() -> Iterator[None]:
    with keys_are_checked():
        yield


@pytest.fixture
def call(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run `gresque …` in this process, against the test's Redis."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    def call(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Answer:
        kind = Terminal if terminal else io.TextIOWrapper
        monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(stdin)))
        code = run(list(arguments))
        return Answer(code, *capsys.readouterr())

    return call
