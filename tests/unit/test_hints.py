"""What a module uses, as `gresque check` sees it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from gresque.cli.hints import KINDS, LOOKUPS, hints, names_used
from tests.process.support import ROOT

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Make a module of this source, without running it; returns its name."""

    def write(source: str) -> str:
        path = tmp_path / "used_names.py"
        path.write_text(source)
        module = types.ModuleType("used_names")
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, "used_names", module)
        import linecache

        linecache.checkcache()
        return "used_names"

    return write


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import os\nos.fork()", "os.fork"),
        ("import os as o\ndef f():\n    o.fork()", "os.fork"),
        ("from os import fork", "os.fork"),
        (
            "from concurrent import futures\nfutures.ProcessPoolExecutor",
            "concurrent.futures.ProcessPoolExecutor",
        ),
        ("def f():\n    import multiprocessing.pool", "multiprocessing.pool"),
        ("import threading\nthreading.local()", "threading.local"),
        ("from signal import signal as s", "signal.signal"),
        ("import django.db\ndjango.db.connection.close()", "django.db.connection.close"),
    ],
)  # fmt: skip
def test_names_are_found(write: Write, source: str, name: str) -> None:
    module = write(source)
    assert name in names_used(module)
    assert len(hints([module], 1, None)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import os, threading, signal, concurrent.futures\nos.getpid()\nthreading.Lock()",
        "from concurrent.futures import ThreadPoolExecutor",
        "from . import asyncio",
        "import sqlite3_not\nx.fork()",
        "",
    ],
)
def test_nothing_is_said_of_others(write: Write, source: str) -> None:
    assert hints([write(source)], 1000, None) == []


def test_lookups_matter_for_many_threads_with_the_default_resolver(write: Write) -> None:
    module = write("import requests")
    assert hints([module], 10, None) == hints([module], 1000, "ares") == []
    (hint,) = hints([module], 11, None)
    assert hint.startswith("used_names uses requests: names are looked up 10 at a time")


def test_the_page_has_a_section_for_each() -> None:
    page = (ROOT / "docs" / "writing-jobs.md").read_text("utf-8").lower()
    for kind in (*KINDS, LOOKUPS):
        assert any(name.split(".")[0] in page for name in kind.names), kind
