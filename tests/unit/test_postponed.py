"""A package that is imported when it is used: its users see no difference."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.process.support import ROOT

START = """
import sys
from gresque.cli.postponed import postpone
postpone("redis.asyncio", but_for="redis.asyncio.observability")
import redis
assert "redis.asyncio.client" not in sys.modules
"""


def run(program: str, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.mark.parametrize(
    "use",
    [
        "import redis.asyncio as half; half.Redis.from_url",
        "from redis.asyncio import Redis; Redis.from_url",
        "from redis.asyncio import *; Redis.from_url",
        "from redis.asyncio.client import Pipeline; import redis.asyncio; redis.asyncio.Redis",
        "assert 'Redis' in dir(redis.asyncio) or redis.asyncio.Redis",
    ],
    ids=["import as", "from", "star", "submodule", "attribute"],
)
def test_it_is_there_when_it_is_used(use: str) -> None:
    checks = """
import types
assert type(sys.modules["redis.asyncio"]) is types.ModuleType
assert "redis.asyncio.client" in sys.modules
assert not hasattr(redis.asyncio, "nothing")
"""
    run(f"{START}{use}\n{checks}")


@pytest.mark.parametrize("module", ["client", "connection", "retry"])
def test_a_module_that_is_imported_first_runs_once(module: str) -> None:
    """Else its classes are there twice, and none is an instance of the other's."""
    program = f"""
import redis.asyncio.{module} as module, redis.asyncio
classes = [found for found in vars(module).values() if isinstance(found, type)]
for found in classes:
    if found.__module__.startswith("redis.asyncio."):
        assert getattr(sys.modules[found.__module__], found.__name__) is found, found
assert redis.asyncio.Redis is redis.asyncio.client.Redis
assert redis.asyncio.ConnectionPool is redis.asyncio.connection.ConnectionPool
assert redis.asyncio.client.Retry is redis.asyncio.retry.Retry
assert module is sys.modules["redis.asyncio.{module}"] is redis.asyncio.{module}
assert module.__spec__.loader is module.__loader__
"""
    run(START + program)


def test_it_works(redis_url: str) -> None:
    program = """
import asyncio
async def main():
    async with redis.asyncio.Redis.from_url(sys.argv[1]) as client:
        print(await client.ping())
asyncio.run(main())
"""
    assert run(START + program, redis_url) == "True\n"


def test_threads_that_use_it_at_once_see_all_of_it() -> None:
    program = """
from threading import Barrier, Thread
barrier, found = Barrier(8), []
def use():
    barrier.wait()
    found.append((redis.asyncio.Redis, redis.asyncio.Sentinel))
threads = [Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 8
"""
    run(START + program)


ALONE = """
import sys
from gresque.cli.postponed import postpone
postpone("asyncio", but_for="asyncio", names={"StreamReader": "asyncio.streams"})
import asyncio
from asyncio import StreamReader
import asyncio.exceptions
from asyncio import events
assert asyncio.StreamReader is StreamReader
assert "asyncio.streams" in sys.modules
assert "asyncio.base_events" not in sys.modules
"""


@pytest.mark.parametrize(
    "use",
    ["asyncio.run", "from asyncio import run", "from asyncio import *; run", "dir(asyncio.run)"],
)
def test_its_modules_are_imported_without_it(use: str) -> None:
    checks = """
async def main():
    await asyncio.sleep(0)
    print(asyncio.StreamReader is StreamReader, asyncio.exceptions.CancelledError.__name__)
asyncio.run(main())
assert not hasattr(asyncio, "nothing")
"""
    assert run(f"{ALONE}{use}\n{checks}") == "True CancelledError\n"


def test_a_name_it_does_not_have_is_asked_for_in_all_of_it() -> None:
    checks = """
assert not hasattr(asyncio, "nothing")
assert "asyncio.base_events" in sys.modules
"""
    run(ALONE + checks)


def test_one_that_cannot_be_imported_says_so_each_time() -> None:
    program = """
import sys, tempfile, pathlib
from gresque.cli.postponed import postpone
directory = pathlib.Path(tempfile.mkdtemp())
(directory / "broken_package").mkdir()
(directory / "broken_package" / "__init__.py").write_text("1 / 0")
sys.path.insert(0, str(directory))
postpone("broken_package")
import broken_package
for _ in range(2):
    try:
        broken_package.name
    except ZeroDivisionError:
        print("raised")
"""
    assert run(program) == "raised\nraised\n"


def test_what_is_imported_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from gresque.cli.postponed import postpone

    before = list(sys.meta_path)
    postpone("json")
    assert sys.meta_path == before


LOOKING = [
    ["queues"], ["workers"], ["running"], ["stacks"], ["ledger"], ["stats"], ["status"],
    ["failed", "list"], ["failed", "groups"], ["enqueue", "q", "A"], ["--version"],
]  # fmt: skip


def test_a_command_that_looks_loads_no_more_of_redis_than_it_needs_and_no_hub(
    redis_url: str,
) -> None:
    program = f"""
    import sys
    from gresque.cli.main import main
    for arguments in {LOOKING!r}:
        sys.argv = ["gresque", *arguments]
        try:
            main()
        except SystemExit as exit:
            assert exit.code in (0, 1), (arguments, exit.code)
        bad = {{
            "redis.asyncio.client", "redis.cluster", "asyncio.base_events", "email",
            "gevent", "greenlet", "rich",
        }} & set(sys.modules)
        assert not bad, (arguments, bad)
        assert arguments == ["--version"] or "redis.client" in sys.modules
    """
    program = f"import os; os.environ['REDIS_URL'] = {redis_url!r}\n" + textwrap.dedent(program)
    assert run(program)
