"""The stacks of a worker process, written by the interpreter itself while C code holds the GIL.

`faulthandler` writes the stacks from a signal handler in C. It knows functions and lines, no
values; so the names of two functions, within which each WorkerThread runs, bear its number (see
`worker.threads.numbered`).
Imports nothing but the standard library: the master reads dumps.
"""

from __future__ import annotations

import os
import re
import signal
from typing import NamedTuple

SIGNAL = signal.SIGWINCH
"""Ignored by default, so that one which comes too early or too late does no harm; a terminal that
is resized costs a dump that is not read."""

MAX_BYTES = 1_000_000
HIGH_PREFIX, LOW_PREFIX = "worker-thread-high-", "worker-thread-low-"
BASE = 256
"""The number of a thread is BASE times the one after HIGH_PREFIX, and the one after LOW_PREFIX."""

_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+|\?\?\?) in (?P<name>.*)$')
_CUT = "  ..."
"""In place of the outer frames, where there are over a hundred."""

_OURS = ("/gresque/worker/", "/gresque/jobs/")
_LOOP = "/gevent/hub.py"


class Dump(NamedTuple):
    """The number of the WorkerThread that has the main thread, None when none has or it is
    unknown, and its stack in the form of a failure's backtrace, the innermost frame first."""

    thread: int | None = None
    stack: tuple[str, ...] = ()
    spawned: bool = False
    """The main thread has a greenlet that neither gresque nor gevent's loop runs: a job, or a
    module, has spawned it."""


def empty(dump_fd: int) -> None:
    """Before a dump is asked for by SIGNAL."""
    os.ftruncate(dump_fd, 0)


def read(dump_fd: int) -> Dump:
    """The dump that the process has written so far; an empty one when there is none yet."""
    return parse(os.pread(dump_fd, MAX_BYTES, 0).decode(errors="replace"))


def parse(text: str) -> Dump:
    """Read what `faulthandler` wrote: a block of frames for each native thread, the main one
    last."""
    main = Dump()
    for block in reversed(re.split(r"^(?:Current thread|Thread|Stack) .*$", text, flags=re.M)):
        frames = [match for line in block.splitlines() if (match := _FRAME.match(line))]
        stack = tuple(_told(f) for f in frames if not _is_ours(f))
        number = _number([frame["name"] for frame in frames])
        if number is not None:
            return Dump(number, stack)
        if frames and not main.stack:
            ours = any(_is_ours(f) or _is_loop(f) for f in frames)
            main = Dump(None, tuple(map(_told, frames)), spawned=not ours and _CUT not in block)
    return main


def _number(names: list[str]) -> int | None:
    """None also where the dump ends between the two."""
    high = [name.removeprefix(HIGH_PREFIX) for name in names if name.startswith(HIGH_PREFIX)]
    low = [name.removeprefix(LOW_PREFIX) for name in names if name.startswith(LOW_PREFIX)]
    return int(high[0]) * BASE + int(low[0]) if high and low else None


def _is_loop(frame: re.Match[str]) -> bool:
    return bool(frame["file"].endswith(_LOOP)) and frame["name"] == "run"


def _is_ours(frame: re.Match[str]) -> bool:
    return any(part in frame["file"] for part in _OURS)


def _told(frame: re.Match[str]) -> str:
    return f"{frame['file']}:{frame['line']}:in `{frame['name']}'"
