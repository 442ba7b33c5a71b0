"""Dumps of `faulthandler`, of this interpreter and as other versions write them."""

from __future__ import annotations

import faulthandler
import os
import tempfile
from collections.abc import Iterator

import pytest

from gresque.processes import stack_dump
from gresque.processes.stack_dump import Dump
from gresque.worker.threads.numbered import call_numbered

HANGS = """\
Thread 0x00007f35d37fe6c0 (most recent call first):
  File "/app/.venv/gresque/worker/native/loop_monitor.py", line 85 in _run

Current thread 0x00007f35f1fd3740 [gresque] (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/app/my jobs.py", line 18 in parse
  File "/app/.venv/gresque/jobs/definition.py", line 80 in perform
  File "/app/.venv/gresque/worker/threads/thread.py", line 210 in _work
  File "/app/.venv/gresque/worker/threads/thread.py", line 75 in perform_jobs
  File "/app/.venv/gresque/worker/threads/numbered.py", line 40 in worker-thread-low-17
  File "/app/.venv/gresque/worker/threads/numbered.py", line 36 in worker-thread-high-2
  File "/app/.venv/gevent/greenlet.py", line 900 in run
"""


@pytest.fixture
def file() -> Iterator[int]:
    with tempfile.TemporaryFile() as opened:
        yield opened.fileno()


def test_the_thread_and_the_jobs_own_frames() -> None:
    stack = ("/usr/lib/python3.11/re/__init__.py:166:in `match'", "/app/my jobs.py:18:in `parse'")
    found = stack_dump.parse(HANGS)
    assert found.thread == 2 * 256 + 17
    assert found.stack[:2] == stack
    assert not any("gresque/worker" in line for line in found.stack)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "Current thread 0x1 (most recent call first):\n  <no Python frame>\n",
        "".join(HANGS.partition("  File")[:2]),
    ],
)
def test_what_tells_no_thread(text: str) -> None:
    assert stack_dump.parse(text) == Dump()


SPAWNED = """\
Thread 0x00007f35d37fe6c0 (most recent call first):
  File "/app/.venv/gresque/worker/native/loop_monitor.py", line 85 in _run

Current thread 0x00007f35f1fd3740 [gresque] (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/app/my jobs.py", line 18 in parse
"""
LOOP = '  File "/app/.venv/gevent/hub.py", line 647 in run\n'


def test_the_main_thread_without_a_job() -> None:
    stack = ("/usr/lib/python3.11/re/__init__.py:166:in `match'", "/app/my jobs.py:18:in `parse'")
    assert stack_dump.parse(SPAWNED) == Dump(None, stack, spawned=True)
    assert not stack_dump.parse(SPAWNED + LOOP).spawned
    unnamed = HANGS.replace("worker-thread-low-17", "run")
    assert stack_dump.parse(unnamed)[::2] == (None, False)


def test_a_dump_without_its_outer_frames_tells_no_thread() -> None:
    """Where one shows those of a greenlet, it may be that of any."""
    deep = SPAWNED + "  ...\n"
    assert stack_dump.parse(deep)[::2] == (None, False)
    cut = HANGS[: HANGS.index('  File "/app/.venv/gresque/worker/threads/numbered.py", line 36')]
    assert stack_dump.parse(cut + "  ...\n")[::2] == (None, False)


@pytest.mark.parametrize("number", [0, 3, 255, 256, 4711, 70_000])
@pytest.mark.parametrize("depth", [0, 50, 150])
def test_of_this_interpreter(file: int, number: int, depth: int) -> None:
    def dump(depth: int = depth) -> None:
        if depth:
            dump(depth - 1)
        else:
            faulthandler.dump_traceback(file, all_threads=True)

    call_numbered(number, dump)
    found = stack_dump.read(file)
    assert found.thread == (number if depth < 100 else None)
    assert not found.spawned
    assert found.stack[0].endswith("in `dump'")
    stack_dump.empty(file)
    assert stack_dump.read(file) == Dump()


def test_a_dump_is_read_from_its_start_whoever_wrote_before(file: int) -> None:
    os.write(file, b"x" * (stack_dump.MAX_BYTES + 10))
    assert stack_dump.read(file) == Dump()
