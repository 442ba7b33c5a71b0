"""The stack of one job for a page: asked for at most every few seconds, however many look."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from gresque.control.stacks import ask_stacks
from gresque.inspector.running import RunningJob
from gresque.raised import CARRYING
from gresque.store.store import Store

FRESH_SECONDS = 3.0
WAIT_SECONDS = 1.5
MOST = 200
_LIBRARY = re.compile(r"/(site-packages|dist-packages|lib/python[0-9.]+|gresque)/|^<")
_PACKAGE = re.compile(r"/(?:site|dist)-packages/([^/:]+)")


class Frame(NamedTuple):
    """A line of a stack: a frame of the user's code, or several of others folded into one."""

    text: str
    is_own: bool


@dataclass(frozen=True)
class JobStack:
    """The innermost frame first. `on_cpu` is None where nobody has answered."""

    at: float
    frames: tuple[Frame, ...] = ()
    on_cpu: bool | None = None
    waits_on: str = ""

    @property
    def age(self) -> float:
        return time.monotonic() - self.at


class Stacks:
    """Any number of threads or greenlets may ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._found: dict[tuple[str, str], JobStack] = {}

    def of(self, job: RunningJob, by: str) -> JobStack:
        key = job.process, str(job.item.get("id"))
        with self._lock:
            kept = self._found.get(key)
        if kept is not None and kept.age < FRESH_SECONDS:
            return kept
        # Without the lock: a process that does not answer holds up nobody who looks at others.
        asked = self._ask(job, by)
        with self._lock:
            self._found[key] = asked
            while len(self._found) > MOST:
                del self._found[next(iter(self._found))]
        return asked

    def _ask(self, job: RunningJob, by: str) -> JobStack:
        job_id = job.item.get("id")
        if job.stack or job_id is None:
            return JobStack(time.monotonic(), folded(job.stack), on_cpu=bool(job.stack) or None)
        answers = ask_stacks(
            self._store, [job.process], by=by, wait_seconds=WAIT_SECONDS, job_id=str(job_id)
        )
        for greenlet in answers[job.process] or ():
            stack = [str(line) for line in greenlet.get("stack") or ()]
            waits_on = greenlet.get("waits_on") or ""
            return JobStack(
                time.monotonic(), folded(stack), bool(greenlet.get("on_cpu")), str(waits_on)
            )
        return JobStack(time.monotonic())


def folded(stack: Sequence[str]) -> tuple[Frame, ...]:
    """The frames of the user's code each, those of libraries between them as one line."""
    frames: list[Frame] = []
    others: list[str] = []
    for line in stack:
        if CARRYING.search(line):
            continue
        if _LIBRARY.search(line):
            others.append(line)
            continue
        frames += _fold(others)
        frames.append(Frame(_short(line), is_own=True))
        others = []
    return (*frames, *_fold(others))


def _fold(lines: Sequence[str]) -> list[Frame]:
    if not lines:
        return []
    innermost = _short(lines[0])
    found = _PACKAGE.search(lines[0])
    package = f" of {found[1].removesuffix('.py')}" if found else ""
    if len(lines) == 1:
        return [Frame(innermost, is_own=False)]
    return [Frame(f"{len(lines)} frames{package}, the innermost {innermost}", is_own=False)]


def _short(line: str) -> str:
    """`shop/orders.py:88 in pull`."""
    path, _, rest = line.partition(":in ")
    place = "/".join(path.split("/")[-2:])
    return f"{place} in {rest.strip('`' + chr(39))}" if rest else place
