"""Hints about job modules: things they use that work differently in a worker, with the remedy."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PAGE = "docs/writing-jobs.md"


class Kind(NamedTuple):
    """The remedy, and the names that ask for it; a name stands for all below it."""

    remedy: str
    names: tuple[str, ...]


KINDS = (
    Kind(
        "a process that a job forks runs the job's code only; end a pool in the job that made it",
        (
            "multiprocessing", "concurrent.futures.ProcessPoolExecutor",
            "concurrent.futures.process", "os.fork", "os.forkpty", "billiard", "loky", "joblib",
            "pebble",
        ),
    ),
    Kind(
        "asyncio.run() works in one job of a process at a time; run it in a "
        "gevent.threadpool.ThreadPool",
        (
            "asyncio", "anyio", "trio", "uvloop", "aiohttp", "asgiref.sync.async_to_sync",
            "httpx.AsyncClient", "playwright.sync_api",
        ),
    ),
    Kind(
        "sqlite waits for a lock in C and so blocks every job of its process; connect with "
        "timeout=0 and try again",
        ("sqlite3", "apsw", "pysqlite3", "pysqlcipher3", "peewee.SqliteDatabase"),
    ),
    Kind(
        "a worker process has handlers of its own; for time limits use timeout_seconds or "
        "gevent.Timeout",
        (
            "signal.signal", "signal.alarm", "signal.setitimer", "signal.sigwait",
            "signal.set_wakeup_fd",
        ),
    ),
    Kind(
        "the next job finds what a job leaves in a thread-local; use contextvars, or clean up in "
        "a finally",
        (
            "threading.local", "gevent.local.local", "werkzeug.local.Local", "asgiref.local.Local",
            "sqlalchemy.orm.scoped_session",
        ),
    ),
    Kind(
        "a process keeps up to THREAD_COUNT connections; call django.db.close_old_connections() "
        "at the end of each job",
        ("django",),
    ),
    Kind(
        "its pool has 15 connections for all jobs of a process; set pool_size to THREAD_COUNT, "
        "and call engine.dispose(close=False) in an after_fork hook",
        ("sqlalchemy", "sqlmodel", "flask_sqlalchemy"),
    ),
    Kind(
        "a call in C blocks every job of its process; run such waits in "
        "gevent.get_hub().threadpool",
        ("ctypes", "cffi"),
    ),
)  # fmt: skip

LOOKUPS_AT_ONCE = 10
LOOKUPS = Kind(
    f"names are looked up {LOOKUPS_AT_ONCE} at a time in each process, so that a name server that "
    "hangs holds up all jobs; set GEVENT_RESOLVER=ares, or a larger thread pool",
    (
        "requests", "httpx", "urllib3", "http.client", "urllib.request", "socket.getaddrinfo",
        "socket.create_connection", "socket.gethostbyname", "boto3",
    ),
)  # fmt: skip


def hints(job_modules: Iterable[str], thread_count: int, resolver: str | None) -> list[str]:
    """A line for each kind that these modules use, functions included. `resolver` is
    GEVENT_RESOLVER."""
    used: dict[str, str] = {}
    for module in sorted(job_modules):
        for each in names_used(module):
            used.setdefault(each, module)
    kinds: tuple[Kind, ...] = KINDS
    if thread_count > LOOKUPS_AT_ONCE and not resolver:
        kinds = (*KINDS, LOOKUPS)
    return [
        f"{used[name]} uses {name}: {kind.remedy} ({PAGE})"
        for kind in kinds
        if (name := _first(used, kind.names)) is not None
    ]


def names_used(module: str) -> set[str]:
    """The full names that a module imports or uses from its imports: `os.fork`."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return set()  # it has no source to read
    names: set[str] = set()
    full: dict[str, str] = {}
    """A name in the module -> the full name that it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                top = alias.name.partition(".")[0]
                full[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names |= {node.module, f"{node.module}.{alias.name}"}
                full[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, *rest = _parts(node)
            if first in full:
                names.add(".".join([full[first], *rest]))
    return names


def _parts(node: ast.Attribute) -> Iterator[str]:
    owner = node.value
    if isinstance(owner, ast.Attribute):
        yield from _parts(owner)
    else:
        yield owner.id if isinstance(owner, ast.Name) else ""
    yield node.attr


def _first(used: Iterable[str], wanted: Iterable[str]) -> str | None:
    """The shortest name that is used among the wanted ones and what is below them."""
    for name in wanted:
        found = [each for each in used if each == name or each.startswith(f"{name}.")]
        if found:
            return min(found, key=len)
    return None
