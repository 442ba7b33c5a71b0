"""What jobs log: the last lines of each, for the job that fails."""

from __future__ import annotations

import logging
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from gevent import getcurrent

from gresque.clock import log_time

if TYPE_CHECKING:
    from gresque.worker.threads.thread import WorkerThread
    from gresque.worker.turns.in_flight import ReservedJob

MOST_LINES = 200
MOST_CHARACTERS = 16_000
"""Of the lines of one job together."""
MOST_JOBS_A_SECOND = 50
"""More jobs of one process may fail in a second: those leave no lines behind."""

_format_exception = logging.Formatter().formatException


class _Lines:
    """Those of one job."""

    __slots__ = ("_lines", "_size", "job")

    def __init__(self, job: ReservedJob) -> None:
        self.job = job
        self._lines: deque[str] = deque()
        self._size = 0

    def add(self, line: str) -> None:
        lines = self._lines
        lines.append(line[:MOST_CHARACTERS])
        self._size += len(lines[-1])
        while len(lines) > MOST_LINES or self._size > MOST_CHARACTERS:
            self._size -= len(lines.popleft())

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


class JobLines:
    """The last lines of the jobs that run. A job that logs nothing costs nothing."""

    def __init__(self) -> None:
        self._kept: dict[WorkerThread, _Lines] = {}
        self._second = 0
        self._taken = 0

    def note(self, thread: WorkerThread, record: logging.LogRecord) -> None:
        """A record that the job of this thread makes."""
        job = thread.job
        if job is None:
            return
        lines = self._kept.get(thread)
        if lines is None or lines.job is not job:
            lines = self._kept[thread] = _Lines(job)
        at = log_time(record.created, record.msecs)
        text = f"{at} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}\n{_format_exception(record.exc_info)}"
        lines.add(text)

    def take(self, job: ReservedJob) -> bytes:
        """The lines of this job, compressed; empty where there are none. Called in the thread that
        ran it."""
        lines = self._kept.pop(getcurrent(), None)
        return b"" if lines is None or lines.job is not job else self._compress(lines.text)

    def _compress(self, text: str) -> bytes:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        if self._taken > MOST_JOBS_A_SECOND:
            return b""
        return zlib.compress(text.encode("utf-8", "backslashreplace"), 1)

    def forget_ended(self, thread: WorkerThread) -> None:
        """Keep no lines of a job that has ended."""
        lines = self._kept.get(thread)
        if lines is not None and lines.job is not thread.job:
            self._kept.pop(thread, None)


kept = JobLines()
"""Of the process."""


def keep_lines(find_thread: Any) -> None:
    """From now on note what jobs log, by whichever logger and handler: each record is seen as it is
    made. `find_thread()` is the thread of the job that the running code belongs to, or None."""
    make: Any = logging.getLogRecordFactory()
    if getattr(make, "keeps_lines", False):
        return

    def make_and_note(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = make(*args, **kwargs)
        try:
            thread = find_thread()
            if thread is not None:
                kept.note(thread, record)
        except Exception:
            pass  # its message cannot be made, as its handler says
        return record

    make_and_note.keeps_lines = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_and_note)
